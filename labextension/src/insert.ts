import type { NotebookPanel } from '@jupyterlab/notebook';

/** The key of our part of a cell's metadata. */
const KEY = 'mljupyter';

/** The origin of an inserted cell: the cell with the form, and the fingerprint of the text at that time. */
interface IOrigin {
  from: string;
  text: string;
}

/** A cell as the order of insertions sees it. */
export interface IPlaced {
  id: string;
  origin?: Partial<IOrigin>;
}

/** Return a short fingerprint of a text (FNV-1a). */
export function fingerprint(text: string): string {
  let hash = 0x811c9dc5;
  for (const character of text) {
    hash = Math.imul(hash ^ (character.codePointAt(0) ?? 0), 0x01000193) >>> 0;
  }
  return hash.toString(16);
}

/**
 * Decide where new cells go, and which of them are there already.
 *
 * Cells from one form follow each other in the order of their insertion. A text that this form has inserted before is
 * not inserted again, also when somebody has edited it since.
 *
 * @param cells - all cells of the notebook
 * @param index - the cell with the form
 * @param sources - the texts of the new cells
 * @returns the place of the first new cell, the texts that are missing, and the place of the last text that is there
 */
export function placed(
  cells: readonly IPlaced[],
  index: number,
  sources: readonly string[]
): { at: number; missing: string[]; last: number } {
  const own = cells.map(cell => cell.origin?.from === cells[index]?.id);
  const at = Math.max(index, own.lastIndexOf(true)) + 1;
  const find = (source: string) =>
    cells.findIndex((cell, place) => own[place] && cell.origin?.text === fingerprint(source));
  const missing = sources.filter(source => find(source) < 0);
  return { at, missing, last: find(sources[sources.length - 1] ?? '') };
}

/**
 * Put code into new cells below the cell that holds an element, and show the last one.
 *
 * Nothing is replaced and nothing is run: what happens next is the reader's decision. One undo takes the cells away.
 *
 * @param panel - the notebook
 * @param element - anything inside one of its cells, such as a widget in an output
 * @param sources - the texts of the new cells, in order
 * @returns whether the code is there: the element may be elsewhere, and a notebook may be read-only
 */
export function insertBelow(
  panel: NotebookPanel,
  element: Node,
  sources: readonly string[]
): boolean {
  const notebook = panel.content;
  const index = notebook.widgets.findIndex(cell => cell.node.contains(element));
  const model = notebook.model;
  if (index < 0 || model === null || model.readOnly) {
    return false;
  }
  const cells = notebook.widgets.map(({ model: cell }) => ({
    id: cell.id,
    origin: cell.getMetadata(KEY) as Partial<IOrigin> | undefined
  }));
  const { at, missing, last } = placed(cells, index, sources);
  const from = cells[index].id;
  model.sharedModel.insertCells(
    at,
    missing.map(source => ({
      cell_type: 'code' as const,
      // Trusted, as an empty cell is: somebody pressed a button for it.
      metadata: { trusted: true, [KEY]: { from, text: fingerprint(source) } },
      source
    }))
  );
  const shown = missing.length > 0 ? at + missing.length - 1 : last;
  notebook.activeCellIndex = shown;
  notebook.deselectAll();
  notebook.mode = 'command'; // the cell can be run with one key, and typing does not change it by accident
  void notebook.scrollToItem(shown, 'smart');
  return true;
}
