/**
 * One endpoint while it serves: numbers of now, charts, versions, replicas, decisions, and what can be done.
 *
 * Python sends one message for each tick with what is new; this module keeps the window and draws. A view that appears
 * later says hello and gets everything. Nothing is drawn or asked for while nobody looks.
 */

const WATCH_SECONDS = 4;

function render({ model, el }) {
  const name = `mlj-${Math.random().toString(36).slice(2, 8)}`;
  const title = make("h2", { id: name });
  const state = make("span", { class: "mlj-state", role: "status", "aria-live": "polite" });
  const uri = make("span", { class: "mlj-uri" });
  const stale = make("span", { class: "mlj-stale", role: "status" });
  const choice = make("select", { "aria-label": "Time shown", change: () => draw() },
    ...[[60, "1 minute"], [300, "5 minutes"], [900, "15 minutes"]].map(([value, label]) => make("option", { value }, label)));
  choice.value = ["60", "300", "900"].find((value) => Number(value) >= model.get("seconds")) ?? "900";
  const now = make("ul", { class: "mlj-now" });
  const charts = {
    latency: chart("Latency", "ms"), traffic: chart("Requests per second", ""), replicas: chart("Replicas", ""),
    utilisation: chart("Utilisation", "%"), wait: chart("Waiting and running time", "ms"), errors: chart("Errors", "%"),
  };
  const colour = (version) => COLOURS[Math.max(0, versions.indexOf(version)) % COLOURS.length];
  const versionTable = table("Versions", [
    { name: "Version", fill: (cell, item) => named(cell, item) },
    { name: "Traffic", fill: (cell, item) => share(cell, item) },
    { name: "Requests/s", number: true, of: (item) => shown(item.requests_per_second) },
    { name: "p50", number: true, of: (item) => shown(item.latency_p50_ms, "ms") },
    { name: "p95", number: true, of: (item) => shown(item.latency_p95_ms, "ms") },
    { name: "p99", number: true, of: (item) => shown(item.latency_p99_ms, "ms") },
    { name: "Wait", number: true, of: (item) => shown(item.wait_mean_ms, "ms") },
    { name: "Run", number: true, of: (item) => shown(item.run_mean_ms, "ms") },
    { name: "Errors", number: true, of: (item) => shown(item.error_ratio === null ? null : 100 * item.error_ratio, "%") },
    { name: "Replicas", number: true, of: (item) => `${item.ready}/${item.wanted}` },
  ]);
  const replicaTable = table("Replicas", [
    { name: "Replica", of: (item) => item.key },
    { name: "Version", of: (item) => item.version },
    { name: "State", of: (item) => item.phase },
    { name: "CPU", number: true, of: (item) => (item.cpu === null ? "–" : `${item.cpu.toFixed(2)} cores`) },
    { name: "Memory", number: true, of: (item) => shown(item.memory, "MB") },
    { name: "Age", number: true, of: (item) => (item.started ? age(held.time - item.started) : "–") },
    { name: "Log", fill: (cell, item) => logButton(cell, item.key) },
  ]);
  const decisions = make("ol", { class: "mlj-decisions", "aria-label": "Decisions about the number of replicas" });
  const log = make("pre", { tabindex: "0", role: "log", "aria-label": "Last lines of the log" });
  const whose = make("span", {}, "Log of all replicas");
  const all = make("button", { type: "button", class: "mlj-small", hidden: true, click: () => showLog(null) }, "Show all replicas");
  const logBox = make("details", { class: "mlj-code mlj-log", toggle: () => tellLog() },
    make("summary", {}, whose), all, log);
  const said = make("span", { class: "mlj-status", role: "status", "aria-live": "polite" });
  const ask = make("form", { class: "mlj-ask", hidden: true });
  const foot = make("div", { class: "mlj-foot" }, said, make("span", { class: "mlj-space" }));
  const section = (label, content) => make("section", { class: "mlj-part" }, make("h3", {}, label), content);
  const decided = section("Why so many replicas", decisions);
  const root = make("section", { class: "mlj mlj-panel mlj-monitor", "aria-labelledby": name },
    make("div", { class: "mlj-head" }, title, state, uri, make("span", { class: "mlj-space" }), stale, choice),
    now, make("div", { class: "mlj-charts" }, ...Object.values(charts).map((item) => item.element)),
    section("Versions", versionTable.element), section("Replicas", replicaTable.element), decided, logBox, ask, foot);
  el.append(root);
  root.addEventListener("keydown", (event) => event.stopPropagation());

  let versions = [];
  let only = null;
  let held = { time: 0, points: new Map(), status: null };

  /** What can be done: its label, what is asked before, and what is sent. */
  const actions = [
    { key: "traffic", label: "Shift traffic", when: () => versions.length > 1, fields: () => versions.map((version) => ({ key: version, label: `${version} %`, value: held.status.versions.find((item) => item.version === version).percentile })) },
    { key: "scale", label: "Scale", fields: () => [{ key: "version", label: "Version", options: versions }, { key: "replicas", label: "Replicas, or least:most", value: "" }] },
    { key: "restart", label: "Restart", fields: () => [{ key: "version", label: "Restart all replicas of", options: versions }] },
    { key: "rollback", label: "Roll back", confirm: "Back to what was deployed before?" },
    { key: "key", label: "New key", when: () => held.status.authentication === "key", fields: () => [{ key: "key", label: "Replace the key", options: ["Secondary", "Primary"] }] },
  ];
  for (const action of actions) {
    action.button = make("button", { type: "button", click: () => open(action) }, action.label);
    foot.append(action.button);
  }

  function open(action) {
    const fields = action.fields?.() ?? [];
    const inputs = fields.map((field) => field.options
      ? make("select", { name: field.key, id: `${name}-${field.key}` }, ...field.options.map((option) => make("option", { value: option }, option)))
      : make("input", { type: "text", name: field.key, id: `${name}-${field.key}`, value: field.value ?? "" }));
    ask.replaceChildren(
      ...(action.confirm ? [make("span", {}, action.confirm)] : []),
      ...inputs.flatMap((input, index) => [make("label", { for: input.id }, fields[index].label), input]),
      make("button", { type: "submit", class: "mlj-primary" }, action.label),
      make("button", { type: "button", click: () => close(action) }, "Cancel"));
    ask.onsubmit = (event) => {
      event.preventDefault();
      model.send({ kind: "act", action: action.key, values: Object.fromEntries(new FormData(ask)) });
      text(said, "Working …");
      close(action);
    };
    ask.onkeydown = (event) => { if (event.key === "Escape") close(action); };
    ask.hidden = false;
    (inputs[0] ?? ask.querySelector("button")).focus();
  }

  function close(action) {
    ask.hidden = true;
    action.button.focus();
  }

  function named(cell, item) {
    if (!cell.firstChild) cell.append(make("span", { class: "mlj-swatch", "aria-hidden": "true" }), make("span"));
    cell.firstChild.style.background = colour(item.key);
    text(cell.lastChild, item.is_default ? `${item.key} (default)` : item.key);
  }

  function logButton(cell, replica) {
    if (!cell.firstChild) cell.append(make("button", { type: "button", class: "mlj-small", "aria-label": `Log of ${replica}`, click: () => showLog(replica) }, "Log"));
  }

  function share(cell, item) {
    if (!cell.firstChild) cell.append(make("span"), make("span", { class: "mlj-share", "aria-hidden": "true" }, make("i"), make("b")));
    text(cell.firstChild, `${shown(item.traffic_observed, "%")} of ${shown(item.weight, "%")}`);
    const [bar, mark] = cell.lastChild.children;
    bar.style.width = `${item.traffic_observed ?? 0}%`;
    mark.style.left = `${Math.min(item.weight, 98)}%`;
  }

  /** Take a message in: columns of what is new replace points of the same time and follow the others. */
  function take(message) {
    if (message.whole) held = { time: 0, points: new Map(), status: null };
    held.time = message.time;
    held.status = message.status ?? held.status;
    held.decisions = message.decisions ?? held.decisions ?? [];
    held.summary = message.summary ?? held.summary;
    held.log = message.log ?? held.log;
    const columns = message.series;
    columns?.time.forEach((time, index) => {
      const version = columns.version[index];
      if (!held.points.has(version)) held.points.set(version, new Map());
      held.points.get(version).set(time, Object.fromEntries(Object.keys(columns).map((key) => [key, columns[key][index]])));
    });
    for (const points of held.points.values()) for (const time of points.keys()) if (time < held.time - 900) points.delete(time);
    draw();
  }

  function draw() {
    if (!held.status) return;
    const first = Math.min(held.time, ...[...held.points.values()].flatMap((points) => [...points.keys()].slice(0, 1)));
    const window = [Math.max(held.time - Number(choice.value), Math.min(first, held.time - 60)), held.time];
    const status = held.status;
    versions = status.versions.map((item) => item.version);
    text(title, status.name);
    text(state, `${MARKS[status.mark]} ${status.state}`);
    attribute(state, "data-state", status.mark);
    text(uri, status.uri);
    const line = (version, key, label, dash, scale = 1) => ({
      name: versions.length > 1 ? `${version} ${label}`.trim() : label || version, colour: colour(version), dash,
      points: [...(held.points.get(version)?.values() ?? [])].map((point) => [point.time, point[key] === null ? null : point[key] * scale]),
    });
    const each = (...parts) => versions.flatMap((version) => parts.map((part, index) => line(version, part[0], part[1], index, part[2])));
    charts.latency.draw(each(["latency_p50_ms", "p50"], ["latency_p95_ms", "p95"], ["latency_p99_ms", "p99"]), window);
    charts.traffic.draw(each(["requests_per_second", ""]), window);
    charts.replicas.draw(each(["replicas_ready", "ready"], ["replicas_wanted", "wanted"], ["busy_mean", "busy"]), window, undefined, held.decisions.map((item) => item.time));
    const target = status.target_utilisation;
    const goal = target ? [{ name: `target ${target} %`, colour: "currentColor", dash: 1, points: [[window[0], target], [window[1], target]] }] : [];
    charts.utilisation.draw([...each(["utilisation", "", 1]), ...goal], window);
    charts.wait.draw(each(["run_mean_ms", "run"], ["wait_mean_ms", "wait"]), window);
    charts.errors.draw(each(["error_ratio", "", 100]), window);
    const rows = status.versions.map((item) => ({ ...item, key: item.version, ...held.summary?.[item.version] }));
    versionTable.draw(rows.map((row) => ({ traffic_observed: null, requests_per_second: null, latency_p50_ms: null, latency_p95_ms: null, latency_p99_ms: null, wait_mean_ms: null, run_mean_ms: null, error_ratio: null, ...row })));
    replicaTable.draw(status.replicas.map((item) => ({ ...item, key: item.id })));
    numbers(rows, status);
    decided.hidden = held.decisions.length === 0;
    keyed(decisions, held.decisions.slice(-6).reverse().map((item) => ({ ...item, key: `${item.time}${item.version}` })),
      () => make("li", {}, make("span"), make("span"), make("b"), make("span")),
      (item, decision) => [clock(decision.time), decision.version, `${decision.from} → ${decision.to}`, decision.reason].forEach((part, index) => text(item.children[index], part)));
    written();
    for (const action of actions) action.button.hidden = action.when ? !action.when() : false;
  }

  /** The log of all replicas, or of the one that was chosen. */
  function written() {
    const atEnd = log.scrollTop + log.clientHeight >= log.scrollHeight - 4;
    const ended = only && held.status && !held.status.replicas.some((item) => item.id === only);
    text(log, held.log || (ended ? `${only} has ended, and no log of it is kept.` : "Nothing yet."));
    text(whose, only ? `Log of ${only}` : "Log of all replicas");
    all.hidden = !only;
    if (atEnd) log.scrollTop = log.scrollHeight;
  }

  function tellLog() {
    model.send({ kind: "log", open: logBox.open, replica: only });
  }

  function showLog(replica) {
    only = replica;
    held.log = "";
    logBox.open = true;
    tellLog();
    written();
    log.focus();
  }

  function numbers(rows, status) {
    const total = (key) => rows.reduce((sum, row) => sum + (row[key] ?? 0), 0);
    const ready = status.versions.reduce((sum, item) => sum + item.ready, 0);
    const wanted = status.versions.reduce((sum, item) => sum + item.wanted, 0);
    const slowest = Math.max(...rows.map((row) => row.latency_p95_ms ?? -1));
    const answered = total("requests");
    const wrong = rows.reduce((sum, row) => sum + (row.error_ratio ?? 0) * (row.requests ?? 0), 0);
    keyed(now, [
      ["Requests per second", shown(total("requests_per_second"))],
      ["p95 of the last minute", shown(slowest < 0 ? null : slowest, "ms")],
      ["Errors", shown(answered ? (100 * wrong) / answered : null, "%")],
      ["Busy replicas", shown(total("busy_mean"))],
      ["Replicas ready", `${ready} / ${wanted}`],
    ].map(([label, value]) => ({ key: label, value })), (item) => make("li", {}, make("span", {}, item.key), make("b")), (box, item) => text(box.lastChild, item.value));
  }

  const receive = (message) => {
    if (message.kind === "tick") take(message);
    if (message.kind === "said") text(said, message.text);
    if (message.kind !== "said") text(stale, message.problem ?? "");
  };
  model.on("msg:custom", receive);
  model.send({ kind: "hello" });
  const stop = watched(model, root, WATCH_SECONDS);
  const forget = endsWithKernel(model, () => { text(stale, ENDED); foot.inert = true; });
  return () => { stop(); forget(); model.off("msg:custom", receive); };
}

export default { render };
