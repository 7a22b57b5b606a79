import { Drag } from '@lumino/dragdrop';
import { MimeData } from '@lumino/coreutils';

const CELLS = 'application/vnd.jupyter.cells';

/**
 * Drag a new code cell with some code, which a notebook takes where it is dropped.
 *
 * @param code - the code
 * @param x - the place of the pointer
 * @param y - the place of the pointer
 */
export function dragCode(code: string, x: number, y: number): void {
  const mimeData = new MimeData();
  const cell = {
    cell_type: 'code',
    source: code,
    metadata: {},
    outputs: [],
    execution_count: null
  };
  mimeData.setData(CELLS, [cell]);
  mimeData.setData('text/plain', code);
  const dragImage = document.createElement('pre');
  dragImage.className = 'mljlab-dragged';
  dragImage.textContent = code.split('\n').at(-1) ?? '';
  const drag = new Drag({
    mimeData,
    dragImage,
    proposedAction: 'copy',
    supportedActions: 'copy',
    source: null
  });
  void drag.start(x, y).then(() => {
    drag.dispose();
  });
}
