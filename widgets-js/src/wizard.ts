/**
 * A wizard: draws one page from its description and reports what the person does.
 *
 * Python owns everything: pages, values, errors. `view` holds the page as data; this module keeps the DOM equal to it,
 * element by element, so that the focus and a text that is being typed stay. Messages to Python: `change` and `press`.
 *
 * A view may have been sent before Python has seen the last change. Each change therefore has a number, and `answered`
 * in the view says up to which one Python has come. Until then a control keeps what the person did. A press has a number
 * too: until Python has come to it, its button shows that it works, and no other press is taken.
 *
 * The focus moves once after a press: to the heading of another page, or to the first wrong field. It never moves when
 * the person has gone on in the meantime.
 */

import "./base.css";

import { type Drawn, type Keyed, attribute, identifier, keepKeys, keyed, make, placeOfCode, text } from "./dom";
import { type Field, drawField } from "./fields";
import { type Stop, type View, listen, whenKernelEnds } from "./model";

interface Button {
  key: string;
  label: string;
  primary?: boolean;
  reason?: string;
  /** The texts of the cells that it inserts, in order. */
  inserts?: string[];
}

interface Step {
  name: string;
  state: "done" | "current" | "open";
  /** Why it cannot be opened now. */
  reason?: string;
}

interface Page {
  title: string;
  steps: Step[];
  heading: string;
  about: string;
  fields: Field[];
  buttons: Button[];
  status: string;
  focus: { key: string; try: string } | null;
  /** The number of the last change that Python has handled, by the name of the view that sent it. */
  answered: Record<string, number>;
}

/** The traits of the Python object. */
export interface WizardTraits {
  view: Page;
}

type IndexedStep = Step & Keyed & { press: string; index: number };

const SLOW_MS = 400; // a press that takes longer is said in words

/** A press that Python has not come to yet, and the element that had the focus then. */
interface Press {
  button: string;
  number: number;
  focus: Element | null;
  slow: ReturnType<typeof setTimeout>;
}

/** The changes of one view that Python may not have handled yet. */
class Changes {
  readonly #numbers = new Map<string, number>();
  #last = 0;

  /** Count a change of a control and return its number. */
  add(control: string): number {
    this.#last += 1;
    this.#numbers.set(control, this.#last);
    return this.#last;
  }

  /** Return whether a control's last change is newer than the last one handled. */
  isPending(control: string, handled: number): boolean {
    return (this.#numbers.get(control) ?? 0) > handled;
  }
}

/** Ask the page around the widget to put cells below this one. Return whether something there could. */
function insertBelow(element: HTMLElement, sources: string[]): boolean {
  const detail = { sources, done: false };
  element.dispatchEvent(new CustomEvent("mljupyter:insert-cell", { bubbles: true, composed: true, detail }));
  return detail.done;
}

/** Return the label of a button with code: outside of a notebook, it names the notebook, or says that it copies. */
function labelFor(label: string, place: string | null): string {
  if (place === null) {
    return label;
  }
  const what = label.replace(/ below$/, "");
  return place === "" ? what.replace(/^Insert\b/, "Copy") : `${what} into ${place}`;
}

function render({ model, el }: View<WizardTraits>): Stop {
  const name = identifier();
  const title = make("h2", { id: `${name}-title` });
  const steps = make("ol", { class: "mlj-steps", "aria-label": "Steps" });
  const heading = make("h3", { tabindex: -1 });
  const about = make("p");
  const fields = make("div", { class: "mlj-fields" });
  const buttons = make("div", { style: "display: contents" });
  const reason = make("div", { class: "mlj-reason", id: `${name}-reason` });
  const status = make("span", { class: "mlj-status", role: "status", "aria-live": "polite" });
  const spoken = make("span", { class: "mlj-hidden", "aria-live": "polite" });
  const form = make(
    "form",
    { class: "mlj", "aria-labelledby": title.id, novalidate: true },
    make("div", { class: "mlj-head" }, title, steps),
    make("div", { class: "mlj-page" }, heading, about, fields),
    make("div", { class: "mlj-foot" }, status, make("span", { class: "mlj-space" }), buttons, reason),
    spoken,
  );
  const changes = new Changes();
  const flushes = new Map<Element, () => void>();
  let pressed: Press | null = null;
  let shown: { heading: string; step: number } | null = null;
  let focused = JSON.stringify(model.get("view").focus); // that of a press before this view was there
  el.append(form);

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    press(model.get("view").buttons.find((button) => button.primary));
  });
  form.addEventListener("keydown", (event) => {
    keepKeys(form, event);
    if (event.key === "Escape") {
      press(model.get("view").buttons.find((button) => button.key === "back" && !button.reason));
    }
  });

  function press(button: Button | undefined): void {
    if (!button || pressed) {
      return;
    }
    if (button.reason) {
      text(status, button.reason);
      return;
    }
    flushes.forEach((flush, element) => {
      if (element.isConnected) {
        flush();
      }
    });
    if (button.inserts !== undefined) {
      const place = placeOfCode(form);
      const isDone = insertBelow(form, button.inserts);
      if (!isDone) {
        // Pages without permission refuse this; the code stays readable in the form.
        navigator.clipboard?.writeText(button.inserts.join("\n")).catch(() => undefined);
      }
      const where = place ? `into ${place}, below its active cell` : "below";
      const copied = place === null ? "Copied: paste it into a cell below." : "Copied: paste it into a cell.";
      text(status, isDone ? `Inserted ${where}. Run it when you like.` : copied);
      model.send({ kind: "press", button: button.key });
      return; // done here: nothing to wait for
    }
    const number = changes.add("press");
    const slow = setTimeout(() => {
      text(status, "Working …");
    }, SLOW_MS);
    pressed = { button: button.key, number, focus: document.activeElement, slow };
    markWorking(button.key);
    model.send({ kind: "press", button: button.key, view: name, number });
  }

  /** Mark the button that was pressed, or none. */
  function markWorking(key: string | null): void {
    for (const element of form.querySelectorAll<HTMLElement>("button[data-press]")) {
      const isWorking = element.dataset.press === key;
      attribute(element, "aria-busy", isWorking ? "true" : null);
      if (isWorking) {
        attribute(element, "aria-disabled", "true");
      }
    }
  }

  /** Return the press that Python has come to with this view, if it is one. */
  function answered(view: Page): Press | null {
    const found = pressed;
    if (!found || (view.answered?.[name] ?? 0) < found.number) {
      return null;
    }
    pressed = null;
    clearTimeout(found.slow);
    markWorking(null);
    return found;
  }

  function drawOf(field: Field): Drawn<Field> {
    const control = (part = "") => `${field.key}/${part}`;
    const drawn = drawField(field, {
      id: `${name}-${field.key}`,
      say(value, part) {
        const number = changes.add(control(part));
        model.send({ kind: "change", key: field.key, value, view: name, number });
      },
      isPending: (part) => changes.isPending(control(part), model.get("view").answered?.[name] ?? 0),
    });
    flushes.set(drawn.element, drawn.flush);
    return drawn;
  }

  function drawButton(first: Button): Drawn<Button & Keyed> {
    let current = first;
    const element = make("button", {
      "data-press": first.key,
      click: () => {
        if (!current.primary) {
          press(current); // the primary one submits the form
        }
      },
    });
    return {
      element,
      update(button) {
        current = button;
        text(element, button.inserts === undefined ? button.label : labelFor(button.label, placeOfCode(form)));
        element.type = button.primary ? "submit" : "button";
        attribute(element, "class", button.primary ? "mlj-primary" : null);
        attribute(element, "aria-disabled", button.reason ? "true" : null);
        attribute(element, "title", button.reason || null);
        attribute(element, "aria-describedby", button.reason ? reason.id : null);
      },
    };
  }

  function drawStep(first: IndexedStep): Drawn<IndexedStep> {
    let current = first;
    const number = make("span", { class: "mlj-number", "aria-hidden": "true" });
    const button = make(
      "button",
      {
        type: "button",
        "data-press": first.press,
        click: () => {
          if (current.state !== "current") {
            press({ key: current.press, label: current.name, reason: current.reason });
          }
        },
      },
      number,
      make("span", {}, first.name),
    );
    return {
      element: make("li", {}, button),
      update(step) {
        current = step;
        attribute(button, "aria-current", step.state === "current" ? "step" : null);
        attribute(button, "aria-disabled", step.reason ? "true" : null);
        attribute(button, "title", step.reason || null);
        text(number, step.state === "done" ? "✓" : String(step.index + 1));
      },
    };
  }

  function update(): void {
    const view = model.get("view");
    const wasInside = form.contains(document.activeElement);
    const press = answered(view);
    text(title, view.title);
    keyed(
      steps,
      view.steps.map((step, index) => ({ ...step, key: `${index} ${step.name}`, press: `step ${index}`, index })),
      drawStep,
    );
    text(heading, view.heading);
    text(about, view.about);
    about.hidden = !view.about;
    keyed(fields, view.fields, drawOf);
    for (const element of flushes.keys()) {
      if (!element.isConnected && el.isConnected) {
        flushes.delete(element);
      }
    }
    keyed(buttons, view.buttons, drawButton);
    text(reason, view.buttons.find((button) => button.primary)?.reason);
    if (pressed) {
      markWorking(pressed.button);
    } else {
      text(status, view.status);
    }
    moveFocus(view, press, wasInside);
  }

  /** Move the focus to the heading of another page, or to the first wrong field after a press. */
  function moveFocus(view: Page, press: Press | null, wasInside: boolean): void {
    const before = shown;
    const wanted = JSON.stringify(view.focus);
    const isWanted = view.focus !== null && wanted !== focused;
    shown = { heading: view.heading, step: view.steps.findIndex((step) => step.state === "current") };
    focused = wanted;

    const active = document.activeElement;
    const isLost = active === null || active === document.body;
    const isHere = isLost || (form.contains(active) && (press === null || active === press.focus));
    if (before && isHere && (before.step !== shown.step || (before.heading !== shown.heading && isLost))) {
      heading.focus({ preventScroll: press === null });
    } else if (before && wasInside && before.heading !== shown.heading) {
      text(spoken, view.heading); // the state of what is going on; the person reads something else
    }
    if (isWanted && isHere) {
      const field = [...fields.children].find((element) => (element as HTMLElement).dataset.key === view.focus?.key);
      field?.querySelector<HTMLElement>("input:not(:disabled), select")?.focus();
    }
  }

  update();
  document.addEventListener("mljupyter:place-changed", update); // another notebook is the current one
  const stops = [
    () => {
      document.removeEventListener("mljupyter:place-changed", update);
    },
    listen(model, "change:view", update),
    whenKernelEnds(model, () => {
      el.classList.add("mlj-ended");
    }),
  ];
  return () => {
    stops.forEach((stop) => {
      stop();
    });
  };
}

export default { render };
