import type { NotebookPanel } from '@jupyterlab/notebook';

/** The function of the package that finds fitted estimators, on the variables of the kernel. */
const FITTED =
  "__import__('mljupyter.notebook.fitted', fromlist=['fitted']).fitted_estimators(globals())";

/**
 * Ask the kernel of a notebook for its fitted estimators: their classes by their names.
 *
 * A kernel that runs a cell answers when it is free. The question is in no history and changes no number of a cell.
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
    const { content } = await kernel.requestExecute({
      code: '',
      silent: true,
      store_history: false,
      allow_stdin: false,
      stop_on_error: false,
      user_expressions: { fitted: FITTED }
    }).done;
    return content.status === 'ok' ? told(content.user_expressions.fitted) : null;
  } catch {
    return null; // the kernel has ended or was restarted: the wizard works without its estimators
  }
}

/** Return what a kernel has answered, if it has the form of an answer. */
function told(answer: unknown): Record<string, string> | null {
  const { data } = (answer ?? {}) as { data?: Record<string, unknown> };
  const found = data?.['application/json'];
  if (typeof found !== 'object' || found === null) {
    return null;
  }
  const entries = Object.entries(found).filter(([, kind]) => typeof kind === 'string');
  return Object.fromEntries(entries);
}
