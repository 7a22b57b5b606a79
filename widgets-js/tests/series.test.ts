import { describe, expect, it } from "vitest";

import { axisEnd, duration, roundUp, shown } from "../src/format";
import { align, describe as inWords, rollingShare } from "../src/series";

const line = (name: string, ...points: [number, number | null][]) => ({ name, hue: 0, points });

describe("lines on one x axis", () => {
  it("share their places; a place of another line alone is not a gap", () => {
    const { xs, columns } = align([line("a", [1, 10], [3, 30]), line("b", [2, 5])]);
    expect(xs).toEqual([1, 2, 3]);
    expect(columns).toEqual([
      [10, undefined, 30],
      [undefined, 5, undefined],
    ]);
  });

  it("have a gap where nothing was measured", () => {
    const { columns } = align([line("a", [1, 10], [2, null], [3, 30])]);
    expect(columns[0]).toEqual([10, null, 30]);
  });

  it("have a gap where two measurements are too far apart", () => {
    const { xs, columns } = align([line("a", [1, 10], [2, 20], [9, 90], [10, 95])], 5);
    expect(xs).toEqual([1, 2, 5.5, 9, 10]);
    expect(columns[0]).toEqual([10, 20, null, 90, 95]);
  });

  it("show points that have no neighbour, which a line alone would not", () => {
    expect(align([line("a", [1, 10], [2, null], [3, 30], [4, 40])]).alone).toEqual([[0]]);
  });
});

describe("numbers", () => {
  it.each([
    [null, "ms", "–"],
    [0, "", "0"],
    [0.1234, "%", "0.12 %"],
    [12.34, "ms", "12.3 ms"],
    [123.4, "ms", "123 ms"],
    [1500, "ms", "1.50 s"],
    [1500, "MB", "1500 MB"],
  ])("%s %s reads %s", (value, unit, expected) => {
    expect(shown(value, unit)).toBe(expected);
  });

  it("end an axis at a round number", () => {
    expect([0.3, 1, 5, 7, 23, 180].map(roundUp)).toEqual([0.3, 1, 5, 8, 30, 200]);
  });

  it("end an axis above the levels they are compared with, unless those are far away", () => {
    expect([axisEnd(35, [100]), axisEnd(35, [2000]), axisEnd(0, [5]), axisEnd(35, [])]).toEqual([100, 40, 5, 40]);
  });

  it("say a duration in the unit that fits", () => {
    expect([30, 300, 7200, 300000].map(duration)).toEqual(["30 s", "5 min", "2 h", "3 d"]);
  });
});

describe("a share over time", () => {
  it("is that of the time before each point, and none of too few", () => {
    const one = [
      [0, 1, 1],
      [5, 0, 29],
      [70, 3, 30],
    ] as const;
    expect(rollingShare(one, 60, 20)).toEqual([
      [0, null],
      [5, (100 * 1) / 30],
      [70, 10],
    ]);
  });
});

describe("a chart in words", () => {
  it("names each line with its value at the end, its lowest and its highest", () => {
    const said = inWords("Latency", "ms", [line("p50", [1, 10], [2, 30], [3, 20]), line("p95")], [0, 10]);
    expect(said).toContain("p50 20 ms at the end, lowest 10 ms, highest 30 ms");
    expect(said).not.toContain("p95");
  });

  it("covers only the time that is shown, and says when there is nothing", () => {
    expect(inWords("Errors", "%", [line("a", [1, 10])], [5, 10])).toContain("nothing was measured");
    expect(inWords("Errors", "%", [line("a", [6, 1], [7, null])], [5, 10])).toContain("no value at the end");
  });
});
