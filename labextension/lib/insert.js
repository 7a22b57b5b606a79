import { fingerprint, placed } from './order';
/** The key of our part of a cell's metadata. */
const KEY = 'mljupyter';
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
export function insertBelow(panel, element, sources) {
    const notebook = panel.content;
    const inside = notebook.widgets.findIndex(cell => cell.node.contains(element));
    const index = inside < 0 && !panel.node.contains(element) ? notebook.activeCellIndex : inside;
    const model = notebook.model;
    if (index < 0 || model === null || model.readOnly) {
        return false;
    }
    const cells = notebook.widgets.map(({ model: cell }) => ({
        id: cell.id,
        origin: cell.getMetadata(KEY)
    }));
    const { at, missing, last } = placed(cells, index, sources);
    const from = cells[index].id;
    model.sharedModel.insertCells(at, missing.map(source => ({
        cell_type: 'code',
        // Trusted, as an empty cell is: somebody pressed a button for it.
        metadata: { trusted: true, [KEY]: { from, text: fingerprint(source) } },
        source
    })));
    const shown = missing.length > 0 ? at + missing.length - 1 : last;
    notebook.activeCellIndex = shown;
    notebook.deselectAll();
    notebook.mode = 'command'; // the cell can be run with one key, and typing does not change it by accident
    void notebook.scrollToItem(shown, 'smart');
    return true;
}
