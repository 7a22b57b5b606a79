import type { NotebookPanel } from '@jupyterlab/notebook';
import type { Kernel } from '@jupyterlab/services';

/** The function of the package that finds fitted estimators, on the variables of the kernel. */
const FITTED =
  "__import__('mljupyter.notebook.fitted', fromlist=['fitted']).fitted_estimators(globals())";

/**
 * Ask a kernel for the value of an expression, once it is free.
 *
 * The question is in no history, and changes no number of a cell.
 *
 * @returns the forms of the value by MIME type; undefined if it could not be evaluated
 */
export async function valueIn(
  kernel: Kernel.IKernelConnection,
  expression: string
): Promise<Record<string, unknown> | undefined> {
  const { content } = await kernel.requestExecute({
    code: '',
    silent: true,
    store_history: false,
    allow_stdin: false,
    stop_on_error: false,
    user_expressions: { value: expression }
  }).done;
  const value = content.status === 'ok' ? content.user_expressions.value : undefined;
  return (value as { data?: Record<string, unknown> } | undefined)?.data;
}

/**
 * Ask the kernel of a notebook for its fitted estimators: their classes by their names.
 *
 * @returns the estimators; null if there is no Python kernel, or it has no mljupyter, or it ends before it answers
 */
export async function fittedIn(panel: NotebookPanel): Promise<Record<string, string> | null> {
  const kernel = panel.sessionContext.session?.kernel;
  if (!kernel) {
    return null;
  }
  try {
    if ((await kernel.info).language_info.name !== 'python') {
      return null;
    }
    return told((await valueIn(kernel, FITTED))?.['application/json']);
  } catch {
    return null; // the kernel has ended or was restarted: the wizard works without its estimators
  }
}

/** Return what a kernel has answered, if it has the form of an answer. */
function told(found: unknown): Record<string, string> | null {
  if (typeof found !== 'object' || found === null) {
    return null;
  }
  const entries = Object.entries(found).filter(([, kind]) => typeof kind === 'string');
  return Object.fromEntries(entries);
}
