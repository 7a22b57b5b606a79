import { describe, expect, it } from "vitest";

import { Typed } from "../../labextension/src/typed";

const KEY = "mljupyter:typed:tab";

function store(): Map<string, string> & Storage {
  const kept = new Map<string, string>();
  return Object.assign(kept, {
    getItem: (key: string) => kept.get(key) ?? null,
    setItem: (key: string, value: string) => kept.set(key, value),
    removeItem: (key: string) => kept.delete(key),
  }) as unknown as Map<string, string> & Storage;
}

/** A page of a wizard with two steps. */
function page(step: "Model" | "Size", ...fields: { key: string; secret?: boolean }[]) {
  const steps = ["Model", "Size"].map((name) => ({ name, state: name === step ? "current" : "open" }));
  return { steps, fields };
}

const change = (key: string, value: unknown) => ({ kind: "change", key, value });

describe("what was typed into a wizard", () => {
  it("is told to a wizard that is made anew, with the step that was shown, and not to the one that has heard it", () => {
    const typed = new Typed("tab", store());
    expect(typed.missing("first")).toBeNull();
    typed.note(change("name", "iris"), page("Model", { key: "name" }, { key: "score" }));
    typed.note(change("score", "x"), page("Model", { key: "name" }, { key: "score" }));
    typed.note(change("name", "iris-two"), page("Model", { key: "name" }, { key: "score" }));
    typed.see(page("Size"));
    expect(typed.missing("first")).toBeNull(); // the connection was lost, and is back
    const pages = {
      Model: [
        ["score", "x"],
        ["name", "iris-two"],
      ],
    };
    expect(typed.missing("second")).toEqual({ kind: "typed", step: "Size", pages });
    expect(typed.missing("second")).toBeNull();
  });

  it("is still there when the page was loaded again, until the wizard is closed", () => {
    const kept = store();
    const before = new Typed("tab", kept);
    before.missing("first");
    before.note(change("name", "iris"), page("Model", { key: "name" }));
    const after = new Typed("tab", kept);
    expect(new Typed("other", kept).missing("second")).toBeNull();
    expect(after.missing("second")).toMatchObject({ step: "Model", pages: { Model: [["name", "iris"]] } });
    after.forget();
    expect(kept.size).toBe(0);
    expect(new Typed("tab", kept).missing("third")).toBeNull();
  });

  it("has each share of a division by itself", () => {
    const typed = new Typed("tab", store());
    typed.missing("first");
    for (const [name, percent] of [["blue", 10] as const, ["green", 20] as const, ["blue", 30] as const]) {
      typed.note(change("shares", { name, percent }), page("Model", { key: "shares" }));
    }
    const pairs = [
      ["shares", { name: "green", percent: 20 }],
      ["shares", { name: "blue", percent: 30 }],
    ];
    expect(typed.missing("second")).toMatchObject({ pages: { Model: pairs } });
  });

  it.each([
    ["a field that hides what is typed", change("key", "s3cret"), page("Model", { key: "key", secret: true })],
    ["a field that is not shown", change("key", "s3cret"), page("Model")],
    ["an address with a password", change("at", "http://me:s3cret@proxy"), page("Model", { key: "at" })],
    ["what is no change", { kind: "press", button: "s3cret" }, page("Model", { key: "at" })],
    ["what is no wizard", change("at", "s3cret"), { window: 3 }],
  ])("does not have %s", (_, content, view) => {
    const kept = store();
    const typed = new Typed("tab", kept);
    typed.missing("first");
    typed.note(content, view);
    expect(JSON.stringify([...kept])).not.toContain("s3cret");
    expect(typed.missing("second")).toBeNull();
  });

  it("survives a storage that is broken, full or switched off", () => {
    const refuses = () => {
      throw new Error("denied");
    };
    const broken = { getItem: () => "{", setItem: refuses, removeItem: refuses };
    const typed = new Typed("tab", broken);
    typed.missing("first");
    typed.note(change("name", "iris"), page("Model", { key: "name" }));
    expect(typed.missing("second")).toMatchObject({ pages: { Model: [["name", "iris"]] } });
    typed.forget();
    const kept = store();
    const long = new Typed("tab", kept);
    long.note(change("name", "x".repeat(200_000)), page("Model", { key: "name" }));
    expect(kept.get(KEY)).toBeUndefined();
  });
});
