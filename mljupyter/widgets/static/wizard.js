/**
 * Draws one page of a wizard from a description, and reports what the person does.
 *
 * Python owns everything: pages, values, errors. `view` holds the page as data; this module keeps the DOM equal to it,
 * element by element, so that the focus and what is being typed stay. Messages to Python: change, go, press.
 */

const TYPING_MS = 250;

/** One field: how it is drawn, and how it follows its description. `say` reports a new value. */
const KINDS = {
  text: {
    draw(field, id, say) {
      let typing;
      const input = make("input", { type: field.secret ? "password" : "text", id, spellcheck: "false", autocomplete: "off" });
      const report = () => { clearTimeout(typing); typing = undefined; say(input.value); };
      input.addEventListener("input", () => { clearTimeout(typing); typing = setTimeout(report, TYPING_MS); });
      input.addEventListener("change", report);
      input.flush = () => typing !== undefined && report();
      return [make("label", { for: id }), input];
    },
    update([label, input], field) {
      text(label, field.label);
      attribute(input, "placeholder", field.placeholder);
      if (document.activeElement !== input && input.value !== (field.value ?? "")) input.value = field.value ?? "";
    },
  },
  choice: {
    draw(field, id, say) {
      return [make("label", { for: id }), make("select", { id, change: (event) => say(event.target.value) })];
    },
    update([label, select], field) {
      text(label, field.label);
      keyed(select, field.options.map((option) => ({ ...option, key: option.value })), (option) => make("option", { value: option.value }),
        (element, option) => { text(element, option.reason ? `${option.label} – ${option.reason}` : option.label); element.disabled = Boolean(option.reason); });
      if (select.value !== field.value) select.value = field.value;
    },
  },
  check: {
    draw(field, id, say) {
      return [make("label", { class: "mlj-choice", for: id }, make("input", { type: "checkbox", id, change: (event) => say(event.target.checked) }), make("span"))];
    },
    update([label], field) {
      label.firstChild.checked = Boolean(field.value);
      text(label.lastChild, field.label);
    },
  },
  cards: {
    group: true,
    draw(field, id, say) {
      return [make("legend"), make("div", { class: "mlj-cards", change: (event) => say(event.target.value) })];
    },
    update([legend, cards], field, id) {
      text(legend, field.label);
      keyed(cards, field.options.map((option) => ({ ...option, key: option.value })),
        (option) => make("label", { class: "mlj-card" },
          make("span", { class: "mlj-choice" },
            make("input", { type: "radio", name: id, value: option.value }),
            make("span", {}, make("b"), " ", make("span", { class: "mlj-mark", "aria-hidden": "true" }),
              make("div", { class: "mlj-help" })))),
        (card, option) => {
          const [input, about] = card.firstChild.children;
          input.checked = option.value === field.value;
          input.disabled = Boolean(option.reason);
          attribute(card, "data-disabled", option.reason ? "" : null);
          text(about.children[0], option.label);
          text(about.children[1], MARKS[option.state] ?? "");
          attribute(about.children[1], "data-state", option.state);
          text(about.children[2], option.reason || option.help);
        });
    },
  },
  split: {
    group: true,
    draw(field, id, say) {
      return [make("legend"), make("div", { class: "mlj-split" }), make("div", { class: "mlj-bar", "aria-hidden": "true" })];
    },
    update([legend, rows, bar], field, id, say) {
      text(legend, field.label);
      const parts = field.parts.flatMap((part) => ["name", "range", "number"].map((kind) => ({ ...part, kind, key: `${part.name}/${kind}` })));
      keyed(rows, parts, (part) => {
        if (part.kind === "name") return make("span", {});
        const report = (event) => say({ name: part.name, percent: Number(event.target.value) });
        return make("input", { type: part.kind, min: 0, max: 100, step: 1, [part.kind === "range" ? "input" : "change"]: report });
      }, (element, part) => {
        if (part.kind === "name") {
          text(element, part.rest ? `${part.name} (default, takes the rest)` : part.name);
          element.style.borderColor = colour(field, part.name);
          return;
        }
        attribute(element, "aria-label", `${part.name}, percent`);
        element.disabled = Boolean(part.rest || part.fixed);
        if (document.activeElement !== element || part.kind === "range") element.value = part.percent;
      });
      keyed(bar, field.parts.map((part) => ({ ...part, key: part.name })), () => make("span"), (element, part) => {
        element.style.flex = `${part.percent} 0 0`;
        element.style.background = colour(field, part.name);
        attribute(element, "title", `${part.name} ${part.percent} %`);
      });
    },
  },
  code: {
    draw(field) {
      const shown = make("pre", { tabindex: "0", role: "region" });
      const copy = make("button", { type: "button", class: "mlj-small mlj-copy", click: () => copied(copy, shown.textContent) }, "Copy");
      const box = make("div", { class: "mlj-code" }, shown, copy);
      return field.folded ? [make("details", {}, make("summary"), box)] : [make("div", { class: "mlj-label" }), box];
    },
    update(parts, field) {
      const [label, box] = field.folded ? parts[0].children : parts;
      text(label, field.label);
      text(box.firstChild, field.value);
      attribute(box.firstChild, "aria-label", field.label);
    },
  },
  log: {
    draw(field, id) {
      const shown = make("pre", { tabindex: "0", role: "log", "aria-live": "off" });
      const follow = make("input", { type: "checkbox", id, checked: field.follow, change: () => follow.checked && end(shown) });
      const copy = make("button", { type: "button", class: "mlj-small", click: () => copied(copy, shown.textContent, shown) }, "Copy");
      shown.addEventListener("scroll", () => { // who scrolls up wants to read: the lines must not run away
        if (shown.scrollTop + shown.clientHeight < shown.scrollHeight - 30) follow.checked = false;
      });
      const tools = make("span", { class: "mlj-tools" }, make("label", { class: "mlj-choice", for: id }, follow, make("span", {}, "Follow")), copy);
      return [make("div", { class: "mlj-log-head" }, make("span", { class: "mlj-label" }), tools), make("div", { class: "mlj-code" }, shown)];
    },
    update([head, box], field) {
      const shown = box.firstChild;
      const follow = head.querySelector("input");
      text(head.firstChild, field.label);
      attribute(shown, "aria-label", field.label);
      if (shown.textContent === field.value) return;
      shown.textContent = field.value;
      if (follow.checked) requestAnimationFrame(() => end(shown));
    },
  },
  summary: {
    draw() { return [make("div", { class: "mlj-label" }), make("dl")]; },
    update([label, list], field) {
      text(label, field.label);
      list.replaceChildren(...field.rows.flatMap(([term, said]) => [make("dt", {}, term), make("dd", {}, said)]));
    },
  },
  table: {
    draw() { return [make("div", { class: "mlj-label" }), make("table", {}, make("thead", {}, make("tr")), make("tbody"))]; },
    update([label, table], field) {
      text(label, field.label);
      attribute(table, "aria-label", field.label);
      const drawn = JSON.stringify([field.columns, field.rows]); // what is being selected or read stays as it is
      if (table.drawn === drawn) return;
      table.drawn = drawn;
      table.tHead.rows[0].replaceChildren(...field.columns.map((name) => make("th", { scope: "col" }, name)));
      table.tBodies[0].replaceChildren(...field.rows.map((row) => make("tr", {}, ...row.map((cell) => make("td", {}, String(cell))))));
    },
  },
  stages: {
    draw() { return [make("div", { class: "mlj-label" }), make("ol", { class: "mlj-stages" })]; },
    update([label, list], field) {
      text(label, field.label);
      attribute(list, "aria-label", field.label);
      keyed(list, field.stages.map((stage) => ({ ...stage, key: stage.name })),
        () => make("li", {}, make("span", { class: "mlj-mark", "aria-hidden": "true" }), make("span"), make("span", { class: "mlj-status" })),
        (item, stage) => {
          text(item.children[0], MARKS[stage.state]);
          attribute(item.children[0], "data-state", stage.state);
          text(item.children[1], stage.name);
          const done = stage.state === "ok"; // then what is said of it says so
          text(item.children[2], done ? stage.remark || "done" : stage.remark ? `${stage.state}: ${stage.remark}` : stage.state);
        });
    },
  },
};

/** The colour of a version, the same beside its name and in the bar. */
function colour(field, name) {
  return COLOURS[field.parts.findIndex((other) => other.name === name) % COLOURS.length];
}

function end(shown) { shown.scrollTop = shown.scrollHeight; }

/** Ask the page around us to put code below this cell; whoever can do it says so. */
function inserted(element, source) {
  const detail = { source, done: false };
  element.dispatchEvent(new CustomEvent("mljupyter:insert-cell", { bubbles: true, composed: true, detail }));
  return detail.done;
}

function render({ model, el }) {
  const name = `mlj-${Math.random().toString(36).slice(2, 8)}`;
  const title = make("h2", { id: `${name}-title` });
  const steps = make("ol", { class: "mlj-steps", "aria-label": "Steps" });
  const heading = make("h3", { tabindex: "-1" });
  const about = make("p");
  const fields = make("div", { class: "mlj-fields" });
  const page = make("div", { class: "mlj-page" }, heading, about, fields);
  const buttons = make("div", { style: "display: contents" });
  const reason = make("div", { class: "mlj-reason", id: `${name}-reason` });
  const status = make("span", { class: "mlj-status", role: "status", "aria-live": "polite" });
  const foot = make("div", { class: "mlj-foot" }, status, make("span", { class: "mlj-space" }), buttons, reason);
  const form = make("form", { class: "mlj", "aria-labelledby": `${name}-title`, novalidate: true },
    make("div", { class: "mlj-head" }, title, steps), page, foot);
  el.append(form);

  const flush = () => form.querySelectorAll("input").forEach((input) => input.flush?.());
  const press = (button) => {
    if (button.reason) { text(status, button.reason); return; }
    flush();
    if (button.inserts !== undefined) {
      const done = inserted(form, button.inserts);
      if (!done) navigator.clipboard?.writeText(button.inserts).catch(() => {});
      text(status, done ? "Inserted below. Run it when you like." : "Copied: paste it into a cell below.");
    }
    model.send({ kind: "press", button: button.key });
  };
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const primary = model.get("view").buttons?.find((button) => button.primary);
    if (primary) press(primary);
  });
  form.addEventListener("keydown", (event) => {
    event.stopPropagation(); // the notebook's own keys, such as d d, must not act while somebody types here
    if (event.key === "Escape") {
      const back = model.get("view").buttons?.find((button) => button.key === "back" && !button.reason);
      if (back) press(back);
    }
  });

  let shown;
  const update = () => {
    const view = model.get("view");
    text(title, view.title);
    keyed(steps, view.steps.map((step, index) => ({ ...step, key: step.name, index })),
      (step) => make("li", {}, make("span", { class: "mlj-number", "aria-hidden": "true" }), make("span", {}, step.name)),
      (item, step) => {
        attribute(item, "aria-current", step.state === "current" ? "step" : null);
        text(item.firstChild, step.state === "done" ? "✓" : String(step.index + 1));
      });
    text(heading, view.heading);
    text(about, view.about);
    about.hidden = !view.about;
    keyed(fields, view.fields, (field) => draw(field), (element, field) => follow(element, field));
    keyed(buttons, view.buttons, () => make("button", {}), (element, button) => {
      text(element, button.label);
      element.type = button.primary ? "submit" : "button";
      attribute(element, "class", button.primary ? "mlj-primary" : null);
      attribute(element, "aria-disabled", button.reason ? "true" : null);
      attribute(element, "title", button.reason);
      attribute(element, "aria-describedby", button.reason ? reason.id : null);
      element.onclick = button.primary ? null : () => press(model.get("view").buttons.find((other) => other.key === button.key));
    });
    text(reason, view.buttons.find((button) => button.primary)?.reason);
    text(status, view.status);
    if (shown !== undefined && shown !== view.heading) heading.focus();
    if (view.focus && view.focus !== update.focused) fields.querySelector(`[data-key="${view.focus.key}"] :is(input, select)`)?.focus();
    update.focused = view.focus;
    shown = view.heading;
  };

  const identifier = (field) => `${name}-${field.key}`;
  const say = (field) => (value) => model.send({ kind: "change", key: field.key, value });

  function draw(field) {
    const kind = KINDS[field.kind];
    const parts = kind.draw(field, identifier(field), say(field));
    const help = make("div", { class: "mlj-help", id: `${identifier(field)}-help` });
    const error = make("div", { class: "mlj-error", id: `${identifier(field)}-error`, role: "alert" });
    const element = make(kind.group ? "fieldset" : "div", { class: "mlj-field" }, ...parts, help, error);
    element.parts = parts;
    return element;
  }

  function follow(element, field) {
    const kind = KINDS[field.kind];
    kind.update(element.parts, field, identifier(field), say(field));
    const error = element.lastChild;
    text(error.previousSibling, field.reason || field.help);
    text(error, field.error);
    for (const input of element.querySelectorAll("input, select")) {
      attribute(input, "aria-invalid", field.error ? "true" : null);
      attribute(input, "aria-describedby", [error.previousSibling, error].filter((part) => part.textContent).map((part) => part.id).join(" ") || null);
      if (field.kind === "text" || field.kind === "choice" || field.kind === "check") {
        input.disabled = Boolean(field.reason);
        attribute(input, "aria-required", field.required ? "true" : null);
      }
    }
  }

  update();
  model.on("change:view", update);
  const forget = endsWithKernel(model, () => el.classList.add("mlj-ended"));
  return () => {
    model.off("change:view", update);
    forget();
  };
}

export default { render };
