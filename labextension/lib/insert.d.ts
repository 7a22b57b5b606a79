import type { NotebookPanel } from '@jupyterlab/notebook';
/**
 * Put code into a new cell below the cell that holds an element, and show it.
 *
 * Nothing is replaced and nothing is run: what happens next is the reader's decision. One undo takes the cell away.
 *
 * @param panel - the notebook
 * @param element - anything inside one of its cells, such as a widget in an output
 * @param source - the text of the new cell
 * @returns whether there is a new cell: the element may be elsewhere, and a notebook may be read-only
 */
export declare function insertBelow(panel: NotebookPanel, element: Node, source: string): boolean;
