/** Control against treatments: a table with the differences, what they amount to, and three charts. */

const WATCH_SECONDS = 4;
const PLACES = ["p50", "p90", "p95", "p99", "p99.9"];
const TONES = { better: "▾ better", worse: "▴ worse" };

function render({ model, el }) {
  const name = `mlj-${Math.random().toString(36).slice(2, 8)}`;
  const title = make("h2", { id: name });
  const stale = make("span", { class: "mlj-stale", role: "status" });
  const choice = make("select", { "aria-label": "Time compared", change: () => model.send({ kind: "window", seconds: Number(choice.value) }) },
    ...[[60, "1 minute"], [300, "5 minutes"], [900, "15 minutes"], [3600, "1 hour"]].map(([value, label]) => make("option", { value }, label)));
  const verdicts = make("ul", { class: "mlj-verdicts", "aria-live": "polite" });
  const head = make("tr");
  const body = make("tbody");
  const table = make("table", { "aria-label": "Control against treatments" }, make("thead", {}, head), body);
  const charts = { percentiles: chart("Latency by percentile", "ms"), latency: chart("Latency p95", "ms"), errors: chart("Errors", "%"), traffic: chart("Requests per second", "") };
  const said = make("span", { class: "mlj-status", role: "status", "aria-live": "polite" });
  const ask = make("form", { class: "mlj-ask", hidden: true });
  const foot = make("div", { class: "mlj-foot" }, said, make("span", { class: "mlj-space" }));
  const root = make("section", { class: "mlj mlj-panel mlj-comparison", "aria-labelledby": name },
    make("div", { class: "mlj-head" }, title, make("span", { class: "mlj-space" }), stale, choice),
    make("section", { class: "mlj-part" }, verdicts), make("section", { class: "mlj-part" }, table),
    make("div", { class: "mlj-charts" }, ...Object.values(charts).map((item) => item.element)), ask, foot);
  el.append(root);
  root.addEventListener("keydown", (event) => event.stopPropagation());

  const promote = make("button", { type: "button", click: () => open() }, "Promote a version");
  foot.append(promote);
  let treatments = [];

  function open() {
    const input = make("select", { id: `${name}-version` }, ...treatments.map((version) => make("option", { value: version }, version)));
    ask.replaceChildren(make("label", { for: input.id }, "Give all requests to"), input,
      make("button", { type: "submit", class: "mlj-primary" }, "Promote"), make("button", { type: "button", click: close }, "Cancel"));
    ask.onsubmit = (event) => {
      event.preventDefault();
      model.send({ kind: "act", version: input.value });
      text(said, "Working …");
      close();
    };
    ask.onkeydown = (event) => { if (event.key === "Escape") close(); };
    ask.hidden = false;
    input.focus();
  }

  function close() {
    ask.hidden = true;
    promote.focus();
  }

  function draw(message) {
    const names = message.versions.map((item) => item.version);
    const colour = (version) => COLOURS[names.indexOf(version) % COLOURS.length];
    treatments = names.slice(1);
    promote.hidden = treatments.length === 0;
    text(title, `${message.name}: versions compared`);
    choice.value = String(message.seconds);
    keyed(verdicts, treatments.length ? message.verdicts.map((item) => ({ ...item, key: item.version })) : [{ key: "", text: "There is one version: nothing to compare it with yet." }],
      () => make("li", {}, make("b"), make("span")),
      (item, verdict) => { text(item.firstChild, verdict.version ?? ""); text(item.lastChild, verdict.text); });
    keyed(head, [{ key: "" }, ...message.versions.map((item) => ({ ...item, key: item.version }))],
      () => make("th", { scope: "col" }, make("span", { class: "mlj-swatch", "aria-hidden": "true" }), make("span"), make("span", { class: "mlj-status" })),
      (cell, item) => {
        const [swatch, label, role] = cell.children;
        swatch.hidden = !item.version;
        swatch.style.background = item.version ? colour(item.version) : "";
        text(label, item.version ?? "Measure");
        text(role, item.version ? ` ${item.role}, ${item.replicas} ready` : "");
      });
    keyed(body, message.rows.map((row) => ({ ...row, key: row.label })), () => make("tr", {}, make("th", { scope: "row" })), (line, row) => {
      text(line.firstChild, row.label);
      while (line.children.length > row.values.length + 1) line.lastChild.remove();
      row.values.forEach((value, index) => {
        const cell = line.children[index + 1] ?? line.appendChild(make("td", {}, make("span"), make("span", { class: "mlj-change" })));
        const change = index === 0 ? null : row.changes[index - 1];
        const tone = index === 0 ? "" : row.tones[index - 1] ?? "";
        text(cell.firstChild, shown(value, row.unit));
        text(cell.lastChild, change === null || change === undefined ? "" : `${change > 0 ? "+" : ""}${change} % ${TONES[tone] ?? ""}`);
        attribute(cell.lastChild, "data-tone", tone);
      });
    });
    const first = Math.min(message.time, ...message.series.time);
    const ends = [Math.max(message.time - message.seconds, Math.min(first, message.time - 60)), message.time];
    const over = (column, factor = 1) => names.map((version) => ({ name: version, colour: colour(version), points:
      message.series.time.flatMap((time, index) => (message.series.version[index] === version ? [[time, message.series[column][index] === null ? null : factor * message.series[column][index]]] : [])) }));
    charts.percentiles.draw(names.map((version) => ({ name: version, colour: colour(version), points: message.percentiles[version].map((value, index) => [index, value]) })), [0, 4], PLACES.map((label, index) => [index, label]));
    charts.latency.draw(over("latency_p95_ms"), ends);
    charts.errors.draw(over("error_ratio", 100), ends);
    charts.traffic.draw(over("requests_per_second"), ends);
  }

  const receive = (message) => {
    if (message.kind === "tick") draw(message);
    if (message.kind === "said") text(said, message.text);
    else text(stale, message.problem ?? "");
  };
  model.on("msg:custom", receive);
  model.send({ kind: "hello" });
  const stop = watched(model, root, WATCH_SECONDS);
  const forget = endsWithKernel(model, () => { text(stale, ENDED); foot.inert = true; });
  return () => { stop(); forget(); model.off("msg:custom", receive); };
}

export default { render };
