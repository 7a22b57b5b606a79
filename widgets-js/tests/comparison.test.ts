import { beforeEach, describe, expect, it } from "vitest";

import comparison from "../src/comparison";
import { button, one, show, words } from "./fake_model";

const NOW = 1_700_000_000;

let shown: ReturnType<typeof show<object>>;

function tick(versions: string[], changed: object = {}): void {
  const each = <T>(value: (name: string, index: number) => T) => versions.map(value);
  shown.model.receive({
    kind: "tick",
    time: NOW,
    name: "churn",
    seconds: 300,
    versions: each((version, index) => ({
      version,
      hue: index,
      role: index ? "treatment" : "control",
      replicas: "1/1",
    })),
    rows: [
      {
        label: "Latency p95",
        unit: "ms",
        values: each((_, index) => 20 - 5 * index),
        intervals: each((_, index) => (index ? "14 to 16" : "19 to 21")),
        changes: versions.slice(1).map((_, index) => `0.${75 - 25 * index}×`),
        tones: versions.slice(1).map(() => "better"),
      },
      { label: "Requests", unit: "", values: each(() => null), intervals: each(() => ""), changes: [], tones: [] },
    ],
    verdicts: versions.slice(1).map((version) => ({ version, text: "p95 is 25 % faster than the control." })),
    percentiles: Object.fromEntries(each((name, index) => [name, [1, 2, 3, 4, index ? null : 5]])),
    series: {
      time: each(() => NOW - 1),
      version: versions,
      latency_p95_ms: each(() => 20),
      requests: each(() => 0),
      errors: each(() => 0),
      requests_per_second: each(() => 5),
    },
    ...changed,
  });
}

const cells = () =>
  [...shown.el.querySelectorAll("tbody tr")].map((row) => [...row.children].map((cell) => words(cell)));

beforeEach(() => {
  shown = show(comparison, {});
});

describe("the comparison", () => {
  it("sets the versions beside each other, the differences in words as well as in colours", () => {
    tick(["a", "b"]);
    expect(words(one(shown.el, "thead"))).toBe("Measurea control, 1/1 readyb treatment, 1/1 ready");
    expect(cells()).toEqual([
      ["Latency p95", "20 ms19 to 21", "15 ms0.75× ▾ better14 to 16"],
      ["Requests", "–", "–"],
    ]);
    expect(words(shown.el.querySelector("[data-tone=better]"))).toContain("better");
    expect(words(one(shown.el, ".mlj-verdicts"))).toBe("bp95 is 25 % faster than the control.");
  });

  it("has no word and no colour without evidence", () => {
    const row = {
      label: "Latency p95",
      unit: "ms",
      values: [20, 220],
      intervals: ["", ""],
      changes: [""],
      tones: [""],
    };
    tick(["a", "b"], { rows: [row] });
    expect(cells()).toEqual([["Latency p95", "20 ms", "220 ms"]]);
    expect(shown.el.querySelector("tbody [data-tone]:not([data-tone=''])")).toBeNull();
  });

  it("says that there is nothing to compare with one version, and promotes none", () => {
    tick(["a"]);
    expect(words(one(shown.el, ".mlj-verdicts"))).toBe("There is one version: nothing to compare it with yet.");
    expect(button(shown.el, "Promote a version").hidden).toBe(true);
  });

  it("follows versions that come and go", () => {
    tick(["a", "b", "c"]);
    expect(cells()[0]).toHaveLength(4);
    tick(["a", "c"]);
    expect(cells()[0]).toEqual(["Latency p95", "20 ms19 to 21", "15 ms0.75× ▾ better14 to 16"]);
    expect(words(one(shown.el, "thead"))).not.toContain("b treatment");
  });

  it("draws the percentiles and three charts over time", () => {
    tick(["a", "b"]);
    expect(shown.el.querySelectorAll(".mlj-plot canvas")).toHaveLength(4);
    const said = one(shown.el, "[aria-label^='Latency by percentile']").getAttribute("aria-label");
    expect(said).toContain("b p50 1 ms, p90 2 ms, p95 3 ms, p99 4 ms, p99.9 –");
    expect(one(shown.el, "[aria-label^='Errors']").getAttribute("aria-label")).toContain("nothing was measured");
  });

  it("asks for another time", () => {
    tick(["a", "b"]);
    const choice = one<HTMLSelectElement>(shown.el, "select[aria-label='Time compared']");
    expect(choice.value).toBe("300");
    choice.value = "900";
    choice.dispatchEvent(new Event("change"));
    expect(shown.model.sentOfKind("window")).toEqual([{ kind: "window", seconds: 900 }]);
  });

  it("promotes the version that is chosen", () => {
    tick(["a", "b", "c"]);
    button(shown.el, "Promote a version").click();
    one<HTMLSelectElement>(shown.el, "form select").value = "c";
    one<HTMLFormElement>(shown.el, "form").requestSubmit();
    expect(shown.model.sentOfKind("act")).toEqual([{ kind: "act", version: "c" }]);
  });
});
