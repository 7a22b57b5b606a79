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
export function insertBelow(panel: NotebookPanel, element: Node, source: string): boolean {
  const notebook = panel.content;
  const index = notebook.widgets.findIndex(cell => cell.node.contains(element));
  const model = notebook.model;
  if (index < 0 || model === null || model.readOnly) {
    return false;
  }
  model.sharedModel.insertCell(index + 1, {
    cell_type: 'code',
    metadata: { trusted: true }, // somebody pressed a button for it, as for an empty cell
    source
  });
  notebook.activeCellIndex = index + 1;
  notebook.deselectAll();
  notebook.mode = 'command'; // the cell can be run with one key, and typing does not change it by accident
  void notebook.scrollToItem(index + 1, 'smart');
  return true;
}
