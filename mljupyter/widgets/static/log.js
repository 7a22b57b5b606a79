/** A log that grows: stages above it, search, follow, copy. Lines come in batches; the newest few thousand are kept. */

const MOST_LINES = 5000;
const LEVELS = { E: "error", C: "error", W: "warning" };
const LEVEL = /^\S+Z ([DIWEC]) /;

function render({ model, el }) {
  const title = make("h2");
  const status = make("span", { class: "mlj-status", role: "status", "aria-live": "polite" });
  const stages = make("ol", { class: "mlj-stages", "aria-label": "Stages" });
  const search = make("input", { type: "search", "aria-label": "Search in the log", placeholder: "Search", input: () => filter() });
  const found = make("span", { class: "mlj-status", role: "status" });
  const follow = make("input", { type: "checkbox", change: () => end() });
  follow.checked = true;
  const copy = make("button", { type: "button", class: "mlj-small", click: () => copied(copy, visible().map((line) => line.textContent).join("\n")) }, "Copy");
  const cancel = make("button", { type: "button", class: "mlj-small", click: () => model.send({ kind: "cancel" }) });
  const lines = make("div", { class: "mlj-lines", role: "log", "aria-live": "off", tabindex: "0", "aria-label": "Log", scroll: () => held() });
  const root = make("section", { class: "mlj mlj-panel mlj-log-panel", "aria-label": `Log of ${model.get("view").title}` },
    make("div", { class: "mlj-head" }, title, status), stages,
    make("div", { class: "mlj-tools" }, search, found, make("label", { class: "mlj-choice" }, follow, "Follow"), copy, make("span", { class: "mlj-space" }), cancel), lines);
  el.append(root);
  root.addEventListener("keydown", (event) => event.stopPropagation());

  const visible = () => [...lines.children].filter((line) => !line.hidden);
  const matches = (line) => line.textContent.toLowerCase().includes(search.value.toLowerCase());
  const end = () => { if (follow.checked) lines.scrollTop = lines.scrollHeight; };

  /** Who scrolls up wants to read: following pauses, and goes on at the end. */
  function held() {
    const atEnd = lines.scrollTop + lines.clientHeight >= lines.scrollHeight - 6;
    if (follow.checked !== atEnd) follow.checked = atEnd;
  }

  function filter() {
    for (const line of lines.children) line.hidden = !matches(line);
    text(found, search.value ? `${visible().length} of ${lines.children.length} lines` : "");
    end();
  }

  function add(batch) {
    const stays = follow.checked;
    lines.append(...batch.map((content) => {
      const line = make("div", { "data-level": LEVELS[LEVEL.exec(content)?.[1]] }, content);
      line.hidden = !matches(line);
      return line;
    }));
    while (lines.children.length > MOST_LINES) lines.firstChild.remove();
    if (search.value) text(found, `${visible().length} of ${lines.children.length} lines`);
    follow.checked = stays;
    end();
  }

  function show(view) {
    text(title, view.title);
    text(status, view.status);
    cancel.hidden = !view.cancel;
    text(cancel, view.cancel);
    keyed(stages, view.stages.map((stage) => ({ ...stage, key: stage.name })),
      () => make("li", {}, make("span", { class: "mlj-mark", "aria-hidden": "true" }), make("span"), make("span", { class: "mlj-status" }),
        make("details", {}, make("summary", {}, "What went wrong"), make("pre"))),
      (item, stage) => {
        const [mark, name, remark, details] = item.children;
        text(mark, MARKS[stage.state]);
        attribute(mark, "data-state", stage.state);
        text(name, stage.name);
        text(remark, stage.remark ? `${stage.state}: ${stage.remark}` : stage.state);
        details.hidden = !stage.problem;
        if (stage.problem && details.lastChild.textContent !== stage.problem) { text(details.lastChild, stage.problem); details.open = true; }
      });
  }

  const receive = (message) => {
    if (message.kind !== "lines") return;
    if (message.whole) lines.replaceChildren();
    add(message.lines);
  };
  const update = () => show(model.get("view"));
  update();
  model.on("change:view", update);
  model.on("msg:custom", receive);
  model.send({ kind: "hello" });
  const forget = endsWithKernel(model, () => { text(status, ENDED); cancel.hidden = true; });
  return () => { forget(); model.off("change:view", update); model.off("msg:custom", receive); };
}

export default { render };
