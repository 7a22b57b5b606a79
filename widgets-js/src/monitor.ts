/**
 * The monitor of one endpoint: numbers of now, charts, versions, replicas, decisions, logs and actions.
 *
 * Python sends a message for each tick with what is new; this module keeps the newest quarter of an hour and draws. A
 * view that appears later says hello and gets everything. Nothing is drawn or asked for while nobody sees it.
 */

import "../node_modules/uplot/dist/uPlot.min.css";
import "./base.css";
import "./panels.css";
import "./charts.css";
import "./monitor.css";

import { ChartGroup, type Level, type Mark } from "./charts";
import {
  type Drawn,
  type Keyed,
  MARKS,
  attribute,
  copyFrom,
  hue,
  isAtEnd,
  keyed,
  make,
  scrollToEnd,
  scrollable,
  text,
} from "./dom";
import { clock, duration, shown } from "./format";
import type { Stop, View } from "./model";
import { type Action, type Message, Panel } from "./panel";
import { type Line, type Range, rollingShare } from "./series";
import { table } from "./table";

const KEPT_SECONDS = 900;
const WIDEST_STEP = 5; // there is a measurement for each second; after more than this, the line has a gap
const WINDOWS = [
  [60, "1 minute"],
  [300, "5 minutes"],
  [900, "15 minutes"],
] as const;
const MOST_DECISIONS = 6;
const PERCENTILES = ["p50", "p95", "p99"];
/** The ends of the parts of the histogram, in milliseconds where there is no unit; Python sends a share for each. */
const LATENCIES = ["1", "2", "5", "10", "20", "50", "100", "200", "500", "1 s", "2 s", "5 s", "10 s", "more"];
const ROLLING_SECONDS = 60;
const FEWEST_REQUESTS = 20; // one error of fewer would draw a needle

/** The traits of the Python object. */
export interface MonitorTraits {
  seconds: number;
}

/** What is measured of a version over the last minute; null or absent where nothing was. */
type Summary = Partial<Record<string, number | null>>;

interface Version {
  version: string;
  is_default: boolean;
  hue: number;
  percentile: number;
  weight: number;
  ready: number;
  wanted: number;
}

interface Replica {
  id: string;
  version: string;
  phase: string;
  started: number | null;
  cpu: number | null;
  memory: number | null;
  gpu: number | null;
  gpu_memory: number | null;
}

interface Status {
  name: string;
  state: string;
  mark: string;
  uri: string;
  authentication: string;
  generation: number;
  rollout: boolean;
  levels: Record<"latency" | "errors" | "utilisation", Level[]>;
  versions: Version[];
  replicas: Replica[];
}

interface Decision {
  time: number;
  version: string;
  from: number;
  to: number;
  reason: string;
}

/** The size of a cluster's router: names and values, and the newest decisions of its self-scaling, newest first. */
interface Router {
  fields: [name: string, value: string][];
  decisions: { time: number; words: [step: string, change: string, reason: string] }[];
}

type Columns = { time: number[]; version: string[] } & Record<string, (number | string | null)[]>;

interface Tick extends Message {
  time: number;
  whole?: boolean;
  status?: Status;
  summary?: Record<string, Summary>;
  series?: Columns;
  histogram?: Record<string, number[]>;
  marks?: Mark[];
  decisions?: Decision[];
  router?: Router;
  log?: string;
}

type Row = Version & Keyed & { summary: Summary; colour: string };

/** A line of each version: the column, what it is called, and the factor to the unit of the chart. */
type Part = readonly [column: string, label: string, factor?: number];

/** The measurements of the newest time, by version. */
class History {
  readonly #points = new Map<string, Map<number, Record<string, number | null>>>();

  /** Take columns in: points of a time that is known are replaced, older ones than `oldest` are dropped. */
  add(columns: Columns, oldest: number): void {
    const names = Object.keys(columns).filter((name) => name !== "version");
    columns.time.forEach((time, index) => {
      const version = columns.version[index];
      const points = this.#points.get(version) ?? new Map<number, Record<string, number | null>>();
      this.#points.set(version, points);
      points.set(time, Object.fromEntries(names.map((name) => [name, columns[name][index] as number | null])));
    });
    for (const points of this.#points.values()) {
      for (const time of points.keys()) {
        if (time < oldest) {
          points.delete(time);
        }
      }
    }
  }

  /** Return the time of the first measurement, or the given one where there is none. */
  first(otherwise: number): number {
    return Math.min(otherwise, ...[...this.#points.values()].flatMap((points) => [...points.keys()].slice(0, 1)));
  }

  /** Return the points of one column of a version. */
  column(version: string, name: string, factor = 1): [number, number | null][] {
    return [...(this.#points.get(version)?.entries() ?? [])].map(([time, point]) => {
      const value = point[name] ?? null;
      return [time, value === null ? null : value * factor];
    });
  }

  /** Return the errors of a version in percent of its requests, over the time before each second. */
  errors(version: string): Line["points"] {
    const points = [...(this.#points.get(version)?.entries() ?? [])].map(([time, point]) => {
      const wrong = (point.server_errors ?? 0) + (point.refused ?? 0) + (point.timeouts ?? 0);
      return [time, wrong, point.requests ?? 0] as const;
    });
    return rollingShare(points, ROLLING_SECONDS, FEWEST_REQUESTS);
  }

  /** Return whether there was a request since a time. */
  isUsed(since: number): boolean {
    return [...this.#points.values()].some((points) =>
      [...points].some(([time, { requests }]) => time >= since && (requests ?? 0) > 0),
    );
  }

  clear(): void {
    this.#points.clear();
  }
}

const drawNumber = pair("li", "span", "b");
const drawField = pair("div", "dt", "dd");

function render(view: View<MonitorTraits>): Stop {
  const { model } = view;
  const options = WINDOWS.map(([value, label]) => make("option", { value }, label));
  const choice = make("select", { "aria-label": "Time shown", change: chooseWindow }, ...options);
  choice.value = String(WINDOWS.find(([value]) => value >= model.get("seconds"))?.[0] ?? KEPT_SECONDS);
  const panel = new Panel<Tick>("mlj-monitor", choice);
  const state = make("span", { class: "mlj-state", role: "status", "aria-live": "polite" });
  panel.title.after(state);

  const history = new History();
  let time = 0;
  let status: Status | null = null;
  let summary: Record<string, Summary> = {};
  let decisions: Decision[] = [];
  let histogram: Record<string, number[]> = {};
  let shownUntil = 0;
  let router: Router = { fields: [], decisions: [] };
  let logText = "";
  let only: string | null = null;
  const shares = () => configuredShares(status?.versions ?? []);
  const versions = () => status?.versions.map((item) => item.version) ?? [];

  const now = make("ul", { class: "mlj-now" });
  const charts = new ChartGroup();
  charts.widestStep = WIDEST_STEP;
  charts.changed = draw;
  const latency = charts.add({ title: "Latency", unit: "ms" });
  const traffic = charts.add({ title: "Requests per second" });
  const replicas = charts.add({ title: "Replicas" });
  const utilisation = charts.add({ title: "Utilisation", unit: "%" });
  const wait = charts.add({ title: "Waiting and running time", unit: "ms" });
  const errors = charts.add({ title: "Errors 5xx, last minute", unit: "%" });
  const codes = charts.add({ title: "Errors per second, by status code" });
  const spread = charts.add({ title: "Duration of requests, last minute", unit: "%", places: LATENCIES });

  const milliseconds = (name: string, key: string) => ({
    name,
    number: true,
    of: (row: Row) => shown(row.summary[key], "ms"),
  });
  const versionTable = table<Row>("Versions", [
    { name: "Version", draw: drawName },
    { name: "Share configured", number: true, of: (row) => shown(row.weight, "%") },
    { name: "Share measured", draw: drawShare },
    { name: "Requests/s, last 10 s", number: true, of: (row) => shown(row.summary.requests_per_second) },
    milliseconds("p50", "latency_p50_ms"),
    milliseconds("p95", "latency_p95_ms"),
    milliseconds("p99", "latency_p99_ms"),
    milliseconds("Wait", "wait_mean_ms"),
    milliseconds("Run", "run_mean_ms"),
    { name: "5xx", number: true, of: (row) => shown(percent(row.summary.error_ratio), "%") },
    { name: "4xx", number: true, of: (row) => shown(percent(row.summary.client_error_ratio), "%") },
    { name: "Replicas", number: true, of: (row) => `${row.ready}/${row.wanted}` },
  ]);
  const anyGpu = (items: readonly Replica[]) => items.some((item) => item.gpu !== null || item.gpu_memory !== null);
  const replicaTable = table<Replica & Keyed>("Replicas", [
    { name: "Replica", of: (item) => item.key },
    { name: "Version", of: (item) => item.version },
    { name: "State", of: (item) => item.phase },
    { name: "CPU", number: true, of: (item) => (item.cpu === null ? "–" : `${item.cpu.toFixed(2)} cores`) },
    { name: "Memory", number: true, of: (item) => shown(item.memory, "MB") },
    { name: "GPU", number: true, when: anyGpu, of: (item) => shown(item.gpu, "%") },
    { name: "GPU memory", number: true, when: anyGpu, of: (item) => shown(item.gpu_memory, "MB") },
    { name: "Age", number: true, of: (item) => (item.started ? duration(time - item.started) : "–") },
    { name: "Log", draw: drawLogButton },
  ]);
  const decided = make("ol", { class: "mlj-decisions", "aria-label": "Decisions about the number of replicas" });
  const whyPart = part("Scaling decisions", decided);

  const routerFields = make("dl", { class: "mlj-fields" });
  const routerDecided = make("ol", { class: "mlj-decisions", "aria-label": "Decisions about the router" });
  const routerPart = part("Router of the cluster", routerFields, routerDecided);

  const log = make("pre", { tabindex: 0, role: "log", "aria-label": "Last lines of the log" });
  const whose = make("span", {}, "Log of all replicas");
  const showAll = make(
    "button",
    {
      type: "button",
      class: "mlj-small",
      click: () => {
        showLog(null);
      },
    },
    "Show all replicas",
  );
  const logBox = make(
    "details",
    { class: "mlj-code mlj-log", toggle: tellLog },
    make("summary", {}, whose),
    showAll,
    log,
  );

  const code = make("code", { class: "mlj-uri" });
  const copy = make(
    "button",
    { type: "button", class: "mlj-small", "aria-label": "Copy the scoring URI", click: () => void copyUri() },
    "Copy",
  );
  const address = part("Scoring URI", code, copy);

  panel.body.append(
    now,
    charts.element,
    part("Versions, over the last minute", versionTable.element),
    part("Replicas", replicaTable.element),
    whyPart,
    routerPart,
    logBox,
    address,
  );
  const act = (action: string) => (values: Record<string, string>) => {
    model.send({ kind: "act", action, values });
  };
  // Of two people who roll back the same state, the second one does not undo what the first one did.
  const seenState = (): Record<string, string> =>
    status ? { generation: String(status.generation), ...(status.rollout ? { rollout: "true" } : {}) } : {};
  const actions: Action[] = [
    {
      label: "Shift traffic",
      isPossible: () => versions().length > 1,
      questions: () => shares().map(([key, value]) => ({ key, label: `${key} %`, value })),
      check: (answers) => wrongShares(shares(), answers),
      run: act("traffic"),
    },
    {
      label: "Scale",
      questions: () => [
        { key: "version", label: "Version", options: versions() },
        { key: "replicas", label: "Replicas, or minimum:maximum" },
      ],
      run: act("scale"),
    },
    {
      label: "Restart",
      questions: () => [{ key: "version", label: "Restart all replicas of", options: versions() }],
      run: act("restart"),
    },
    { label: "Roll back", confirm: "Back to what was deployed before?", seen: seenState, run: act("rollback") },
    {
      label: "New key",
      isPossible: () => status?.authentication === "key",
      questions: () => [{ key: "key", label: "Replace the key", options: ["Secondary", "Primary"] }],
      run: act("key"),
    },
  ];
  actions.forEach((action) => {
    panel.addAction(action);
  });

  function take(tick: Tick): void {
    if (tick.whole) {
      history.clear();
    }
    time = tick.time;
    histogram = tick.histogram ?? histogram;
    charts.marks = tick.marks ?? charts.marks;
    status = tick.status ?? status;
    summary = tick.summary ?? summary;
    decisions = tick.decisions ?? decisions;
    router = tick.router ?? router;
    logText = tick.log ?? logText;
    if (tick.series) {
      history.add(tick.series, time - KEPT_SECONDS);
    }
    draw();
  }

  function chooseWindow(): void {
    charts.zoom(null);
    draw();
  }

  function draw(): void {
    if (!status) {
      return;
    }
    text(panel.title, status.name);
    text(state, `${MARKS[status.mark]} ${status.state}`);
    attribute(state, "data-state", status.mark);
    text(code, status.uri);
    address.hidden = !status.uri;
    drawCharts(status);
    const rows = status.versions.map((item) => ({
      ...item,
      key: item.version,
      summary: summary[item.version] ?? {},
      colour: hue(item.hue),
    }));
    versionTable.draw(rows);
    replicaTable.draw(status.replicas.map((item) => ({ ...item, key: item.id })));
    drawNumbers(rows);
    whyPart.hidden = decisions.length === 0;
    const newest = decisions.slice(-MOST_DECISIONS).reverse();
    keyed(
      decided,
      newest.map(({ time: when, version, from, to, reason }) => ({
        key: `${when}${version}`,
        words: [clock(when), version, `${from} → ${to}`, reason],
      })),
      drawDecision,
    );
    drawRouter();
    writeLog();
    panel.updateActions();
  }

  function drawCharts({ versions: all, levels, name }: Status): void {
    const several = all.length > 1;
    charts.name = name;
    charts.offer([
      ...(several ? all : []).map((item) => ({ key: item.version, label: item.version, colour: hue(item.hue) })),
      ...PERCENTILES.map((label) => ({ key: `of ${label}`, label, isOn: all.length < 3 || label === "p95" })),
    ]);
    if (!charts.paused) {
      shownUntil = time;
    }
    const from = shownUntil - Number(choice.value);
    const window: Range = [Math.max(from, Math.min(history.first(time), shownUntil - 60)), shownUntil];
    charts.follow(window);
    charts.explain(history.isUsed(from) ? "" : `No requests in this time. Send one: %invoke ${name} DATA`);
    const chosen = all.filter(({ version }) => charts.isOn(version));
    const lines = (parts: readonly (readonly [label: string, of: (version: string) => Line["points"]])[]): Line[] =>
      chosen.flatMap(({ version, hue: index }) =>
        parts.map(([label, of], dash) => ({
          name: several ? `${version} ${label}`.trim() : label || version,
          hue: index,
          dash,
          points: of(version),
        })),
      );
    const each = (...parts: Part[]) =>
      lines(parts.map(([column, label, factor]) => [label, (version) => history.column(version, column, factor)]));
    latency.draw(
      each(...PERCENTILES.map((label): Part => [`latency_${label}_ms`, label])).filter(({ name: line }) =>
        charts.isOn(`of ${line.split(" ").at(-1)}`),
      ),
      levels.latency,
    );
    traffic.draw(each(["requests_per_second", ""]));
    replicas.draw(each(["replicas_ready", "ready"], ["replicas_wanted", "wanted"], ["busy_mean", "busy"]));
    utilisation.draw(each(["utilisation", ""]), levels.utilisation);
    wait.draw(each(["run_mean_ms", "run"], ["wait_mean_ms", "wait"]));
    errors.draw(lines([["", (version) => history.errors(version)]]), levels.errors);
    codes.draw(
      each(
        ["server_errors", "5xx"],
        ["client_errors", "4xx"],
        ["refused", "503 no replica free"],
        ["timeouts", "504 time limit"],
      ).filter(({ points }) => points.some(([, value]) => value)),
    );
    spread.draw(lines([["", (version) => (histogram[version] ?? []).map((value, place) => [place, value] as const)]]));
  }

  function copyUri(): Promise<void> {
    return copyFrom(copy, code.textContent, code);
  }

  function drawNumbers(rows: Row[]): void {
    const total = (key: string) => rows.reduce((sum, row) => sum + (row.summary[key] ?? 0), 0);
    const slowest = Math.max(...rows.map((row) => row.summary.latency_p95_ms ?? -1));
    const answered = total("requests");
    const wrong = rows.reduce((sum, { summary: seen }) => sum + (seen.error_ratio ?? 0) * (seen.requests ?? 0), 0);
    const ready = rows.reduce((sum, row) => sum + row.ready, 0);
    const wanted = rows.reduce((sum, row) => sum + row.wanted, 0);
    const none = answered ? "–" : "no requests"; // an error before the model runs has no latency
    const numbers = [
      ["Requests per second, last 10 s", shown(total("requests_per_second"))],
      ["p95 of the last minute", slowest < 0 ? none : shown(slowest, "ms")],
      ["Errors of the last minute", answered ? shown((100 * wrong) / answered, "%") : none],
      ["Busy replicas, last 10 s", shown(total("busy_mean"))],
      ["Replicas ready", `${ready} / ${wanted}`],
    ];
    keyed(
      now,
      numbers.map(([key, value]) => ({ key, value })),
      drawNumber,
    );
  }

  /** Draw the size of the router. An endpoint on one machine has none. */
  function drawRouter(): void {
    routerPart.hidden = router.fields.length === 0;
    keyed(
      routerFields,
      router.fields.map(([key, value]) => ({ key, value })),
      drawField,
    );
    keyed(
      routerDecided,
      router.decisions.map(({ time: when, words }) => ({ key: `${when}`, words: [clock(when), ...words] })),
      drawDecision,
    );
  }

  /** Write the log of all replicas, or of the one that was chosen. */
  function writeLog(): void {
    const atEnd = isAtEnd(log);
    const ended = only !== null && status !== null && !status.replicas.some((item) => item.id === only);
    text(log, logText || (ended ? `${only} has ended, and no log of it is kept.` : "Nothing yet."));
    text(whose, only ? `Log of ${only}` : "Log of all replicas");
    showAll.hidden = only === null;
    if (atEnd) {
      scrollToEnd(log);
    }
  }

  function tellLog(): void {
    model.send({ kind: "log", open: logBox.open, replica: only });
  }

  function showLog(replica: string | null): void {
    only = replica;
    logText = "";
    logBox.open = true;
    tellLog();
    writeLog();
    log.focus();
  }

  function drawLogButton(): Drawn<Replica & Keyed> {
    let replica = "";
    const element = make(
      "button",
      {
        type: "button",
        class: "mlj-small",
        click: () => {
          showLog(replica);
        },
      },
      "Log",
    );
    return {
      element,
      update(item) {
        replica = item.key;
        attribute(element, "aria-label", `Log of ${replica}`);
      },
    };
  }

  const stop = panel.follow(view, take);
  return () => {
    stop();
    charts.destroy();
  };
}

/** Return the share of each version that is configured. The default version gets what the others leave. */
function configuredShares(versions: readonly Version[]): [name: string, share: number][] {
  const others = versions.reduce((sum, item) => sum + (item.is_default ? 0 : item.percentile), 0);
  return versions.map((item) => [item.version, item.is_default ? 100 - others : item.percentile]);
}

/** Return why shares cannot be set: one is no share, they do not make 100, or nothing would change. */
function wrongShares(now: readonly [name: string, share: number][], answers: Record<string, string>): string {
  const asked = now.map(([name]) => answers[name]?.trim() || "0");
  const wrong = asked.findIndex((share) => !/^\d{1,3}$/.test(share) || Number(share) > 100);
  if (wrong >= 0) {
    return `${now[wrong][0]}: ${asked[wrong]} is not a share. Write a whole number from 0 to 100.`;
  }
  const sum = asked.reduce((total, share) => total + Number(share), 0);
  if (sum !== 100) {
    return `${asked.join(" + ")} = ${sum} %: the shares must add up to 100 %.`;
  }
  return now.every(([, share], index) => share === Number(asked[index])) ? "These are the shares now: change one." : "";
}

function percent(ratio: number | null | undefined): number | null {
  return ratio === null || ratio === undefined ? null : 100 * ratio;
}

function part(label: string, ...content: HTMLElement[]): HTMLElement {
  return scrollable(make("section", { class: "mlj-part", "aria-label": label }, make("h3", {}, label), ...content));
}

function drawName(): Drawn<Row> {
  const swatch = make("span", { class: "mlj-swatch", "aria-hidden": "true" });
  const name = make("span");
  return {
    element: make("span", {}, swatch, name),
    update(row) {
      swatch.style.background = row.colour;
      text(name, row.is_default ? `${row.key} (default)` : row.key);
    },
  };
}

/** The measured share of the requests in words, and as a bar with a mark at the configured share. */
function drawShare(): Drawn<Row> {
  const words = make("span");
  const bar = make("i");
  const mark = make("b");
  return {
    element: make("span", {}, words, make("span", { class: "mlj-share", "aria-hidden": "true" }, bar, mark)),
    update(row) {
      const observed = row.summary.traffic_observed;
      text(words, shown(observed, "%"));
      bar.style.width = `${observed ?? 0}%`;
      mark.style.left = `${Math.min(row.weight, 98)}%`;
    },
  };
}

/** A decision in four words: when, about what, the change, the reason. */
function drawDecision(): Drawn<Keyed & { words: string[] }> {
  const parts = [make("span"), make("span"), make("b"), make("span")];
  return {
    element: make("li", {}, ...parts),
    update({ words }) {
      words.forEach((word, index) => {
        text(parts[index], word);
      });
    },
  };
}

/** Return a function that draws a name and its value, with the given elements. */
function pair(outer: "li" | "div", name: "span" | "dt", inner: "b" | "dd") {
  return (first: Keyed): Drawn<Keyed & { value: string }> => {
    const value = make(inner);
    return {
      element: make(outer, {}, make(name, {}, first.key), value),
      update(item) {
        text(value, item.value);
      },
    };
  };
}

export default { render };
