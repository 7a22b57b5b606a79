import { beforeEach, describe, expect, it } from "vitest";

import history from "../src/history";
import { one, show } from "./fake_model";

let shown: ReturnType<typeof show<object>>;

const event = (number: number, kind: string, lines: string[] = []) => ({
  key: `change ${number}`,
  kind,
  time: 1_700_000_000 + number,
  who: "ada",
  what: `updated (${number})`,
  lines,
});

function tick(entries?: object[]): void {
  shown.model.receive({ kind: "tick", time: 1_700_000_000, name: "churn", state: "Healthy", entries });
}

const events = () =>
  [...shown.el.querySelectorAll(".mlj-event")].map((item) =>
    [".mlj-event-kind", ".mlj-event-what", "ul"].map((part) => one(item, part).textContent).join(" | "),
  );

beforeEach(() => {
  shown = show(history, {});
});

describe("the history of an endpoint", () => {
  it("says of each event when it was, of which kind it is, who did it, and what has changed", () => {
    tick([event(2, "traffic", ["blue: 50 → 30"]), event(1, "deployment")]);
    expect(events()).toEqual(["Traffic | updated (2)by ada | blue: 50 → 30", "Deployment | updated (1)by ada | "]);
    expect(one(shown.el, "[datetime='2023-11-14T22:13:22.000Z']").textContent).toMatch(/^2023-11-1\d \d\d:\d\d:22$/);
  });

  it("keeps the events when a tick brings none, and takes over another list", () => {
    tick([event(1, "deployment")]);
    tick();
    expect(events()).toHaveLength(1);
    tick([event(2, "scaling"), event(1, "deployment")]);
    expect(events()).toHaveLength(2);
  });

  it("shows events of one kind, and says so when there are none", () => {
    tick([event(2, "traffic"), event(1, "deployment")]);
    const choice = one<HTMLSelectElement>(shown.el, "select[aria-label='Events shown']");
    choice.value = "traffic";
    choice.dispatchEvent(new Event("change"));
    expect(events()).toEqual(["Traffic | updated (2)by ada | "]);
    choice.value = "scaling";
    choice.dispatchEvent(new Event("change"));
    expect(events()).toEqual([]);
    expect(one(shown.el, ".mlj-part .mlj-status").textContent).toBe("Nothing of this kind has happened yet.");
  });
});
