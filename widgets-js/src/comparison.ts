/** The comparison of an endpoint's versions: a table with differences, verdicts, and charts. */

import "../node_modules/uplot/dist/uPlot.min.css";
import "./base.css";
import "./panels.css";
import "./charts.css";
import "./comparison.css";

import { ChartGroup } from "./charts";
import { type Drawn, type Keyed, attribute, hue, keyed, make, scrollable, text } from "./dom";
import { shown } from "./format";
import type { Stop, View } from "./model";
import { type Message, Panel } from "./panel";
import { type Line, rollingShare } from "./series";

const PLACES = ["p50", "p90", "p95", "p99", "p99.9"];
const TONES: Record<string, string> = { better: "▾ better", worse: "▴ worse" };
const INTERVALS =
  "Small: the 95 % confidence interval. × is the ratio to the control; better or worse where the intervals do not overlap.";
const FEWEST_REQUESTS = 20; // one error of fewer would draw a needle
const WINDOWS = [
  [60, "1 minute"],
  [300, "5 minutes"],
  [900, "15 minutes"],
  [3600, "1 hour"],
] as const;

interface Compared {
  version: string;
  role: string;
  hue: number;
  replicas: string;
}

/**
 * A measure: values of the versions with their confidence intervals, the control's first; ratios to the control and
 * tones of all others, empty before there is evidence.
 */
interface Measure {
  label: string;
  unit: string;
  values: (number | null)[];
  intervals: string[];
  changes: string[];
  tones: string[];
}

interface Tick extends Message {
  time: number;
  name: string;
  seconds: number;
  versions: Compared[];
  rows: Measure[];
  verdicts: { version: string; text: string }[];
  percentiles: Record<string, (number | null)[]>;
  series: { time: number[]; version: string[] } & Record<string, (number | null)[] | string[]>;
}

type Head = Keyed & { label: string; about: string; hue: string };

function render(view: View<object>): Stop {
  const { model } = view;
  const options = WINDOWS.map(([value, label]) => make("option", { value }, label));
  const choice = make("select", { "aria-label": "Time compared", change: chooseWindow }, ...options);
  const panel = new Panel<Tick>("mlj-comparison", choice);
  const verdicts = make("ul", { class: "mlj-verdicts", "aria-live": "polite" });
  const head = make("tr");
  const body = make("tbody");
  const table = make("table", { "aria-label": "Control against treatments" }, make("thead", {}, head), body);
  const charts = new ChartGroup();
  const percentiles = charts.add({ title: "Latency by percentile", unit: "ms", places: PLACES });
  const latency = charts.add({ title: "Latency p95", unit: "ms" });
  const errors = charts.add({ title: "Errors 5xx", unit: "%" });
  const traffic = charts.add({ title: "Requests per second" });
  panel.body.append(
    make("section", { class: "mlj-part" }, verdicts),
    scrollable(
      make(
        "section",
        { class: "mlj-part", "aria-label": "Versions compared" },
        table,
        make("p", { class: "mlj-status" }, INTERVALS),
      ),
    ),
    charts.element,
  );

  let treatments: string[] = [];
  let last: Tick | null = null;
  charts.changed = drawCharts;
  panel.addAction({
    label: "Promote a version",
    submit: "Promote",
    isPossible: () => treatments.length > 0,
    questions: () => [{ key: "version", label: "Give all requests to", options: treatments }],
    run: ({ version }) => {
      model.send({ kind: "act", version });
    },
  });

  function chooseWindow(): void {
    charts.zoom(null);
    model.send({ kind: "window", seconds: Number(choice.value) });
  }

  function take(tick: Tick): void {
    const names = tick.versions.map((item) => item.version);
    treatments = names.slice(1);
    panel.updateActions();
    text(panel.title, `${tick.name}: versions compared`);
    choice.value = String(tick.seconds);
    const said = tick.verdicts.map((item) => ({ ...item, key: item.version }));
    const alone = [{ key: "", version: "", text: "There is one version: nothing to compare it with yet." }];
    keyed(verdicts, treatments.length ? said : alone, drawVerdict);
    const heads = tick.versions.map((item) => ({
      key: item.version,
      label: item.version,
      about: ` ${item.role}, ${item.replicas} ready`,
      hue: hue(item.hue),
    }));
    keyed(head, [{ key: "", label: "Measure", about: "", hue: "" }, ...heads], drawHead);
    keyed(
      body,
      tick.rows.map((row) => ({ ...row, key: row.label, kind: String(row.values.length) })),
      drawMeasure,
    );
    last = charts.paused && last ? last : tick;
    drawCharts();
  }

  function drawCharts(): void {
    if (!last) {
      return;
    }
    const tick = last;
    const { time: times, version: versions } = tick.series;
    charts.name = tick.name;
    charts.offer(
      tick.versions.length > 1
        ? tick.versions.map(({ version, hue: index }) => ({ key: version, label: version, colour: hue(index) }))
        : [],
    );
    const chosen = tick.versions.filter(({ version }) => charts.isOn(version));
    const over = (column: string): Line[] =>
      chosen.map(({ version: name, hue: index }) => ({
        name,
        hue: index,
        points: times.flatMap((time, row) => {
          const value = tick.series[column][row] as number | null;
          return versions[row] === name ? [[time, value] as const] : [];
        }),
      }));
    const first = Math.min(tick.time, ...times);
    charts.follow([Math.max(tick.time - tick.seconds, Math.min(first, tick.time - 60)), tick.time]);
    charts.widestStep = Math.max(5, 3 * leastStep(times));
    percentiles.draw(
      chosen.map(({ version: name, hue: index }) => ({
        name,
        hue: index,
        points: tick.percentiles[name].map((value, place) => [place, value] as const),
      })),
    );
    latency.draw(over("latency_p95_ms"));
    const wrongs = new Map(over("errors").map((line) => [line.name, line.points.map(([, value]) => value)]));
    errors.draw(
      over("requests").map((line) => ({
        ...line,
        points: rollingShare(
          line.points.map(([time, requests], row) => {
            const wrong = wrongs.get(line.name)?.[row] ?? 0;
            return [time, wrong, requests ?? 0] as const;
          }),
          Math.max(60, tick.seconds / 5),
          FEWEST_REQUESTS,
        ),
      })),
    );
    traffic.draw(over("requests_per_second"));
  }

  const stop = panel.follow(view, take);
  return () => {
    stop();
    charts.destroy();
  };
}

/** Return the least step between different times, in seconds; 0 where there are none. */
function leastStep(times: readonly number[]): number {
  const sorted = [...new Set(times)].sort((a, b) => a - b);
  const steps = sorted.slice(1).map((time, index) => time - sorted[index]);
  return steps.length ? Math.min(...steps) : 0;
}

function drawVerdict(): Drawn<Keyed & { version: string; text: string }> {
  const version = make("b");
  const words = make("span");
  return {
    element: make("li", {}, version, words),
    update(item) {
      text(version, item.version);
      text(words, item.text);
    },
  };
}

function drawHead(): Drawn<Head> {
  const swatch = make("span", { class: "mlj-swatch", "aria-hidden": "true" });
  const label = make("span");
  const about = make("span", { class: "mlj-status" });
  return {
    element: make("th", { scope: "col" }, swatch, label, about),
    update(item) {
      swatch.hidden = item.hue === "";
      swatch.style.background = item.hue;
      text(label, item.label);
      text(about, item.about);
    },
  };
}

function drawMeasure(first: Measure & Keyed): Drawn<Measure & Keyed> {
  const label = make("th", { scope: "row" });
  const cells = first.values.map(() =>
    ["", "mlj-change", "mlj-interval"].map((style) => make("span", { class: style })),
  );
  return {
    element: make("tr", {}, label, ...cells.map((parts) => make("td", {}, ...parts))),
    update(row) {
      text(label, row.label);
      cells.forEach(([value, change, interval], index) => {
        const tone = row.tones[index - 1] ?? "";
        text(value, shown(row.values[index], row.unit));
        text(change, `${row.changes[index - 1] ?? ""} ${TONES[tone] ?? ""}`.trim());
        attribute(change, "data-tone", tone);
        text(interval, row.intervals[index]);
      });
    },
  };
}

export default { render };
