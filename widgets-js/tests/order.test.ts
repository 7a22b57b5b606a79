import { describe, expect, it } from "vitest";

import { fingerprint, placed } from "../../labextension/src/order";

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
