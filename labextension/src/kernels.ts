import { Notification } from '@jupyterlab/apputils';
import { type INotebookTracker, NotebookActions } from '@jupyterlab/notebook';
import type { Kernel } from '@jupyterlab/services';
import type { TranslationBundle } from '@jupyterlab/translation';

import { valueIn } from './kernel';
import { VERSION } from './version';

/** Asks without importing anything: a kernel that does not use mljupyter has no version of it. */
const EXPRESSION = "getattr(__import__('sys').modules.get('mljupyter'), '__version__', '')";

/** Tell once when the kernel of a notebook that uses mljupyter has another version of it than this page. */
export function watchKernels(tracker: INotebookTracker, trans: TranslationBundle): void {
  const told = new Set<string>();
  NotebookActions.executed.connect((_, { notebook, cell }) => {
    const panel = tracker.find(one => one.content === notebook);
    const kernel = panel?.sessionContext.session?.kernel;
    if (!panel || !kernel || !/\bmljupyter\b/.test(cell.model.sharedModel.getSource())) {
      return;
    }
    void versionOf(kernel).then(version => {
      const key = `${kernel.id} ${version}`;
      if (version === '' || version === VERSION || told.has(key)) {
        return;
      }
      told.add(key);
      Notification.warning(
        trans.__(
          'The kernel of %1 has version %2 of mljupyter, and this page %3: run %4 in the notebook and restart its kernel.',
          panel.title.label,
          version,
          VERSION,
          `%pip install "mljupyter==${VERSION}"`
        ),
        { autoClose: false }
      );
    });
  });
}

/** Return the version of the package that a kernel has imported; empty without one. */
async function versionOf(kernel: Kernel.IKernelConnection): Promise<string> {
  const text = (await valueIn(kernel, EXPRESSION))?.['text/plain'];
  return typeof text === 'string' ? text.replace(/^'|'$/g, '') : '';
}
