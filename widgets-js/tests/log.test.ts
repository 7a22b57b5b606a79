import { beforeEach, describe, expect, it, vi } from "vitest";

import log, { type LogTraits } from "../src/log";
import { button, one, show } from "./fake_model";

const view = (changed: Partial<LogTraits["view"]> = {}): LogTraits["view"] => ({
  title: "churn",
  status: "1 of 1 ready",
  cancel: "",
  stages: [],
  ...changed,
});

let shown: ReturnType<typeof show<LogTraits>>;
const add = (lines: string[], whole = false) => shown.model.receive({ kind: "lines", whole, lines });
const lines = () => [...one(shown.el, "[role=log]").children] as HTMLElement[];
const visible = () =>
  lines()
    .filter((line) => !line.hidden)
    .map((line) => line.textContent);

beforeEach(() => {
  shown = show(log, { view: view() });
});

function search(words: string): void {
  const input = one<HTMLInputElement>(shown.el, "input[type=search]");
  input.value = words;
  input.dispatchEvent(new Event("input"));
}

describe("the log panel", () => {
  it("asks for the lines when it appears, and adds batches", () => {
    expect(shown.model.sent).toEqual([{ kind: "hello" }]);
    add(["one"]);
    add(["two"]);
    expect(visible()).toEqual(["one", "two"]);
    add(["all again"], true);
    expect(visible()).toEqual(["all again"]);
  });

  it("finds lines whatever their case, also among those that come later, and counts them", () => {
    add(["Asked: 1", "ready"]);
    search("ASKED");
    expect(visible()).toEqual(["Asked: 1"]);
    add(["asked: 2", "other"]);
    expect(visible()).toEqual(["Asked: 1", "asked: 2"]);
    expect(shown.el.textContent).toContain("2 of 4 lines");
    search("");
    expect(visible()).toHaveLength(4);
    expect(shown.el.textContent).not.toContain("of 4 lines");
  });

  it("keeps the newest lines only", () => {
    const numbered = (from: number, to: number) =>
      Array.from({ length: to - from }, (_, index) => `line ${from + index}`);
    add(numbered(0, 3000));
    add(numbered(3000, 5100));
    expect(lines()).toHaveLength(5000);
    expect([lines()[0].textContent, lines().at(-1)?.textContent]).toEqual(["line 100", "line 5099"]);
  });

  it("marks errors and warnings", () => {
    add(["10:00:00.001 W slow", "10:00:00.002 E broken", "2026-01-01 10:00:00.003 I fine"]);
    expect(lines().map((line) => line.dataset.level)).toEqual(["warning", "error", undefined]);
  });

  it("shows only lines of a level and above, with the lines that belong to them", () => {
    add(["10:00:00.001 I fine", "10:00:00.002 E broken", "  in line 4", "10:00:00.003 W slow"]);
    const level = one<HTMLSelectElement>(shown.el, "select[aria-label='Lowest level']");
    level.value = "W";
    level.dispatchEvent(new Event("change"));
    expect(visible()).toEqual(["10:00:00.002 E broken", "  in line 4", "10:00:00.003 W slow"]);
    add(["10:00:00.004 I fine again"]);
    expect(visible()).toHaveLength(3);
    expect(shown.el.textContent).toContain("3 of 5 lines");
  });

  it("looks dead when the kernel has ended", () => {
    expect(one(shown.el, "section").classList.contains("mlj-dead")).toBe(false);
    shown.model.endKernel();
    expect(one(shown.el, "section").classList.contains("mlj-dead")).toBe(true);
  });

  it("follows the end, pauses when the person scrolls up, and goes on at the end", () => {
    const box = one(shown.el, "[role=log]");
    const follow = one<HTMLInputElement>(shown.el, "input[type=checkbox]");
    const height = vi.spyOn(box, "scrollHeight", "get").mockReturnValue(1000);
    vi.spyOn(box, "clientHeight", "get").mockReturnValue(200);
    add(["one"]);
    expect(box.scrollTop).toBe(1000);
    box.scrollTop = 100;
    box.dispatchEvent(new Event("scroll"));
    expect(follow.checked).toBe(false);
    add(["two"]);
    expect(box.scrollTop).toBe(100);
    box.scrollTop = 800;
    box.dispatchEvent(new Event("scroll"));
    expect(follow.checked).toBe(true);
    height.mockReturnValue(1100);
    add(["three"]);
    expect(box.scrollTop).toBe(1100);
  });

  it("opens the reason of a stage that failed, once", () => {
    const failed = { name: "Start", state: "failed", remark: "", problem: "no such weights" };
    shown.model.set("view", view({ stages: [failed] }));
    const details = one<HTMLDetailsElement>(shown.el, "details");
    expect(details.open).toBe(true);
    expect(one(details, "pre").textContent).toBe("no such weights");
    details.open = false;
    shown.model.set("view", view({ stages: [failed], status: "failed" }));
    expect(details.open).toBe(false);
  });

  it("can be told to cancel while there is something to cancel", () => {
    shown.model.set("view", view({ cancel: "Cancel the build" }));
    button(shown.el, "Cancel the build").click();
    expect(shown.model.sentOfKind("cancel")).toHaveLength(1);
    shown.model.endKernel();
    expect(button(shown.el, "Cancel the build").hidden).toBe(true);
    expect(one(shown.el, ".mlj-head [role=status]").textContent).toContain("The kernel has ended.");
  });

  it("copies the lines that are shown", async () => {
    const writeText = vi.fn().mockResolvedValue(undefined);
    vi.stubGlobal("navigator", { ...navigator, clipboard: { writeText } });
    add(["a 1", "b 1", "a 2"]);
    search("a ");
    button(shown.el, "Copy").click();
    expect(writeText).toHaveBeenCalledWith("a 1\na 2");
    await vi.waitFor(() => button(shown.el, "Copied"));
    vi.unstubAllGlobals();
  });
});
