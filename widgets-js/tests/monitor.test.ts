import { beforeEach, describe, expect, it } from "vitest";

import monitor, { type MonitorTraits } from "../src/monitor";
import { button, one, show, words } from "./fake_model";

const NOW = 1_700_000_000;

const replica = (id: string, changed = {}) => ({
  id,
  version: "a",
  phase: "ready",
  started: NOW - 300,
  cpu: 0.25,
  memory: 80,
  gpu: null,
  gpu_memory: null,
  ...changed,
});
const version = (name: string, changed = {}) => ({
  version: name,
  is_default: name === "a",
  hue: name === "a" ? 0 : 1,
  percentile: name === "a" ? 90 : 10,
  weight: name === "a" ? 90 : 10,
  ready: 1,
  wanted: 2,
  ...changed,
});
const status = (changed = {}) => ({
  name: "churn",
  state: "Healthy",
  mark: "ok",
  uri: "http://localhost/score",
  authentication: "none",
  generation: 3,
  rollout: false,
  levels: { latency: [], errors: [], utilisation: [{ name: "target 70 %", value: 70 }] },
  versions: [version("a")],
  replicas: [replica("churn-1")],
  ...changed,
});
const seen = (changed = {}) => ({
  requests: 100,
  requests_per_second: 5,
  latency_p50_ms: 10,
  latency_p95_ms: 20,
  latency_p99_ms: 1500,
  wait_mean_ms: 1,
  run_mean_ms: 9,
  error_ratio: 0.01,
  client_error_ratio: 0.2,
  busy_mean: 0.5,
  traffic_observed: 100,
  ...changed,
});

let shown: ReturnType<typeof show<MonitorTraits>>;

function tick(changed: object = {}): void {
  shown.model.receive({ kind: "tick", time: NOW, status: status(), summary: { a: seen() }, ...changed });
}

function series(version: string, times: number[], value: number | null) {
  const column = times.map(() => value);
  const names = ["requests_per_second", "latency_p50_ms", "latency_p95_ms", "latency_p99_ms", "requests"];
  const more = ["run_mean_ms", "wait_mean_ms", "busy_mean", "replicas_wanted", "replicas_ready", "utilisation"];
  const errors = ["server_errors", "client_errors", "refused", "timeouts"];
  const columns = Object.fromEntries([...names, ...more, ...errors].map((name) => [name, column]));
  return { time: times, version: times.map(() => version), ...columns };
}

const number = (label: string) =>
  words(
    [...shown.el.querySelectorAll(".mlj-now li")].find((item) => words(item).startsWith(label))?.querySelector("b"),
  );
const log = () => one(shown.el, "[role=log]");
const table = (name: string) => one<HTMLTableElement>(shown.el, `table[aria-label=${name}]`);
const cells = (name: string) =>
  [...table(name).tBodies[0].rows].map((row) => seenCells(row).map((cell) => words(cell)));
const seenCells = (row: HTMLTableRowElement) => [...row.cells].filter((cell) => !cell.hidden);
const columns = (name: string) => seenCells(table(name).tHead!.rows[0]).map((cell) => words(cell));

beforeEach(() => {
  shown = show(monitor, { seconds: 300 });
});

describe("the monitor", () => {
  it("says hello and that it is looked at", () => {
    expect(shown.model.sent).toEqual([{ kind: "hello" }, { kind: "watch" }]);
  });

  it("is a region named after the endpoint, with its state in a mark, a colour and words", () => {
    tick();
    const region = one(shown.el, "section.mlj-panel");
    expect(words(document.getElementById(region.getAttribute("aria-labelledby") ?? ""))).toBe("churn");
    const state = one(shown.el, ".mlj-state");
    expect(words(state)).toBe("✓ Healthy");
    tick({ status: status({ state: "Failed", mark: "failed" }) });
    expect([words(state), state.dataset.state]).toEqual(["✗ Failed", "failed"]);
    expect(state.getAttribute("role")).toBe("status");
  });

  it("shows the numbers of now with their units", () => {
    tick();
    expect(number("Requests per second")).toBe("5");
    expect(number("p95 of the last minute")).toBe("20 ms");
    expect(number("Errors")).toBe("1 %");
    expect(number("Replicas ready")).toBe("1 / 2");
    tick({ summary: {} });
    expect(number("p95 of the last minute")).toBe("no requests");
    expect(number("Errors")).toBe("no requests");
    tick({ summary: { a: seen({ latency_p95_ms: null }) } });
    expect(number("p95 of the last minute")).toBe("–");
  });

  it("weighs the errors of versions by their requests", () => {
    const versions = [version("a"), version("b")];
    const summary = { a: seen({ requests: 300, error_ratio: 0 }), b: seen({ requests: 100, error_ratio: 0.04 }) };
    tick({ status: status({ versions }), summary });
    expect(number("Errors")).toBe("1 %");
  });

  it("lists versions and replicas", () => {
    tick();
    expect(cells("Versions")).toEqual([
      ["a (default)", "90 %", "100 %", "5", "10 ms", "20 ms", "1.50 s", "1 ms", "9 ms", "1 %", "20 %", "1/2"],
    ]);
    expect(cells("Replicas")).toEqual([["churn-1", "a", "ready", "0.25 cores", "80 MB", "5 min", "Log"]]);
  });

  it("has columns for GPUs only while a replica uses one", () => {
    tick();
    expect(columns("Replicas")).toEqual(["Replica", "Version", "State", "CPU", "Memory", "Age", "Log"]);
    const busy = replica("churn-2", { gpu: 87.5, gpu_memory: 2100 });
    tick({ status: status({ replicas: [replica("churn-1"), busy] }) });
    expect(columns("Replicas").slice(4, 7)).toEqual(["Memory", "GPU", "GPU memory"]);
    expect(cells("Replicas").map((row) => row.slice(4, 7))).toEqual([
      ["80 MB", "–", "–"],
      ["80 MB", "87.5 %", "2100 MB"],
    ]);
    tick({ status: status({ replicas: [replica("churn-1"), replica("churn-3")] }) });
    expect(cells("Replicas").map((row) => row.length)).toEqual([7, 7]);
  });

  it("keeps the focus on a button of a row while rows come and go", () => {
    tick();
    const opens = one(shown.el, "[aria-label='Log of churn-1']");
    opens.focus();
    tick({ status: status({ replicas: [replica("churn-0"), replica("churn-1")] }) });
    expect(document.activeElement).toBe(opens);
    tick({ status: status({ replicas: [replica("churn-1")] }) });
    expect(document.activeElement).toBe(opens);
  });

  it("adds what is new to what it has, and describes each chart", () => {
    tick({ whole: true, series: series("a", [NOW - 3, NOW - 2], 10) });
    tick({ series: series("a", [NOW - 2, NOW - 1], 30) });
    const latency = one(shown.el, "[aria-label^='Latency']").getAttribute("aria-label");
    expect(latency).toContain("p50 30 ms at the end, lowest 10 ms, highest 30 ms");
    expect(shown.el.querySelectorAll(".mlj-plot canvas")).toHaveLength(8);
    tick({ whole: true, series: series("a", [NOW - 1], 5) });
    expect(one(shown.el, "[aria-label^='Latency']").getAttribute("aria-label")).toContain("highest 5 ms");
  });

  it("names the lines of several versions after them, and the target of the autoscaler", () => {
    tick({ status: status({ versions: [version("a"), version("b")] }), series: series("b", [NOW - 1], 1) });
    const legends = [...shown.el.querySelectorAll(".mlj-legend")].map((item) => words(item));
    expect(legends[0]).toContain("b p95");
    expect(legends[3]).toContain("target 70 %");
  });

  it("switches versions and percentiles in all charts at once, and keeps a choice", () => {
    const versions = [version("a"), version("b")];
    const two = { status: status({ versions }), series: series("a", [NOW - 1], 1) };
    tick(two);
    const lines = () => [...shown.el.querySelectorAll(".mlj-legend li")].map((item) => words(item));
    const switches = one(shown.el, ".mlj-switches");
    expect([...switches.children].map((item) => words(item))).toEqual(["a", "b", "p50", "p95", "p99"]);
    button(switches, "b").click();
    button(switches, "p99").click();
    expect(lines().filter((line) => line.startsWith("b"))).toEqual([]);
    expect(lines()).toEqual(expect.arrayContaining([expect.stringMatching(/^a p95/)]));
    expect(lines()).not.toEqual(expect.arrayContaining([expect.stringMatching(/p99/)]));
    tick(two);
    expect(button(switches, "b").getAttribute("aria-pressed")).toBe("false");
    button(switches, "b").click();
    expect(lines().filter((line) => line.startsWith("b"))).not.toEqual([]);
  });

  it("draws one percentile of more than two versions until a person asks for more", () => {
    const versions = [version("a"), version("b"), version("c")];
    tick({ status: status({ versions }), series: series("a", [NOW - 1], 1) });
    const latency = () => words(one(shown.el, "[aria-label^='Latency,']").parentElement);
    expect([latency()?.includes("p95"), latency()?.includes("p50")]).toEqual([true, false]);
    button(one(shown.el, ".mlj-switches"), "p50").click();
    expect(latency()).toContain("c p50");
  });

  it("says how to send a request while there are none", () => {
    tick({ whole: true, series: series("a", [NOW - 2, NOW - 1], 0) });
    const empty = one(shown.el, ".mlj-empty");
    expect([empty.hidden, words(empty)]).toEqual([false, "No requests in this time. Send one: %invoke churn DATA"]);
    tick({ series: series("a", [NOW], 1) });
    expect(empty.hidden).toBe(true);
  });

  it("draws no needle for one failed request of one, and tells 4xx from 5xx", () => {
    tick({ whole: true, series: series("a", [NOW - 2, NOW - 1], 1) });
    expect(one(shown.el, "[aria-label^='Errors 5xx']").getAttribute("aria-label")).toContain("nothing was measured");
    const codes = one(shown.el, "[aria-label^='Errors per second']").getAttribute("aria-label");
    expect(codes).toContain("4xx 1 at the end");
    expect(codes).toContain("504 time limit 1 at the end");
  });

  it("stands still while it is paused, and goes on with all that came meanwhile", () => {
    tick({ whole: true, series: series("a", [NOW - 2], 1) });
    const shownTime = () => one(shown.el, "[aria-label^='Latency,']").getAttribute("aria-label")?.slice(0, 40);
    const before = shownTime();
    button(shown.el, "Pause").click();
    tick({ time: NOW + 100, series: series("a", [NOW + 99], 1) });
    expect(shownTime()).toBe(before);
    button(shown.el, "Pause").click();
    expect(shownTime()).not.toBe(before);
  });

  it("shows the scoring URI at the end, to be copied", () => {
    tick();
    expect(words(one(shown.el, "code.mlj-uri"))).toBe("http://localhost/score");
    expect(words(one(shown.el, "[aria-label='Copy the scoring URI']"))).toBe("Copy");
    tick({ status: status({ uri: "" }) });
    expect(one(shown.el, "code.mlj-uri").parentElement?.hidden).toBe(true);
  });

  it("lists the newest decisions first, and nothing where there are none", () => {
    tick();
    const list = one(shown.el, "[aria-label='Decisions about the number of replicas']");
    expect(list.parentElement?.hidden).toBe(true);
    const decision = (time: number, to: number) => ({ time, version: "a", from: 1, to, reason: "busy" });
    tick({ decisions: [decision(NOW - 9, 2), decision(NOW - 5, 3)] });
    expect([...list.children].map((item) => words(item.querySelector("b")))).toEqual(["1 → 3", "1 → 2"]);
    expect(list.parentElement?.hidden).toBe(false);
  });
});

describe("the router of a cluster", () => {
  const fields = () => [...shown.el.querySelectorAll(".mlj-fields div")].map((item) => words(item));
  const router = (changed = {}) => ({ fields: [["Pods", "2/3, 0.5 cores each"]], decisions: [], ...changed });

  it("is not shown for an endpoint on one machine", () => {
    tick({ whole: true });
    expect(one(shown.el, ".mlj-fields").parentElement?.hidden).toBe(true);
  });

  it("is shown with its size and its newest decisions, and stays while nothing changes", () => {
    tick({ router: router() });
    expect(one(shown.el, ".mlj-fields").parentElement?.hidden).toBe(false);
    expect(fields()).toEqual(["Pods2/3, 0.5 cores each"]);
    const decision = (time: number, step: string, change: string) => ({ time, words: [step, change, "slow"] });
    const decisions = [decision(NOW - 5, "Out", "3 → 4 pods"), decision(NOW - 9, "Up", "0.5 → 1 cores")];
    tick({ router: router({ fields: [["Pods", "4/4, 1 cores each"]], decisions }) });
    tick();
    expect(fields()).toEqual(["Pods4/4, 1 cores each"]);
    const list = one(shown.el, "[aria-label='Decisions about the router']");
    expect([...list.children].map((item) => words(item.querySelector("b")))).toEqual(["3 → 4 pods", "0.5 → 1 cores"]);
    expect(words(list)).toContain("slow");
  });
});

describe("the log", () => {
  it("is asked for when it is opened, of one replica or of all", () => {
    tick();
    button(shown.el, "Log").click();
    expect(shown.model.sentOfKind("log").at(-1)).toEqual({ kind: "log", open: true, replica: "churn-1" });
    tick({ log: "ready to score" });
    expect(words(log())).toBe("ready to score");
    button(shown.el, "Show all replicas").click();
    expect(shown.model.sentOfKind("log").at(-1)).toEqual({ kind: "log", open: true, replica: null });
  });

  it("says that a replica has ended when nothing of its log is kept", () => {
    tick();
    button(shown.el, "Log").click();
    expect(words(log())).toBe("Nothing yet.");
    tick({ status: status({ replicas: [] }), log: "" });
    expect(words(log())).toBe("churn-1 has ended, and no log of it is kept.");
  });

  it("shows what is kept of a replica that has ended", () => {
    tick();
    button(shown.el, "Log").click();
    tick({ status: status({ replicas: [] }), log: "out of memory" });
    expect(words(log())).toBe("out of memory");
  });
});

describe("actions", () => {
  const form = () => one<HTMLFormElement>(shown.el, "form.mlj-ask");

  it("ask before they act, and send the answers", () => {
    tick();
    button(shown.el, "Scale").click();
    expect(document.activeElement).toBe(one(form(), "select"));
    one<HTMLInputElement>(form(), "input").value = "2";
    form().requestSubmit();
    expect(shown.model.sentOfKind("act")).toEqual([
      { kind: "act", action: "scale", values: { version: "a", replicas: "2" } },
    ]);
    expect(form().hidden).toBe(true);
    expect(document.activeElement).toBe(button(one(shown.el, ".mlj-foot"), "Scale"));
    shown.model.receive({ kind: "said", text: "churn gets 2 replicas." });
    expect(words(one(shown.el, ".mlj-foot [role=status]"))).toBe("churn gets 2 replicas.");
  });

  it("roll back the state that was shown when they asked", () => {
    tick();
    button(shown.el, "Roll back").click();
    tick({ status: status({ generation: 4 }) });
    form().requestSubmit();
    expect(shown.model.sentOfKind("act").at(-1)).toMatchObject({ action: "rollback", values: { generation: "3" } });
  });

  it("say that a rollout was shown when they asked for its end", () => {
    tick({ status: status({ rollout: true }) });
    button(shown.el, "Roll back").click();
    form().requestSubmit();
    const values = { generation: "3", rollout: "true" };
    expect(shown.model.sentOfKind("act").at(-1)).toMatchObject({ values });
  });

  it("can be left with Escape without an effect", () => {
    tick();
    button(shown.el, "Roll back").click();
    expect(words(form())).toContain("Back to what was deployed before?");
    form().dispatchEvent(new KeyboardEvent("keydown", { key: "Escape" }));
    expect(form().hidden).toBe(true);
    expect(shown.model.sentOfKind("act")).toEqual([]);
  });

  it("are there only where they are possible", () => {
    tick();
    expect([button(shown.el, "Shift traffic").hidden, button(shown.el, "New key").hidden]).toEqual([true, true]);
    tick({ status: status({ versions: [version("a"), version("b")], authentication: "key" }) });
    expect([button(shown.el, "Shift traffic").hidden, button(shown.el, "New key").hidden]).toEqual([false, false]);
    button(shown.el, "Shift traffic").click();
    expect([...form().querySelectorAll("input")].map((input) => [input.name, input.value])).toEqual([
      ["a", "90"],
      ["b", "10"],
    ]);
  });
});

describe("shares", () => {
  const form = () => one<HTMLFormElement>(shown.el, "form.mlj-ask");
  const submit = (share: string) => {
    one<HTMLInputElement>(form(), "input[name=b]").value = share;
    form().requestSubmit();
    return words(one(form(), ".mlj-error"));
  };

  it("are asked for with those that hold, are not sent unchanged, and stay at a bad sum", () => {
    tick({ status: status({ versions: [version("a", { percentile: 0 }), version("b", { percentile: 30 })] }) });
    button(shown.el, "Shift traffic").click();
    expect([...form().querySelectorAll("input")].map((input) => input.value)).toEqual(["70", "30"]);
    expect(submit("30")).toBe("These are the shares now: change one.");
    expect(submit("40")).toBe("70 + 40 = 110 %: the shares must add up to 100 %.");
    expect(submit("x")).toContain("is not a share");
    expect(form().hidden).toBe(false);
    expect(shown.model.sentOfKind("act")).toEqual([]);
    one<HTMLInputElement>(form(), "input[name=a]").value = "60";
    submit("40");
    expect(shown.model.sentOfKind("act")).toMatchObject([{ action: "traffic", values: { a: "60", b: "40" } }]);
    shown.model.receive({ kind: "said", text: "A rollout is under way.", failed: true });
    expect(form().hidden).toBe(false);
    expect([...form().querySelectorAll("input")].map((input) => input.value)).toEqual(["60", "40"]);
  });
});

describe("the end", () => {
  it("of data is said until they come again", () => {
    tick({ problem: "The controller does not answer." });
    expect(words(one(shown.el, ".mlj-stale"))).toBe("The controller does not answer.");
    tick();
    expect(words(one(shown.el, ".mlj-stale"))).toBe("");
  });

  it("of the kernel is said, and no action is possible any more", () => {
    tick();
    shown.model.endKernel();
    expect(words(one(shown.el, ".mlj-stale"))).toContain("The kernel has ended.");
    expect(one(shown.el, ".mlj-foot").inert).toBe(true);
    expect(one(shown.el, "section.mlj-panel").classList.contains("mlj-dead")).toBe(true);
  });

  it("of the view ends everything it listens to", () => {
    tick();
    shown.stop();
    expect(shown.model.listeners).toBe(0);
    expect(shown.el.querySelector("canvas")).toBeNull();
  });
});
