import type { NotebookPanel } from '@jupyterlab/notebook';
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
export declare function fingerprint(text: string): string;
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
export declare function placed(cells: readonly IPlaced[], index: number, sources: readonly string[]): {
    at: number;
    missing: string[];
    last: number;
};
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
export declare function insertBelow(panel: NotebookPanel, element: Node, sources: readonly string[]): boolean;
export {};
