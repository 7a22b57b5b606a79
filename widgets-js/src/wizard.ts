/**
 * A wizard: draws one page from its description and reports what the person does.
 *
 * Python owns everything: pages, values, errors. `view` holds the page as data; this module keeps the DOM equal to it,
 * element by element, so that the focus and a text that is being typed stay. Messages to Python: `change` and `press`.
 *
 * A view may have been sent before Python has seen the last change. Each change therefore has a number, and `answered`
 * in the view says up to which one Python has come. Until then a control keeps what the person did.
 */

import "./base.css";

import { type Drawn, type Keyed, attribute, identifier, keyed, make, text } from "./dom";
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
  const form = make(
    "form",
    { class: "mlj", "aria-labelledby": title.id, novalidate: true },
    make("div", { class: "mlj-head" }, title, steps),
    make("div", { class: "mlj-page" }, heading, about, fields),
    make("div", { class: "mlj-foot" }, status, make("span", { class: "mlj-space" }), buttons, reason),
  );
  const changes = new Changes();
  const flushes = new Map<Element, () => void>();
  let shownHeading: string | null = null;
  let focused = "null";
  el.append(form);

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    press(model.get("view").buttons.find((button) => button.primary));
  });
  form.addEventListener("keydown", (event) => {
    event.stopPropagation(); // the notebook's own keys, such as d d, must not act while somebody types here
    if (event.key === "Escape") {
      press(model.get("view").buttons.find((button) => button.key === "back" && !button.reason));
    }
  });

  function press(button: Button | undefined): void {
    if (!button) {
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
      const isDone = insertBelow(form, button.inserts);
      if (!isDone) {
        // Pages without permission refuse this; the code stays readable in the form.
        navigator.clipboard?.writeText(button.inserts.join("\n")).catch(() => undefined);
      }
      text(status, isDone ? "Inserted below. Run it when you like." : "Copied: paste it into a cell below.");
    }
    model.send({ kind: "press", button: button.key });
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
        text(element, button.label);
        element.type = button.primary ? "submit" : "button";
        attribute(element, "class", button.primary ? "mlj-primary" : null);
        attribute(element, "aria-disabled", button.reason ? "true" : null);
        attribute(element, "title", button.reason || null);
        attribute(element, "aria-describedby", button.reason ? reason.id : null);
      },
    };
  }

  function update(): void {
    const view = model.get("view");
    text(title, view.title);
    keyed(
      steps,
      view.steps.map((step, index) => ({ ...step, key: step.name, index })),
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
    text(status, view.status);
    if (shownHeading !== null && shownHeading !== view.heading) {
      heading.focus();
    }
    shownHeading = view.heading;
    const wanted = JSON.stringify(view.focus);
    if (view.focus && wanted !== focused) {
      const field = [...fields.children].find((element) => (element as HTMLElement).dataset.key === view.focus?.key);
      field?.querySelector<HTMLElement>("input, select")?.focus();
    }
    focused = wanted;
  }

  update();
  const stops = [
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

function drawStep(first: Step): Drawn<Step & Keyed & { index: number }> {
  const number = make("span", { class: "mlj-number", "aria-hidden": "true" });
  const element = make("li", {}, number, make("span", {}, first.name));
  return {
    element,
    update(step) {
      attribute(element, "aria-current", step.state === "current" ? "step" : null);
      text(number, step.state === "done" ? "✓" : String(step.index + 1));
    },
  };
}

export default { render };
