import { beforeEach, describe, expect, it, vi } from "vitest";

import { type Chart, ChartGroup } from "../src/charts";
import { clock } from "../src/format";
import { button, one, words } from "./fake_model";

const START = 1_700_000_000;
const points = (...values: (number | null)[]) => values.map((value, index) => [START + index, value] as const);

let group: ChartGroup;
let latency: Chart;
let errors: Chart;
const draw = () => {
  latency.draw([
    { name: "p50", hue: 0, points: points(10, 20, null, 40, 50, 60, 70, 80, 90, 100) },
    { name: "p95", hue: 0, dash: 1, points: points(11, 21, 31, 41, 51, 61, 71, 81, 91, 101) },
  ]);
  errors.draw([{ name: "a", hue: 0, points: points(0, 0, 0, 0, 0, 1, 1, 1, 1, 1) }]);
};
const press = (chart: Chart, key: string) =>
  chart.plot.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
const legend = (chart: Chart) => [...chart.element.querySelectorAll(".mlj-legend li")].map((item) => words(item));
const spoken = () => words(one(group.element, "[role=status]"));

beforeEach(() => {
  group = new ChartGroup();
  latency = group.add({ title: "Latency", unit: "ms" });
  errors = group.add({ title: "Errors", unit: "%" });
  document.body.append(group.element);
  group.follow([START, START + 9]);
  draw();
});

describe("a chart over time", () => {
  it("has its unit in the heading, and the newest values in the legend", () => {
    expect(words(one(latency.element, "h3"))).toBe("Latency (ms)");
    expect(legend(latency)).toEqual(["p50100 ms", "p95101 ms"]);
  });

  it("labels the ends and the middle of the axis of its values", async () => {
    const written = vi.fn();
    const context = document.createElement("canvas").getContext("2d")!;
    context.fillText = written;
    latency.draw([{ name: "p50", hue: 0, points: points(10, 20, 55, 46) }]);
    await Promise.resolve(); // uPlot draws in a microtask
    expect(written.mock.calls.map(([label]) => label)).toEqual(expect.arrayContaining(["0", "30", "60"]));
  });

  it("is described in words for screen readers, and can be reached by the keyboard", () => {
    expect(latency.plot.tabIndex).toBe(0);
    const label = latency.plot.getAttribute("aria-label");
    expect(label).toContain(`Latency, ${clock(START)} to ${clock(START + 9)}`);
    expect(label).toContain("p50 100 ms at the end, lowest 10 ms, highest 100 ms");
    expect(words(document.getElementById(latency.plot.getAttribute("aria-describedby") ?? ""))).toContain("arrow keys");
  });

  it("says and shows the values of a moment, and where there is none", () => {
    press(latency, "Home");
    expect(legend(latency)).toEqual(["p5010 ms", "p9511 ms"]);
    expect(words(one(latency.element, ".mlj-moment"))).toBe(clock(START));
    press(latency, "ArrowRight");
    press(latency, "ArrowRight");
    expect(legend(latency)).toEqual(["p50–", "p9531 ms"]);
    expect(spoken()).toBe(`${clock(START + 2)}: p50 –, p95 31 ms`);
    press(latency, "End");
    expect(legend(latency)).toEqual(["p50100 ms", "p95101 ms"]);
  });

  it("shows the newest values again when it loses the focus", () => {
    latency.plot.focus();
    press(latency, "Home");
    latency.plot.blur();
    expect(words(one(latency.element, ".mlj-moment"))).toBe("");
    expect(legend(latency)).toEqual(["p50100 ms", "p95101 ms"]);
  });

  it("has a level line in its legend", () => {
    errors.draw([], [{ name: "target 70 %", value: 70 }]);
    expect(legend(errors)).toEqual(["target 70 %"]);
  });

  it("names what happened at a moment", () => {
    group.marks = [{ time: START + 3, label: "a scaled 1 → 2", dash: 2 }];
    draw();
    press(latency, "Home");
    const happened = one(group.element, ".mlj-happened");
    expect(words(happened)).toBe("");
    ["ArrowRight", "ArrowRight", "ArrowRight"].forEach((key) => press(latency, key));
    expect(words(happened)).toBe("a scaled 1 → 2");
    expect(spoken()).toBe(`${clock(START + 3)}: p50 40 ms, p95 41 ms, a scaled 1 → 2`);
  });

  it("leaves keys that it does not know to others", () => {
    expect(press(latency, "a")).toBe(true);
    expect(press(latency, "ArrowLeft")).toBe(false);
  });
});

describe("the charts of a group", () => {
  it("are exported as one table with a row for each time", () => {
    const [head, first, ...others] = group.csv().trimEnd().split("\n");
    expect(head).toBe('"time","Latency (ms): p50","Latency (ms): p95","Errors (%): a"');
    expect(first).toBe(`${new Date(START * 1000).toISOString()},10,11,0`);
    expect(others).toHaveLength(9);
    expect(others[1]).toContain(",,31,0");
  });

  it("share the cursor", () => {
    press(latency, "Home");
    expect(words(one(errors.element, ".mlj-moment"))).toBe(clock(START));
    expect(legend(errors)).toEqual(["a0 %"]);
  });

  it("zoom together, keep the zoom while new data come, and reset together", () => {
    press(latency, "+");
    expect(group.range[1] - group.range[0]).toBeLessThan(9);
    const zoomed = group.range;
    group.follow([START + 1, START + 10]);
    draw();
    expect(group.range).toEqual(zoomed);
    for (const chart of [latency, errors]) {
      expect(chart.plot.getAttribute("aria-label")).toContain(`${clock(zoomed[0])} to ${clock(zoomed[1])}`);
    }
    button(group.element, "Reset zoom").click();
    expect(group.range).toEqual([START + 1, START + 10]);
    expect(button(group.element, "Reset zoom").hidden).toBe(true);
  });

  it("show everything again on Escape, and on a double click", () => {
    group.zoom([START + 1, START + 6]);
    press(errors, "Escape");
    expect(group.range).toEqual([START, START + 9]);
    group.zoom([START + 1, START + 6]);
    one(latency.plot, ".u-over").dispatchEvent(new MouseEvent("dblclick", { bubbles: true, button: 0 }));
    expect(group.range).toEqual([START, START + 9]);
  });

  it("do not zoom below a few seconds, nor beyond what is there", () => {
    group.zoom([START + 5, START + 5.1]);
    expect(group.range[1] - group.range[0]).toBe(4);
    group.zoom([START - 100, START + 100]);
    expect(group.range).toEqual([START, START + 9]);
  });

  it("give back their canvases and observers", () => {
    const disconnect = vi.spyOn(ResizeObserver.prototype, "disconnect");
    group.destroy();
    expect(disconnect).toHaveBeenCalled();
    expect(group.element.querySelector("canvas")).toBeNull();
  });
});

describe("a chart over named places", () => {
  it("says the value of each place, and does not zoom", () => {
    const chart = group.add({ title: "Latency by percentile", unit: "ms", places: ["p50", "p95"] });
    chart.draw([
      {
        name: "a",
        hue: 0,
        points: [
          [0, 10],
          [1, null],
        ],
      },
    ]);
    expect(chart.plot.getAttribute("aria-label")).toBe("Latency by percentile: a p50 10 ms, p95 –.");
    press(chart, "Home");
    expect(words(one(chart.element, ".mlj-moment"))).toBe("p50");
    expect(press(chart, "+")).toBe(true);
    expect(group.range).toEqual([START, START + 9]);
  });
});
