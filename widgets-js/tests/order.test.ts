import { describe, expect, it } from "vitest";

import { fingerprint, placed, selfContained } from "../../labextension/src/order";

const own = (source: string) => ({ id: source, origin: { from: "form", text: fingerprint(source) } });
const plain = (id: string) => ({ id });

describe("the order of cells that forms insert", () => {
  it("is the order of the insertions, directly below the form at first", () => {
    expect(placed([plain("form"), plain("x")], 0, ["%deploy"])).toMatchObject({ at: 1, missing: ["%deploy"] });
    expect(placed([plain("form"), own("%deploy"), plain("x")], 0, ["%invoke"])).toMatchObject({ at: 2 });
  });

  it("keeps a text that is there, also when it was edited or moved", () => {
    const edited = { ...own("%deploy"), id: "edited" };
    const found = placed([plain("form"), plain("x"), edited], 0, ["%deploy", "%invoke"]);
    expect(found).toMatchObject({ at: 3, missing: ["%invoke"] });
    expect(placed([plain("form"), edited], 0, ["%deploy"])).toMatchObject({ missing: [], last: 1 });
  });

  it("is not changed by cells of other forms or by cells above", () => {
    const other = { id: "y", origin: { from: "another", text: fingerprint("%deploy") } };
    expect(placed([own("%old"), plain("form"), other], 1, ["%deploy"])).toMatchObject({ at: 2, missing: ["%deploy"] });
  });
});

describe("cells from a form in a tab of its own", () => {
  it("go below the active cell, and below those that the same form has inserted", () => {
    const own = { id: "y", origin: { from: "tab", text: fingerprint("%deploy") } };
    expect(placed([plain("a"), plain("b")], 0, ["%deploy"], "tab")).toMatchObject({ at: 1, missing: ["%deploy"] });
    expect(placed([plain("a"), own, plain("b")], 0, ["%deploy"], "tab")).toMatchObject({ missing: [], last: 1 });
    expect(placed([plain("a"), own], 0, ["%invoke"], "tab")).toMatchObject({ at: 2, missing: ["%invoke"] });
    expect(placed([own, plain("b")], 1, ["%deploy"], "other")).toMatchObject({ at: 2, missing: ["%deploy"] });
  });

  it.each([
    [[], "%load_ext mljupyter\n%mlj workspace team\n%deploy iris ridge"],
    [["%load_ext mljupyter"], "%mlj workspace team\n%deploy iris ridge"],
    [["%load_ext mljupyter\n%mlj workspace team --create"], "%deploy iris ridge"],
    [["%load_ext mljupyter\n%mlj workspace team", "%mlj workspace other"], "%mlj workspace team\n%deploy iris ridge"],
    [["# %load_ext mljupyter"], "%load_ext mljupyter\n%mlj workspace team\n%deploy iris ridge"],
  ])("load the extension and choose the workspace unless cells above do: %j", (before, text) => {
    expect(selfContained("%deploy iris ridge", "team", before)).toBe(text);
  });

  it("stay as they are if they are no line of a magic, and choose no workspace where there is none yet", () => {
    expect(selfContained("x = 1", "team", [])).toBe("x = 1");
    expect(selfContained("%%score x", "team", [])).toBe("%%score x");
    expect(selfContained("%deploy x", "", ["%load_ext mljupyter"])).toBe("%deploy x");
  });
});
