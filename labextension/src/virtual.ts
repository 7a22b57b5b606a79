import {
  elementScroll,
  observeElementOffset,
  observeElementRect,
  type VirtualItem,
  Virtualizer
} from '@tanstack/virtual-core';
import * as React from 'react';

const SPARE_ROWS = 8;

/** What a list draws: the rows near the visible part, and the room above and below them in pixels. */
export interface IVirtualRows {
  items: VirtualItem[];
  above: number;
  below: number;
  /** Measures a row; it finds the number of the row in the attribute `data-index`. */
  measure: (row: Element | null) => void;
}

/**
 * Return the rows of a long list that are drawn now, which may have any heights.
 *
 * @param keys - the key of each row, in order
 * @param box - the element that scrolls
 * @param pixels - the height of a row before it is measured
 */
export function useVirtualRows(
  keys: readonly string[],
  box: React.RefObject<HTMLElement>,
  pixels: number
): IVirtualRows {
  const [, redraw] = React.useReducer((count: number) => count + 1, 0);
  const options = {
    count: keys.length,
    getScrollElement: () => box.current,
    estimateSize: () => pixels,
    getItemKey: (index: number) => keys[index] ?? index,
    overscan: SPARE_ROWS,
    observeElementRect,
    observeElementOffset,
    scrollToFn: elementScroll,
    onChange: redraw
  };
  const [virtualizer] = React.useState(() => new Virtualizer<HTMLElement, Element>(options));
  virtualizer.setOptions(options);
  React.useLayoutEffect(() => virtualizer._didMount(), []);
  React.useLayoutEffect(() => {
    virtualizer._willUpdate();
  });
  const items = virtualizer.getVirtualItems();
  return {
    items,
    above: items[0]?.start ?? 0,
    below: Math.max(virtualizer.getTotalSize() - (items[items.length - 1]?.end ?? 0), 0),
    measure: virtualizer.measureElement
  };
}
