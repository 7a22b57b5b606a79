import type { NotebookPanel } from '@jupyterlab/notebook';
/**
 * Put code into new cells below the cell that holds an element, and show the last one.
 *
 * Nothing is replaced and nothing is run: what happens next is the reader's decision. One undo takes the cells away.
 *
 * @param panel - the notebook
 * @param element - anything inside one of its cells, such as a widget in an output; for a wizard in a tab of its own, the
 *   code goes below the active cell
 * @param sources - the texts of the new cells, in order
 * @returns whether the code is there: the element may be elsewhere, and a notebook may be read-only
 */
export declare function insertBelow(panel: NotebookPanel, element: Node, sources: readonly string[]): boolean;
