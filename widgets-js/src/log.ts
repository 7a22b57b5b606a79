/** The log panel: stages, and below them lines that arrive in batches, to be searched, followed and copied. */

import "./base.css";
import "./panels.css";
import "./log.css";

import {
  type Drawn,
  type Keyed,
  MARKS,
  attribute,
  copyFrom,
  isAtEnd,
  keepKeys,
  keyed,
  make,
  scrollToEnd,
  text,
} from "./dom";
import { KERNEL_ENDED, type Stop, type View, listen, whenKernelEnds } from "./model";

const MOST_LINES = 5000;
const LEVELS: Record<string, string> = { E: "error", C: "error", W: "warning" };
const LEVEL = /^(?:\d{4}-\d\d-\d\d )?\d\d:\d\d:\d\d\.\d{3} ([DIWEC]) /;
const GRAVITY = "DIWEC";
const CHOICES = [
  ["D", "All lines"],
  ["I", "Info and above"],
  ["W", "Warnings and errors"],
  ["E", "Errors"],
];

interface Stage {
  name: string;
  state: string;
  remark: string;
  problem?: string;
}

/** The traits of the Python object. */
export interface LogTraits {
  view: { title: string; status: string; cancel: string; stages: Stage[] };
}

interface Lines {
  kind: string;
  whole: boolean;
  lines: string[];
}

function render({ model, el }: View<LogTraits>): Stop {
  const title = make("h2");
  const status = make("span", { class: "mlj-status", role: "status", "aria-live": "polite" });
  const stages = make("ol", { class: "mlj-stages", "aria-label": "Stages" });
  const search = make("input", {
    type: "search",
    "aria-label": "Search in the log",
    placeholder: "Search",
    input: filter,
  });
  const level = make(
    "select",
    { "aria-label": "Lowest level", change: filter },
    ...CHOICES.map(([value, label]) => make("option", { value }, label)),
  );
  const found = make("span", { class: "mlj-status", role: "status" });
  const follow = make("input", { type: "checkbox", checked: true, change: showEnd });
  const copy = make("button", { type: "button", class: "mlj-small", click: copyVisible }, "Copy");
  const cancel = make("button", {
    type: "button",
    class: "mlj-small",
    click: () => {
      model.send({ kind: "cancel" });
    },
  });
  const lines = make("div", {
    class: "mlj-lines",
    role: "log",
    "aria-live": "off",
    tabindex: 0,
    "aria-label": "Log",
    scroll: followAtEnd,
  });
  const root = make(
    "section",
    { class: "mlj mlj-panel mlj-log-panel", "aria-label": `Log of ${model.get("view").title}` },
    make("div", { class: "mlj-head" }, title, status),
    stages,
    make(
      "div",
      { class: "mlj-tools" },
      search,
      level,
      found,
      make("label", { class: "mlj-choice" }, follow, "Follow"),
      copy,
      make("span", { class: "mlj-space" }),
      cancel,
    ),
    lines,
  );
  root.addEventListener("keydown", (event) => {
    keepKeys(root, event);
  });
  el.append(root);

  let letter = "C"; // lines before any level are shown always

  function all(): HTMLElement[] {
    return [...lines.children] as HTMLElement[];
  }

  function matches(line: HTMLElement): boolean {
    const isGrave = GRAVITY.indexOf(line.dataset.letter ?? "C") >= GRAVITY.indexOf(level.value);
    return isGrave && line.textContent.toLowerCase().includes(search.value.toLowerCase());
  }

  function copyVisible(): void {
    const kept = all().filter((line) => !line.hidden);
    void copyFrom(copy, kept.map((line) => line.textContent).join("\n"), lines);
  }

  function showEnd(): void {
    if (follow.checked) {
      scrollToEnd(lines);
    }
  }

  /** A person who scrolls up wants to read: following pauses, and goes on when they are at the end again. */
  function followAtEnd(): void {
    follow.checked = isAtEnd(lines);
  }

  function isFiltered(): boolean {
    return search.value !== "" || level.value !== "D";
  }

  function count(): void {
    const visible = all().filter((line) => !line.hidden).length;
    text(found, isFiltered() ? `${visible} of ${lines.children.length} lines` : "");
  }

  function filter(): void {
    for (const line of all()) {
      line.hidden = !matches(line);
    }
    count();
    showEnd();
  }

  function add(batch: string[]): void {
    const following = follow.checked; // new lines scroll the box, which is not the person's doing
    const kept = batch.slice(-MOST_LINES);
    all()
      .slice(0, Math.max(0, lines.children.length + kept.length - MOST_LINES))
      .forEach((line) => {
        line.remove();
      });
    lines.append(
      ...kept.map((content) => {
        letter = LEVEL.exec(content)?.[1] ?? letter; // a line without a level belongs to the one before
        const own = LEVELS[LEVEL.exec(content)?.[1] ?? ""];
        const line = make("div", { "data-level": own, "data-letter": letter }, content);
        line.hidden = !matches(line);
        return line;
      }),
    );
    if (isFiltered()) {
      count();
    }
    follow.checked = following;
    showEnd();
  }

  function update(): void {
    const view = model.get("view");
    text(title, view.title);
    text(status, view.status);
    cancel.hidden = !view.cancel;
    text(cancel, view.cancel);
    keyed(
      stages,
      view.stages.map((stage) => ({ ...stage, key: stage.name })),
      drawStage,
    );
  }

  update();
  const stops = [
    listen(model, "change:view", update),
    listen(model, "msg:custom", (message: Lines) => {
      if (message.kind !== "lines") {
        return;
      }
      if (message.whole) {
        lines.replaceChildren();
      }
      add(message.lines);
    }),
    whenKernelEnds(model, () => {
      text(status, KERNEL_ENDED);
      root.classList.add("mlj-dead");
      cancel.hidden = true;
    }),
  ];
  model.send({ kind: "hello" });
  return () => {
    stops.forEach((stop) => {
      stop();
    });
  };
}

/** A stage: its mark, name and state; one that failed opens its reason by itself. */
function drawStage(): Drawn<Stage & Keyed> {
  const mark = make("span", { class: "mlj-mark", "aria-hidden": "true" });
  const name = make("span");
  const remark = make("span", { class: "mlj-status" });
  const problem = make("pre");
  const details = make("details", {}, make("summary", {}, "What went wrong"), problem);
  return {
    element: make("li", {}, mark, name, remark, details),
    update(stage) {
      text(mark, MARKS[stage.state]);
      attribute(mark, "data-state", stage.state);
      text(name, stage.name);
      text(remark, stage.remark ? `${stage.state}: ${stage.remark}` : stage.state);
      details.hidden = !stage.problem;
      if (stage.problem && problem.textContent !== stage.problem) {
        text(problem, stage.problem);
        details.open = true;
      }
    },
  };
}

export default { render };
