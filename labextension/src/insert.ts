import type { NotebookPanel } from '@jupyterlab/notebook';

import { type IOrigin, fingerprint, placed, selfContained } from './order';

/** The key of our part of a cell's metadata. */
const KEY = 'mljupyter';

/** A wizard in a tab of its own: its id, and the workspace that it is about. */
export interface IFormOutside {
  id: string;
  workspace: string;
}

/**
 * Put code into new cells below the cell that holds an element, and show the last one.
 *
 * Nothing is replaced and nothing is run: what happens next is the reader's decision. One undo takes the cells away.
 *
 * @param panel - the notebook
 * @param element - anything inside one of its cells, such as a widget in an output; for a wizard in a tab of its own, the
 *   code goes below the active cell
 * @param sources - the texts of the new cells, in order
 * @param outside - the wizard in a tab, if the code comes from one: its lines then choose its workspace themselves
 * @returns whether the code is there: the element may be elsewhere, and a notebook may be read-only
 */
export function insertBelow(
  panel: NotebookPanel,
  element: Node,
  sources: readonly string[],
  outside: IFormOutside | null = null
): boolean {
  const notebook = panel.content;
  const inside = notebook.widgets.findIndex(cell => cell.node.contains(element));
  const index = inside < 0 && !panel.node.contains(element) ? notebook.activeCellIndex : inside;
  const model = notebook.model;
  if (index < 0 || model === null || model.readOnly) {
    return false;
  }
  const cells = notebook.widgets.map(({ model: cell }) => ({
    id: cell.id,
    origin: cell.getMetadata(KEY) as Partial<IOrigin> | undefined
  }));
  const from = outside?.id ?? cells[index].id;
  const { at, missing, last } = placed(cells, index, sources, from);
  const above = notebook.widgets.slice(0, at).map(cell => cell.model.sharedModel.source);
  const texts: string[] = [];
  for (const source of missing) {
    const whole =
      outside === null ? source : selfContained(source, outside.workspace, [...above, ...texts]);
    texts.push(whole);
  }
  model.sharedModel.insertCells(
    at,
    missing.map((source, place) => ({
      cell_type: 'code' as const,
      // Trusted, as an empty cell is: somebody pressed a button for it.
      metadata: { trusted: true, [KEY]: { from, text: fingerprint(source) } },
      source: texts[place]
    }))
  );
  const shown = missing.length > 0 ? at + missing.length - 1 : last;
  notebook.activeCellIndex = shown;
  notebook.deselectAll();
  notebook.mode = 'command'; // the cell can be run with one key, and typing does not change it by accident
  void notebook.scrollToItem(shown, 'smart');
  return true;
}
