/** The fields of a wizard: for each kind, how it is drawn and how it follows its description. */

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
  text,
  unbroken,
} from "./dom";

const TYPING_MS = 250;
const FOLLOW_TOLERANCE = 30; // pixels

interface Described {
  key: string;
  label: string;
  help?: string;
  reason?: string;
  error?: string;
  required?: boolean;
}

interface Option {
  value: string;
  label: string;
  help: string;
  state: string;
  reason: string;
}

interface Part {
  name: string;
  percent: number;
  rest: boolean;
  fixed: boolean;
}

interface Stage {
  name: string;
  state: string;
  remark: string;
}

interface TextField extends Described {
  kind: "text";
  value: string;
  placeholder?: string;
  secret?: boolean;
}

interface CheckField extends Described {
  kind: "check";
  value: boolean;
}

interface ChoiceField<Kind = "choice"> extends Described {
  kind: Kind;
  value: string;
  options: Option[];
}

interface SplitField extends Described {
  kind: "split";
  parts: Part[];
}

interface CodeField extends Described {
  kind: "code";
  value: string;
  folded?: boolean;
}

interface LogField extends Described {
  kind: "log";
  value: string;
  follow: boolean;
}

interface SummaryField extends Described {
  kind: "summary";
  rows: [term: string, said: string][];
}

interface TableField extends Described {
  kind: "table";
  columns: string[];
  rows: unknown[][];
}

interface StagesField extends Described {
  kind: "stages";
  stages: Stage[];
}

/** A field as Python describes it. */
export type Field =
  | TextField
  | ChoiceField
  | CheckField
  | ChoiceField<"cards">
  | SplitField
  | CodeField
  | LogField
  | SummaryField
  | TableField
  | StagesField;

/** What a field needs of its form. */
export interface Form {
  /** The id of the field's control. */
  id: string;
  /** Report a new value. A part names one of several controls. */
  say(value: unknown, part?: string): void;
  /** Return whether Python has yet to answer the last report; until then, the control shows what the person did. */
  isPending(part?: string): boolean;
}

/** The content of a field. */
interface Content<F> {
  parts: HTMLElement[];
  isGroup?: boolean;
  update(field: F): void;
  /** Report what has been typed and not been reported yet. */
  flush?(): void;
}

function drawText(field: TextField, { id, say, isPending }: Form): Content<TextField> {
  let typing: ReturnType<typeof setTimeout> | undefined;
  const report = () => {
    clearTimeout(typing);
    typing = undefined;
    say(input.value);
  };
  const input = make("input", {
    type: field.secret ? "password" : "text",
    id,
    spellcheck: "false",
    autocomplete: "off",
    input: () => {
      clearTimeout(typing);
      typing = setTimeout(report, TYPING_MS);
    },
    change: report,
  });
  const label = make("label", { for: id });
  return {
    parts: [label, input],
    update({ label: words, placeholder, value }) {
      text(label, words);
      attribute(input, "placeholder", placeholder);
      const isTheirs = document.activeElement === input || typing !== undefined || isPending();
      if (!isTheirs && input.value !== value) {
        input.value = value;
      }
    },
    flush() {
      if (typing !== undefined) {
        report();
      }
    },
  };
}

function drawChoice(_: ChoiceField, { id, say, isPending }: Form): Content<ChoiceField> {
  const label = make("label", { for: id });
  const select = make("select", {
    id,
    change: () => {
      say(select.value);
    },
  });
  return {
    parts: [label, select],
    update(field) {
      text(label, field.label);
      keyed(
        select,
        field.options.map((option) => ({ ...option, key: option.value })),
        drawOption,
      );
      if (!isPending() && select.value !== field.value) {
        select.value = field.value;
      }
    },
  };
}

function drawOption(first: Option): Drawn<Option & Keyed> {
  const element = make("option", { value: first.value });
  return {
    element,
    update(option) {
      text(element, option.reason ? `${option.label} – ${option.reason}` : option.label);
      element.disabled = Boolean(option.reason);
    },
  };
}

function drawCheck(_: CheckField, { id, say, isPending }: Form): Content<CheckField> {
  const input = make("input", {
    type: "checkbox",
    id,
    change: () => {
      say(input.checked);
    },
  });
  const words = make("span");
  return {
    parts: [make("label", { class: "mlj-choice", for: id }, input, words)],
    update(field) {
      if (!isPending()) {
        input.checked = Boolean(field.value);
      }
      text(words, field.label);
    },
  };
}

function drawCards(_: ChoiceField<"cards">, { id, say, isPending }: Form): Content<ChoiceField<"cards">> {
  const legend = make("legend");
  const cards = make("div", {
    class: "mlj-cards",
    change: (event) => {
      say((event.target as HTMLInputElement).value);
    },
  });
  return {
    parts: [legend, cards],
    isGroup: true,
    update(field) {
      text(legend, field.label);
      const chosen = isPending() ? null : field.value;
      keyed(
        cards,
        field.options.map((option) => ({ ...option, key: option.value, chosen })),
        (option) => drawCard(option, id),
      );
    },
  };
}

function drawCard(first: Option, name: string): Drawn<Option & Keyed & { chosen: string | null }> {
  const input = make("input", { type: "radio", name, value: first.value });
  const label = make("b");
  const mark = make("span", { class: "mlj-mark", "aria-hidden": "true" });
  const help = make("div", { class: "mlj-help" });
  const content = make("span", { class: "mlj-choice" }, input, make("span", {}, label, " ", mark, help));
  const element = make("label", { class: "mlj-card" }, content);
  return {
    element,
    update(option) {
      if (option.chosen !== null) {
        input.checked = option.chosen === option.value;
      }
      input.disabled = Boolean(option.reason);
      attribute(element, "data-disabled", option.reason !== "");
      text(label, option.label);
      text(mark, MARKS[option.state]);
      attribute(mark, "data-state", option.state);
      text(help, option.reason || option.help);
    },
  };
}

type Control = Part & Keyed & { control: "name" | "range" | "number"; hue: string };

function drawSplit(_: SplitField, { say, isPending }: Form): Content<SplitField> {
  const legend = make("legend");
  const rows = make("div", { class: "mlj-split" });
  const bar = make("div", { class: "mlj-bar", "aria-hidden": "true" });
  const drawControl = (first: Control): Drawn<Control> => {
    if (first.control === "name") {
      return drawPartName();
    }
    const report = () => {
      say({ name: first.name, percent: Number(element.value) }, first.name);
    };
    const event = first.control === "range" ? "input" : "change";
    const element = make("input", { type: first.control, min: 0, max: 100, step: 1, [event]: report });
    return {
      element,
      update(part) {
        attribute(element, "aria-label", `${part.name}, percent`);
        element.disabled = part.rest || part.fixed;
        const isTyping = part.control === "number" && document.activeElement === element;
        if (!isTyping && !isPending(part.name)) {
          element.value = String(part.percent);
        }
      },
    };
  };
  return {
    parts: [legend, rows, bar],
    isGroup: true,
    update(field) {
      text(legend, field.label);
      const parts = field.parts.map((part, index) => ({ ...part, key: part.name, hue: hue(index) }));
      const controls = parts.flatMap((part) =>
        (["name", "range", "number"] as const).map((control) => ({ ...part, control, key: `${part.name}/${control}` })),
      );
      keyed(rows, controls, drawControl);
      keyed(bar, parts, drawShare);
    },
  };
}

function drawPartName(): Drawn<Control> {
  const element = make("span");
  return {
    element,
    update(part) {
      text(element, part.rest ? `${part.name} (default, takes the rest)` : part.name);
      element.style.borderColor = part.hue;
    },
  };
}

function drawShare(): Drawn<Part & Keyed & { hue: string }> {
  const element = make("span");
  return {
    element,
    update(part) {
      element.style.flex = `${part.percent} 0 0`;
      element.style.background = part.hue;
      attribute(element, "title", `${part.name} ${part.percent} %`);
    },
  };
}

function drawCode(field: CodeField): Content<CodeField> {
  const code = make("pre", { tabindex: 0, role: "region" });
  const copy = copyButton(code);
  const box = make("div", { class: "mlj-code" }, code);
  if (field.folded) {
    const label = make("summary");
    const tools = make("div", { class: "mlj-log-head mlj-end" }, copy);
    return { parts: [make("details", {}, label, tools, box)], update: updateCode(label, code, copy) };
  }
  const label = make("span", { class: "mlj-label" });
  return { parts: [make("div", { class: "mlj-log-head" }, label, copy), box], update: updateCode(label, code, copy) };
}

function updateCode(label: HTMLElement, code: HTMLElement, copy: HTMLElement): (field: CodeField) => void {
  return ({ label: words, value }) => {
    text(label, words);
    text(code, value);
    attribute(code, "aria-label", words);
    attribute(copy, "aria-description", words);
  };
}

/** A button that copies what an element shows. It stands beside it, and covers nothing of it. */
function copyButton(shown: HTMLElement): HTMLButtonElement {
  const copy = make(
    "button",
    { type: "button", class: "mlj-small mlj-copy", click: () => void copyFrom(copy, shown.textContent, shown) },
    "Copy",
  );
  return copy;
}

function drawLog(field: LogField, { id }: Form): Content<LogField> {
  const label = make("span", { class: "mlj-label" });
  const lines = make("pre", {
    tabindex: 0,
    role: "log",
    "aria-live": "off",
    scroll: () => {
      if (!isAtEnd(lines, FOLLOW_TOLERANCE)) {
        follow.checked = false; // a person who scrolls up wants to read
      }
    },
  });
  const showEnd = () => {
    if (follow.checked) {
      scrollToEnd(lines);
    }
  };
  const follow = make("input", { type: "checkbox", id, checked: field.follow, change: showEnd });
  const copy = copyButton(lines);
  const followed = make("label", { class: "mlj-choice", for: id }, follow, make("span", {}, "Follow"));
  const tools = make("span", { class: "mlj-tools" }, followed, copy);
  return {
    parts: [make("div", { class: "mlj-log-head" }, label, tools), make("div", { class: "mlj-code" }, lines)],
    update({ label: words, value }) {
      text(label, words);
      attribute(lines, "aria-label", words);
      if (lines.textContent !== value) {
        text(lines, value);
        requestAnimationFrame(showEnd);
      }
    },
  };
}

function drawSummary(): Content<SummaryField> {
  const label = make("div", { class: "mlj-label" });
  const list = make("dl");
  const draw = whenChanged((rows: SummaryField["rows"]) => {
    list.replaceChildren(...rows.flatMap(([term, said]) => [make("dt", {}, term), make("dd", {}, unbroken(said))]));
  });
  return {
    parts: [label, list],
    update(field) {
      text(label, field.label);
      draw(field.rows);
    },
  };
}

function drawTable(): Content<TableField> {
  const label = make("div", { class: "mlj-label" });
  const head = make("tr");
  const body = make("tbody");
  const table = make("table", {}, make("thead", {}, head), body);
  const draw = whenChanged(({ columns, rows }: Pick<TableField, "columns" | "rows">) => {
    head.replaceChildren(...columns.map((name) => make("th", { scope: "col" }, name)));
    body.replaceChildren(
      ...rows.map((row) => make("tr", {}, ...row.map((cell) => make("td", {}, unbroken(String(cell)))))),
    );
  });
  return {
    parts: [label, table],
    update({ label: words, columns, rows }) {
      text(label, words);
      attribute(table, "aria-label", words);
      draw({ columns, rows });
    },
  };
}

function drawStages(): Content<StagesField> {
  const label = make("div", { class: "mlj-label" });
  const list = make("ol", { class: "mlj-stages" });
  return {
    parts: [label, list],
    update(field) {
      text(label, field.label);
      attribute(list, "aria-label", field.label);
      keyed(
        list,
        field.stages.map((stage) => ({ ...stage, key: stage.name })),
        drawStage,
      );
    },
  };
}

function drawStage(): Drawn<Stage & Keyed> {
  const mark = make("span", { class: "mlj-mark", "aria-hidden": "true" });
  const name = make("span");
  const remark = make("span", { class: "mlj-status" });
  return {
    element: make("li", {}, mark, name, remark),
    update(stage) {
      text(mark, MARKS[stage.state]);
      attribute(mark, "data-state", stage.state);
      text(name, stage.name);
      const isDone = stage.state === "ok"; // its remark then says so
      const words = isDone ? [stage.remark || "done"] : [stage.state, stage.remark].filter(Boolean);
      text(remark, words.join(": "));
    },
  };
}

/** Draw only what differs from before: a selection, and a screen reader's place, stay. */
function whenChanged<T>(draw: (value: T) => void): (value: T) => void {
  let drawn = "";
  return (value) => {
    const wanted = JSON.stringify(value);
    if (wanted !== drawn) {
      drawn = wanted;
      draw(value);
    }
  };
}

const KINDS = {
  text: drawText,
  choice: drawChoice,
  check: drawCheck,
  cards: drawCards,
  split: drawSplit,
  code: drawCode,
  log: drawLog,
  summary: drawSummary,
  table: drawTable,
  stages: drawStages,
};

const CAN_BE_DISABLED = new Set(["text", "choice", "check"]);

/** Draw a field with its help and its error. `flush` reports what has been typed and not been reported yet. */
export function drawField(first: Field, form: Form): Drawn<Field> & { flush(): void } {
  const content = (KINDS[first.kind] as (field: Field, form: Form) => Content<Field>)(first, form);
  const help = make("div", { class: "mlj-help", id: `${form.id}-help` });
  const error = make("div", { class: "mlj-error", id: `${form.id}-error`, role: "alert" });
  const element = make(content.isGroup ? "fieldset" : "div", { class: "mlj-field" }, ...content.parts, help, error);
  return {
    element,
    flush: () => content.flush?.(),
    update(field) {
      content.update(field);
      text(help, field.reason || field.help);
      text(error, field.error);
      const described = [help, error].filter((part) => part.textContent).map((part) => part.id);
      for (const input of element.querySelectorAll<HTMLInputElement | HTMLSelectElement>("input, select")) {
        attribute(input, "aria-invalid", field.error ? "true" : null);
        attribute(input, "aria-describedby", described.join(" ") || null);
        if (CAN_BE_DISABLED.has(field.kind)) {
          input.disabled = Boolean(field.reason);
          attribute(input, "aria-required", field.required ? "true" : null);
        }
      }
    },
  };
}
