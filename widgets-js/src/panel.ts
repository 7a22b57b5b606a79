/** The frame of a panel that follows an endpoint: heading, actions, messages, and the end of the kernel. */

import { attribute, identifier, keepKeys, make, text } from "./dom";
import { KERNEL_ENDED, type Stop, type View, listen, tellWhileVisible, whenKernelEnds } from "./model";

const WATCH_SECONDS = 4;

/** A message of Python: a tick with data, the result of an action, or a problem. */
export interface Message {
  kind: "tick" | "said" | "problem";
  text?: string;
  /** Whether the action has failed: its questions are then asked again, with the same answers. */
  failed?: boolean;
  problem?: string;
}

/** A question asked before an action: a choice where there are options, a line of text otherwise. */
export interface Question {
  key: string;
  label: string;
  options?: readonly string[];
  value?: string | number;
}

/** An action: a button, the questions behind it, and the function that gets the answers. */
export interface Action {
  label: string;
  submit?: string;
  confirm?: string;
  isPossible?: () => boolean;
  questions?: () => Question[];
  /** Return what is wrong with the answers; empty if nothing is. The form stays open until then. */
  check?: (answers: Record<string, string>) => string;
  /** Return the state that the form is about when it opens. It is added to the answers, so that no newer one is meant. */
  seen?: () => Record<string, string>;
  run: (answers: Record<string, string>) => void;
}

/** The frame of a live panel. Parts are added to `body`, actions by `addAction`. */
export class Panel<Tick extends Message> {
  readonly name = identifier();
  readonly element: HTMLElement;
  readonly body = make("div");
  readonly title = make("h2", { id: this.name });
  readonly head: HTMLElement;
  readonly #stale = make("span", { class: "mlj-stale", role: "status" });
  readonly #said = make("span", { class: "mlj-status", role: "status", "aria-live": "polite" });
  readonly #ask = make("form", { class: "mlj-ask", hidden: true });
  #asksAgain: (() => void) | null = null;
  readonly #foot = make("div", { class: "mlj-foot" }, this.#said, make("span", { class: "mlj-space" }));
  readonly #possible: (() => void)[] = [];

  /** Make the frame: `style` names the panel's own style, `choice` is the control at the right of the heading. */
  constructor(style: string, choice: HTMLElement) {
    const space = make("span", { class: "mlj-space" });
    this.head = make("div", { class: "mlj-head" }, this.title, space, this.#stale, choice);
    this.element = make(
      "section",
      { class: `mlj mlj-panel ${style}`, "aria-labelledby": this.name },
      this.head,
      this.body,
      this.#ask,
      this.#foot,
    );
    this.element.addEventListener("keydown", (event) => {
      keepKeys(this.element, event);
    });
  }

  /** Add a button. With questions or something to confirm, it opens a form first. */
  addAction(action: Action): void {
    const button = make("button", { type: "button" }, action.label);
    button.addEventListener("click", () => {
      this.#open(action, button);
    });
    this.#foot.append(button);
    this.#possible.push(() => {
      button.hidden = !(action.isPossible?.() ?? true);
    });
  }

  /** Hide the actions that are not possible now. */
  updateActions(): void {
    this.#possible.forEach((update) => {
      update();
    });
  }

  /** Show the panel in a view and follow it; `take` gets the ticks. Return the function that ends that. */
  follow<Traits>({ model, el }: View<Traits>, take: (tick: Tick) => void): Stop {
    el.append(this.element);
    const receive = (message: Message) => {
      if (message.kind === "said") {
        text(this.#said, message.text);
        if (message.failed) {
          this.#asksAgain?.();
        }
        this.#asksAgain = null;
        return;
      }
      text(this.#stale, message.problem);
      if (message.kind === "tick") {
        take(message as Tick);
      }
    };
    const stops = [listen(model, "msg:custom", receive)];
    model.send({ kind: "hello" });
    stops.push(
      tellWhileVisible(model, this.element, WATCH_SECONDS),
      whenKernelEnds(model, () => {
        text(this.#stale, KERNEL_ENDED);
        this.element.classList.add("mlj-dead");
        this.#foot.inert = true;
        this.#ask.inert = true;
      }),
    );
    return () => {
      stops.forEach((stop) => {
        stop();
      });
    };
  }

  #open(action: Action, button: HTMLButtonElement): void {
    const inputs = (action.questions?.() ?? []).map((question) => {
      const id = `${this.name}-${question.key}`;
      const options = question.options?.map((option) => make("option", { value: option }, option));
      const input = options
        ? make("select", { name: question.key, id }, ...options)
        : make("input", { type: "text", name: question.key, id, value: question.value ?? "" });
      return { label: make("label", { for: id }, question.label), input };
    });
    const seen = action.seen?.();
    const wrong = make("div", { class: "mlj-error", role: "alert" });
    const close = () => {
      this.#ask.hidden = true;
      button.focus();
    };
    this.#asksAgain = null; // another form takes its place
    const submit = make("button", { type: "submit", class: "mlj-primary" }, action.submit ?? action.label);
    this.#ask.replaceChildren(
      ...(action.confirm ? [make("span", {}, action.confirm)] : []),
      ...inputs.map(({ label, input }) => make("span", { class: "mlj-question" }, label, input)),
      submit,
      make("button", { type: "button", click: close }, "Cancel"),
      wrong,
    );
    attribute(this.#ask, "aria-label", action.label);
    this.#ask.onsubmit = (event) => {
      event.preventDefault();
      const answers = Object.fromEntries(new FormData(this.#ask)) as Record<string, string>;
      text(wrong, action.check?.(answers));
      if (wrong.textContent) {
        inputs.at(0)?.input.focus();
        return;
      }
      action.run({ ...answers, ...seen });
      text(this.#said, "Working …");
      close();
      this.#asksAgain = () => {
        this.#ask.hidden = false;
      };
    };
    this.#ask.onkeydown = (event) => {
      if (event.key === "Escape") {
        close();
      }
    };
    this.#ask.hidden = false;
    (inputs.at(0)?.input ?? submit).focus();
  }
}
