import { beforeEach, describe, expect, it, vi } from "vitest";

import { type Drawn, type Keyed, attribute, hue, keyed, make, scrollable, text, unbroken } from "../src/dom";

describe("a list of keyed elements", () => {
  let list: HTMLElement;
  const draw = (first: Keyed): Drawn<Keyed & { value?: string }> => {
    const element = make("input", { title: first.key });
    return { element, update: (item) => attribute(element, "data-value", item.value) };
  };
  const show = (...keys: string[]) =>
    keyed(
      list,
      keys.map((key) => ({ key, value: `of ${key}` })),
      draw,
    );
  const titles = () => [...list.children].map((child) => (child as HTMLElement).title);

  beforeEach(() => {
    list = document.body.appendChild(make("div"));
  });

  it("has the items in their order", () => {
    show("a", "b", "c");
    show("c", "d", "a");
    expect(titles()).toEqual(["c", "d", "a"]);
    expect([...list.children].map((child) => (child as HTMLElement).dataset.value)).toEqual(["of c", "of d", "of a"]);
  });

  it.each([
    ["an item before it is added", ["new", "b"]],
    ["the item before it is removed", ["b"]],
    ["it changes its place", ["c", "b", "a"]],
    ["an item is exchanged", ["b", "x", "y"]],
  ])("keeps the focus, the caret and what is typed when %s", (_, after) => {
    show("a", "b", "c");
    const typed = list.children[1] as HTMLInputElement;
    typed.focus();
    typed.value = "typed";
    typed.setSelectionRange(2, 2);
    show(...after);
    expect(document.activeElement).toBe(typed);
    expect(typed.value).toBe("typed");
    expect(typed.selectionStart).toBe(2);
    expect(titles()).toEqual(after);
  });

  it("makes a new element for another kind", () => {
    keyed(list, [{ key: "a", kind: "x" }], draw);
    const first = list.firstChild;
    keyed(list, [{ key: "a", kind: "y" }], draw);
    expect(list.firstChild).not.toBe(first);
    expect(list.children).toHaveLength(1);
  });
});

it("leaves a text that does not differ alone, so that a selection in it stays", () => {
  const element = make("p", {}, "same");
  const node = element.firstChild;
  text(element, "same");
  expect(element.firstChild).toBe(node);
  text(element, null);
  expect(element.textContent).toBe("");
});

it("repeats the hues when there are more versions than hues", () => {
  expect(hue(0)).toBe("var(--mlj-colour-1)");
  expect(hue(6)).toBe(hue(0));
  expect(hue(-1)).toBe(hue(0));
});

describe("a number", () => {
  it.each([
    ["68.5 ms", "68.5\u00a0ms"],
    ["p95 < 200 ms, errors 1 %", "p95 < 200\u00a0ms, errors 1\u00a0%"],
    ["0.25 cores of 2 GB for 5 min", "0.25\u00a0cores of 2\u00a0GB for 5\u00a0min"],
    ["2 days, 1 second, 3 more", "2 days, 1 second, 3 more"],
  ])("is not separated from its unit: %s", (before, after) => {
    expect(unbroken(before)).toBe(after);
    const shown = make("td");
    text(shown, before);
    expect(shown.textContent).toBe(after);
  });

  it("is left alone in code and logs, which people copy", () => {
    for (const name of ["pre", "code"] as const) {
      const shown = make(name);
      text(shown, "took 68.5 ms");
      expect(shown.textContent).toBe("took 68.5 ms");
    }
  });
});

it("a part is scrolled by keyboard while its content is wider than it", () => {
  let look = (): void => undefined;
  class Sizes {
    constructor(changed: () => void) {
      look = changed;
    }
    observe(): void {}
  }
  vi.stubGlobal("ResizeObserver", Sizes);
  const part = scrollable(make("section", {}, make("table")));
  const content = vi.spyOn(part, "scrollWidth", "get").mockReturnValue(100);
  look();
  expect(part.tabIndex).toBe(0);
  content.mockReturnValue(0);
  look();
  expect(part.hasAttribute("tabindex")).toBe(false);
});
