/** Helpers for building and updating DOM elements. An update touches only what differs, so focus and selection stay. */

type Listener<E extends Event = Event> = (event: E) => void;
type Attribute = string | number | boolean | null | undefined | Listener;
type Child = Node | string | null | undefined;

/** Marks beside a state. The state is also said in words, so that colour and mark alone carry nothing. */
export const MARKS: Record<string, string> = {
  ok: "✓",
  failed: "✗",
  warning: "!",
  running: "◐",
  waiting: "·",
  note: "·",
  skipped: "–",
  cancelled: "✗",
};

/** Number of hues for versions; the style sheets define `--mlj-colour-1` and so on for both themes. */
export const HUES = 6;

/** Return the CSS value of a version's hue. Hues repeat when there are more versions than hues. */
export function hue(index: number): string {
  return `var(--mlj-colour-${(Math.max(0, index) % HUES) + 1})`;
}

/** Make an element. Functions among the attributes become listeners; false, null and undefined are left out. */
export function make<K extends keyof HTMLElementTagNameMap>(
  name: K,
  attributes: Record<string, Attribute> = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === "function") {
      element.addEventListener(key, value);
    } else {
      attribute(element, key, value);
    }
  }
  element.append(...children.filter((child) => child !== undefined && child !== null));
  return element;
}

/** Make an SVG element. */
export function svg<K extends keyof SVGElementTagNameMap>(
  name: K,
  attributes: Record<string, string | number> = {},
  ...children: SVGElement[]
): SVGElementTagNameMap[K] {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) {
    element.setAttribute(key, String(value));
  }
  element.append(...children);
  return element;
}

/** Set an attribute, or remove it for false, null and undefined. */
export function attribute(element: Element, name: string, value: string | number | boolean | null | undefined): void {
  if (value === undefined || value === null || value === false) {
    element.removeAttribute(name);
  } else {
    const written = value === true ? "" : String(value);
    if (element.getAttribute(name) !== written) {
      element.setAttribute(name, written);
    }
  }
}

const BEFORE_UNIT = /(?<=\d) (?=(?:%|ms|s|min|h|d|[kKMGT]B|cores?)(?!\w))/g;
const VERBATIM = new Set(["PRE", "CODE"]);

/** Return a text in which no line ends between a number and its unit. */
export function unbroken(value: string): string {
  return value.replace(BEFORE_UNIT, "\u00a0");
}

/**
 * Set the text of an element if it differs. Text that a person has selected stays selected.
 *
 * Code and logs are shown as they are, since people copy them.
 */
export function text(element: Element, value: string | null | undefined): void {
  const words = VERBATIM.has(element.tagName) ? (value ?? "") : unbroken(value ?? "");
  if (element.textContent !== words) {
    element.textContent = words;
  }
}

/** Let an element be scrolled by keyboard while its content is wider than it. */
export function scrollable(element: HTMLElement): HTMLElement {
  const sizes = new ResizeObserver(() => {
    attribute(element, "tabindex", element.scrollWidth > element.clientWidth ? 0 : null);
  });
  [element, ...element.children].forEach((item) => {
    sizes.observe(item);
  });
  return element;
}

/** An item of a list. `kind` says which sort of element it needs; another kind gets a new element. */
export interface Keyed {
  key: string;
  kind?: string;
}

/** An element, and the function that brings it up to date. */
export interface Drawn<T> {
  element: HTMLElement;
  update(item: T): void;
}

const drawings = new WeakMap<Element, Drawn<unknown>>();

/**
 * Make the children of an element match a list of items.
 *
 * An item keeps its element for as long as its key and kind stay the same, so the focus, the caret and a selection in it
 * survive updates, insertions and removals around it.
 */
export function keyed<T extends Keyed>(parent: HTMLElement, items: readonly T[], draw: (item: T) => Drawn<T>): void {
  const known = new Map(
    [...parent.children].map((child) => [(child as HTMLElement).dataset.key, child as HTMLElement]),
  );
  const wanted = items.map((item) => {
    const element = known.get(item.key);
    if (element && element.dataset.kind === (item.kind ?? "")) {
      known.delete(item.key);
      return element;
    }
    const drawn = draw(item);
    drawn.element.dataset.key = item.key;
    drawn.element.dataset.kind = item.kind ?? "";
    drawings.set(drawn.element, drawn as Drawn<unknown>);
    return drawn.element;
  });
  for (const child of known.values()) {
    child.remove();
  }
  const focused = document.activeElement;
  wanted.forEach((element, index) => {
    if (parent.children[index] !== element) {
      parent.insertBefore(element, parent.children[index] ?? null);
    }
    drawings.get(element)?.update(items[index]);
  });
  // An element that is moved loses the focus.
  if (focused instanceof HTMLElement && focused !== document.activeElement && parent.contains(focused)) {
    focused.focus({ preventScroll: true });
  }
}

/** Copy text and say so on the button. Where the browser does not allow it, select the text that is shown instead. */
export async function copyFrom(button: HTMLButtonElement, value: string, shown: Element): Promise<void> {
  const label = (button.dataset.label ??= button.textContent);
  try {
    await navigator.clipboard.writeText(value);
    text(button, "Copied");
  } catch {
    text(button, "Select and copy");
    getSelection()?.selectAllChildren(shown);
  }
  setTimeout(() => {
    text(button, label);
  }, 2000);
}

/** Return whether an element is scrolled to its end. */
export function isAtEnd(element: Element, tolerance = 6): boolean {
  return element.scrollTop + element.clientHeight >= element.scrollHeight - tolerance;
}

/** Scroll an element to its end. */
export function scrollToEnd(element: Element): void {
  element.scrollTop = element.scrollHeight;
}

let made = 0;

/** Return an identifier that no other view on the page has. */
export function identifier(): string {
  made += 1;
  return `mlj-${Math.random().toString(36).slice(2, 8)}-${made}`;
}

/**
 * Ask the page where code would go: into which notebook; "" if there is none to take it; null for the cell below this
 * one, which is the place in a notebook.
 */
export function placeOfCode(element: HTMLElement): string | null {
  const detail: { place: string | null } = { place: null };
  element.dispatchEvent(new CustomEvent("mljupyter:place-of-code", { bubbles: true, composed: true, detail }));
  return detail.place;
}

/**
 * Keep a key that is pressed in an element of a notebook from the notebook: its own keys, such as d d, must not act while
 * somebody works in the element. In a tab of its own, the keys of the page work as everywhere.
 */
export function keepKeys(element: HTMLElement, event: KeyboardEvent): void {
  if (placeOfCode(element) === null) {
    event.stopPropagation();
  }
}
