/** A table whose rows keep their elements while their values change. */

import { type Drawn, type Keyed, keyed, make, text } from "./dom";

/**
 * A column: a function for the text of a cell, or one that draws an element into it.
 * `when` says whether the column is there for some rows; without it, it always is.
 */
export interface Column<T> {
  name: string;
  number?: boolean;
  when?: (rows: readonly T[]) => boolean;
  of?: (item: T) => string;
  draw?: () => Drawn<T>;
}

/** Return a table and the function that sets its rows. */
export function table<T extends Keyed>(
  label: string,
  columns: readonly Column<T>[],
): { element: HTMLTableElement; draw: (rows: readonly T[]) => void } {
  const body = make("tbody");
  const style = (column: Column<T>) => (column.number ? "number" : null);
  const head = columns.map((column) => make("th", { scope: "col", class: style(column) }, column.name));
  const row = (): Drawn<T> => {
    const cells = columns.map((column): Drawn<T> => {
      const drawn = column.draw?.();
      const element = make("td", { class: style(column) }, drawn?.element);
      return {
        element,
        update: (item) => {
          drawn?.update(item);
          if (column.of) {
            text(element, column.of(item));
          }
        },
      };
    });
    return {
      element: make("tr", {}, ...cells.map((cell) => cell.element)),
      update: (item) => {
        cells.forEach((cell) => {
          cell.update(item);
        });
      },
    };
  };
  return {
    element: make("table", { "aria-label": label }, make("thead", {}, make("tr", {}, ...head)), body),
    draw: (rows) => {
      keyed(body, rows, row);
      columns.forEach(({ when }, index) => {
        if (when) {
          const hidden = !when(rows);
          head[index].hidden = hidden;
          body.querySelectorAll<HTMLElement>(`td:nth-child(${index + 1})`).forEach((cell) => {
            cell.hidden = hidden;
          });
        }
      });
    },
  };
}
