/** A model as anywidget passes it to `render`, with Python's side in the hands of a test. */

import type { Model, Stop, View } from "../src/model";

type Listener = (value: unknown) => void;

export class FakeModel<Traits extends object> implements Model<Traits> {
  /** What the view has sent. */
  readonly sent: Record<string, unknown>[] = [];
  readonly #listeners = new Map<string, Set<Listener>>();

  constructor(public traits: Traits) {}

  get<K extends keyof Traits & string>(name: K): Traits[K] {
    return this.traits[name];
  }

  send(message: unknown): void {
    this.sent.push(message as Record<string, unknown>);
  }

  on(event: string, listener: (...values: never[]) => void): void {
    const known = this.#listeners.get(event) ?? new Set();
    this.#listeners.set(event, known.add(listener as Listener));
  }

  off(event: string, listener: (...values: never[]) => void): void {
    this.#listeners.get(event)?.delete(listener as Listener);
  }

  /** Have Python send a message. */
  receive(message: object): void {
    this.#emit("msg:custom", message);
  }

  /** Have Python set a trait; like the real one, the value is a new object each time. */
  set<K extends keyof Traits & string>(name: K, value: Traits[K]): void {
    this.traits = { ...this.traits, [name]: structuredClone(value) };
    this.#emit(`change:${name}`, value);
  }

  /** End the kernel. */
  endKernel(): void {
    this.#emit("comm_live_update", undefined);
  }

  /** Return how many listeners there are. */
  get listeners(): number {
    return [...this.#listeners.values()].reduce((sum, found) => sum + found.size, 0);
  }

  sentOfKind(kind: string): Record<string, unknown>[] {
    return this.sent.filter((message) => message.kind === kind);
  }

  #emit(event: string, value: unknown): void {
    [...(this.#listeners.get(event) ?? [])].forEach((listener) => listener(value));
  }
}

const running = new Set<Stop>();

/** Stop the widgets that a test has left on the page: their timers would outlive the page. */
export function stopAll(): void {
  [...running].forEach((stop) => stop());
}

/** Show a widget on the page. */
export function show<Traits extends object>(
  widget: { render(view: View<Traits>): Stop },
  traits: Traits,
): { model: FakeModel<Traits>; el: HTMLElement; stop: Stop } {
  const model = new FakeModel(traits);
  const el = document.body.appendChild(document.createElement("div"));
  const end = widget.render({ model, el });
  const stop = () => {
    running.delete(stop);
    end();
  };
  running.add(stop);
  return { model, el, stop };
}

/** Return the one element that fits a selector. */
export function one<E extends Element = HTMLElement>(within: ParentNode, selector: string): E {
  const found = within.querySelectorAll<E>(selector);
  if (found.length !== 1) {
    throw new Error(`${found.length} elements fit ${selector}`);
  }
  return found[0];
}

/** Return the text of a node as it reads, with any kind of space as an ordinary one. */
export function words(node: Node | null | undefined): string {
  return (node?.textContent ?? "").replaceAll("\u00a0", " ");
}

/** Return the button that is labelled so. */
export function button(within: ParentNode, label: string): HTMLButtonElement {
  const found = [...within.querySelectorAll("button")].filter((item) => item.textContent === label);
  if (found.length !== 1) {
    throw new Error(`${found.length} buttons are called ${label}`);
  }
  return found[0];
}
