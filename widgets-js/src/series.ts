/** Lines of a chart as data: brought onto one x axis, with gaps where nothing was measured, and described in words. */

import { clock, shown } from "./format";

/** A place on the x axis (seconds since the epoch, or an index) and a value; null where nothing was measured. */
export type Point = readonly [x: number, value: number | null];

/** One line of a chart. */
export interface Line {
  name: string;
  /** Index of the version's hue; null for the colour of text. */
  hue: number | null;
  /** Index of the dash pattern; lines of one hue differ by it. */
  dash?: number;
  points: readonly Point[];
}

/** From and to, on the x axis. */
export type Range = readonly [from: number, to: number];

/** Columns over one x axis. In a column, null is a gap and undefined a place that only other lines have. */
export interface Aligned {
  xs: number[];
  columns: (number | null | undefined)[][];
  /** For each column the indices of points without a neighbour, which no line would show. */
  alone: number[][];
}

/**
 * Bring lines onto one x axis.
 *
 * A line has a gap where a value is null, and where two of its points are further apart than `widest`.
 */
export function align(lines: readonly Line[], widest = Infinity): Aligned {
  const places = new Set<number>();
  for (const line of lines) {
    line.points.forEach(([x], index) => {
      places.add(x);
      const next = line.points[index + 1]?.[0];
      if (next - x > widest) {
        places.add((x + next) / 2);
      }
    });
  }
  const xs = [...places].sort((a, b) => a - b);
  const columns = lines.map((line) => column(line.points, xs, widest));
  return { xs, columns, alone: columns.map(withoutNeighbour) };
}

function column(points: readonly Point[], xs: readonly number[], widest: number): (number | null | undefined)[] {
  let next = 0;
  return xs.map((x) => {
    if (points[next]?.[0] === x) {
      next += 1;
      return points[next - 1][1];
    }
    const inGap = next > 0 && next < points.length && points[next][0] - points[next - 1][0] > widest;
    return inGap ? null : undefined;
  });
}

/**
 * Return the share of a part in a whole over a time before each point, in percent.
 *
 * A share of few is no share: where the whole of that time is below `least`, the value is null.
 */
export function rollingShare(
  points: readonly (readonly [time: number, part: number, whole: number])[],
  seconds: number,
  least: number,
): Point[] {
  let first = 0;
  let [part, whole] = [0, 0];
  return points.map(([time, more, of]) => {
    part += more;
    whole += of;
    for (; points[first][0] <= time - seconds; first += 1) {
      part -= points[first][1];
      whole -= points[first][2];
    }
    return [time, whole < least ? null : (100 * part) / whole];
  });
}

function withoutNeighbour(values: readonly (number | null | undefined)[]): number[] {
  const found: number[] = [];
  const filled = values.flatMap((value, index) => (value === undefined ? [] : [index]));
  filled.forEach((index, place) => {
    const neighbours = [values[filled[place - 1]], values[filled[place + 1]]];
    if (values[index] !== null && neighbours.every((value) => value === null || value === undefined)) {
      found.push(index);
    }
  });
  return found;
}

/** Return what a chart over time shows, in a sentence for screen readers. */
export function describe(title: string, unit: string, lines: readonly Line[], range: Range): string {
  const between = `${clock(range[0])} to ${clock(range[1])}`;
  const parts = lines.flatMap((line) => {
    const values = line.points.filter(([x]) => x >= range[0] && x <= range[1]).map(([, value]) => value);
    const known = values.filter((value) => value !== null);
    if (known.length === 0) {
      return [];
    }
    const [least, most, last] = [Math.min(...known), Math.max(...known), values.at(-1)];
    const now = last === null || last === undefined ? "no value at the end" : `${shown(last, unit)} at the end`;
    return [`${line.name} ${now}, lowest ${shown(least, unit)}, highest ${shown(most, unit)}`];
  });
  return `${title}, ${between}: ${parts.join("; ") || "nothing was measured"}.`;
}
