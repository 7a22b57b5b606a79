import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { INotebookTracker } from '@jupyterlab/notebook';

import { insertBelow } from './insert';

/** What a wizard sends with its event; whoever has put the code into the notebook says so in `done`. */
interface IInsertion {
  sources: string[];
  done: boolean;
}

const EVENT = 'mljupyter:insert-cell';
const MOST_CHARACTERS = 100_000;

/** Whether the detail of an event, which any script of the page may have sent, is what a wizard sends. */
function isInsertion(detail: unknown): detail is IInsertion {
  const { sources, done } = (detail ?? {}) as Partial<IInsertion>;
  return (
    Array.isArray(sources) &&
    sources.every(source => typeof source === 'string') &&
    sources.join('').length <= MOST_CHARACTERS &&
    done === false
  );
}

/** Listens for wizards that have code for the notebook they are in. */
const plugin: JupyterFrontEndPlugin<void> = {
  id: 'mljupyter-labextension:insert-cell',
  description: 'Puts the code that a wizard writes into new cells below it.',
  autoStart: true,
  requires: [INotebookTracker],
  activate: (_app: JupyterFrontEnd, tracker: INotebookTracker) => {
    document.addEventListener(EVENT, event => {
      const { detail, target } = event as CustomEvent<unknown>;
      if (!isInsertion(detail) || !(target instanceof Node)) {
        return;
      }
      const panel = tracker.find(candidate => candidate.content.node.contains(target));
      detail.done = panel !== undefined && insertBelow(panel, target, detail.sources);
    });
  }
};

export default plugin;
