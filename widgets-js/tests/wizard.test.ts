import { afterEach, describe, expect, it, vi } from "vitest";

import type { Field } from "../src/fields";
import wizard, { type WizardTraits } from "../src/wizard";
import { button, one, show } from "./fake_model";

type Page = WizardTraits["view"];

function page(fields: Field[], changed: Partial<Page> = {}): Page {
  const steps = [
    { name: "Model", state: "current" as const },
    { name: "Review", state: "open" as const },
  ];
  const buttons = [{ key: "next", label: "Next", primary: true, reason: "" }];
  const rest = { about: "", status: "", focus: null, answered: {} };
  return { title: "Deploy", steps, heading: "Which model?", fields, buttons, ...rest, ...changed };
}

function opened(fields: Field[], changed: Partial<Page> = {}) {
  const shown = show(wizard, { view: page(fields, changed) });
  const update = (next: Field[], more: Partial<Page> = {}) => shown.model.set("view", page(next, more));
  return { ...shown, update };
}

/** Return `answered` of a view for the last change that was sent. */
function answer(sent: Record<string, unknown>): Record<string, number> {
  return { [sent.view as string]: sent.number as number };
}

const option = (value: string, reason = "") => ({
  value,
  label: value.toUpperCase(),
  help: `about ${value}`,
  state: "ok",
  reason,
});
const text = (value = "", more = {}): Field => ({ kind: "text", key: "name", label: "Name", value, ...more });
const check = (value: boolean, more = {}): Field => ({ kind: "check", key: "key", label: "Use a key", value, ...more });
const cards = (value: string): Field => ({
  kind: "cards",
  key: "target",
  label: "Target",
  value,
  options: [option("local"), option("docker"), option("cluster", "No cluster is reachable.")],
});
const split = (a: number, b: number): Field => ({
  kind: "split",
  key: "shares",
  label: "Shares",
  parts: [
    { name: "a", percent: a, rest: true, fixed: false },
    { name: "b", percent: b, rest: false, fixed: false },
  ],
});

afterEach(() => {
  vi.useRealTimers();
});

describe("a page", () => {
  it("is a form named after the wizard, with the current step marked", () => {
    const { el } = opened([]);
    const form = one(el, "form");
    expect(document.getElementById(form.getAttribute("aria-labelledby") ?? "")?.textContent).toBe("Deploy");
    expect(one(el, "[aria-current=step]").textContent).toContain("Model");
  });

  it("reads out the heading of the next page by giving it the focus", () => {
    const { el, update } = opened([]);
    update([], { heading: "Is this what you want?" });
    expect(document.activeElement).toBe(one(el, "h3"));
  });

  it("does not leave while its button says why, and says it", () => {
    const { el, model, update } = opened([]);
    const reason = "Choose a model first.";
    update([], { buttons: [{ key: "next", label: "Next", primary: true, reason }] });
    button(el, "Next").click();
    expect(model.sent).toEqual([]);
    expect(one(el, "[role=status]").textContent).toBe(reason);
    expect(button(el, "Next").getAttribute("aria-disabled")).toBe("true");
    expect(document.getElementById(button(el, "Next").getAttribute("aria-describedby") ?? "")?.textContent).toBe(
      reason,
    );
  });

  it("goes back with Escape, and keeps the notebook's keys away", () => {
    const { el, model } = opened([text()], { buttons: [{ key: "back", label: "Back" }] });
    const heard = vi.fn();
    document.body.addEventListener("keydown", heard, { once: true });
    one(el, "input").dispatchEvent(new KeyboardEvent("keydown", { key: "Escape", bubbles: true }));
    expect(model.sent).toEqual([{ kind: "press", button: "back", view: expect.any(String) as string, number: 1 }]);
    expect(heard).not.toHaveBeenCalled();
  });

  it("takes the person to a field that is wrong, once for each attempt", () => {
    const { el, update } = opened([text(), check(false)]);
    const focus = { key: "name", try: "1" };
    update([text(), check(false)], { focus });
    expect(document.activeElement).toBe(one(el, "input[type=text]"));
    one(el, "input[type=checkbox]").focus();
    update([text(), check(true)], { focus });
    expect(document.activeElement).toBe(one(el, "input[type=checkbox]"));
    update([text(), check(true)], { focus: { ...focus, try: "2" } });
    expect(document.activeElement).toBe(one(el, "input[type=text]"));
  });

  it("keeps the focus of a person who has gone on since the press", () => {
    const { el, model, update } = opened([text(), check(false)]);
    button(el, "Next").focus();
    button(el, "Next").click();
    one(el, "input[type=checkbox]").focus();
    update([text("", { error: "Which name?" }), check(false)], {
      focus: { key: "name", try: "1" },
      answered: answer(model.sent[0] as Record<string, unknown>),
    });
    expect(document.activeElement).toBe(one(el, "input[type=checkbox]"));
    expect(one(el, "[data-key=name] .mlj-error").textContent).toBe("Which name?");
  });

  it("leaves the focus alone in other forms, and in a view that comes after the press", () => {
    const focus = { key: "name", try: "1" };
    const { el, update } = opened([text(), check(false)], { focus });
    expect(el.contains(document.activeElement)).toBe(false);
    const other = document.body.appendChild(document.createElement("input"));
    other.focus();
    update([text(), check(false)], { focus: { ...focus, try: "2" }, heading: "Another page" });
    expect(document.activeElement).toBe(other);
    other.remove();
  });

  it("reads out a new state of the same page to a person who is in it, without taking the focus", () => {
    const { el, update } = opened([check(false)]);
    one(el, "input").focus();
    update([check(false)], { heading: "The endpoint is ready" });
    expect(document.activeElement).toBe(one(el, "input"));
    expect(one(el, ".mlj-hidden[aria-live]").textContent).toBe("The endpoint is ready");
  });

  it("shows that a press is worked on, and takes no second one", () => {
    vi.useFakeTimers();
    const { el, model, update } = opened([text()], {
      buttons: [
        { key: "back", label: "Back" },
        { key: "next", label: "Next", primary: true },
      ],
    });
    button(el, "Next").click();
    button(el, "Next").click();
    button(el, "Back").click();
    expect(model.sent).toMatchObject([{ kind: "press", button: "next" }]);
    expect(button(el, "Next").getAttribute("aria-busy")).toBe("true");
    expect(button(el, "Next").getAttribute("aria-disabled")).toBe("true");
    expect(button(el, "Back").hasAttribute("aria-busy")).toBe(false);
    update([text()]); // a view that Python sent before
    vi.advanceTimersByTime(1000);
    expect(one(el, "[role=status]").textContent).toBe("Working …");
    update([text()], { answered: answer(model.sent[0] as Record<string, unknown>) });
    expect(button(el, "Next").hasAttribute("aria-busy")).toBe(false);
    expect(button(el, "Next").hasAttribute("aria-disabled")).toBe(false);
    expect(one(el, "[role=status]").textContent).toBe("");
    button(el, "Next").click();
    expect(model.sent).toHaveLength(2);
  });

  it("opens a step that is clicked, and says why one cannot be opened", () => {
    const reason = "Progress begins with 'Deploy now'.";
    const { el, model } = opened([], {
      steps: [
        { name: "Model", state: "done" },
        { name: "Where", state: "current" },
        { name: "Progress", state: "open", reason },
      ],
    });
    const [first, current, last] = el.querySelectorAll<HTMLElement>(".mlj-steps button");
    current.click();
    last.click();
    expect(model.sent).toEqual([]);
    expect(one(el, "[role=status]").textContent).toBe(reason);
    expect(last.getAttribute("aria-disabled")).toBe("true");
    first.click();
    expect(model.sent).toMatchObject([{ kind: "press", button: "step 0" }]);
  });

  it("gives code to the notebook around it", () => {
    const { el, model } = opened([], { buttons: [{ key: "insert", label: "Insert", inserts: ["x = 1", "y = 2"] }] });
    document.body.addEventListener(
      "mljupyter:insert-cell",
      (event) => {
        const { detail } = event as CustomEvent<{ sources: string[]; done: boolean }>;
        detail.done = detail.sources.join() === "x = 1,y = 2";
      },
      { once: true },
    );
    button(el, "Insert").click();
    expect(one(el, "[role=status]").textContent).toContain("Inserted below");
    expect(model.sent).toEqual([{ kind: "press", button: "insert" }]);
  });

  it("names the notebook that takes its code when it is in none itself, copies where there is none, and keeps no keys", () => {
    let place = "a.ipynb";
    const answer = (event: Event) => {
      (event as CustomEvent<{ place: string | null }>).detail.place = place;
    };
    document.body.addEventListener("mljupyter:place-of-code", answer);
    const { el, stop } = opened([], { buttons: [{ key: "insert", label: "Insert the line below", inserts: ["%x"] }] });
    expect(button(el, "Insert the line into a.ipynb")).toBeDefined();
    place = "";
    document.dispatchEvent(new CustomEvent("mljupyter:place-changed"));
    const heard = vi.fn();
    document.body.addEventListener("keydown", heard, { once: true });
    button(el, "Copy the line").dispatchEvent(
      new KeyboardEvent("keydown", { key: "e", ctrlKey: true, altKey: true, bubbles: true }),
    );
    expect(heard).toHaveBeenCalled(); // in a tab, the keys of the page work
    button(el, "Copy the line").click();
    expect(one(el, "[role=status]").textContent).toBe("Copied: paste it into a cell.");
    document.body.removeEventListener("mljupyter:place-of-code", answer);
    stop();
  });

  it("stops listening when its view goes, and shows the saved text when the kernel ends", () => {
    const { el, model, stop } = opened([]);
    model.endKernel();
    expect(el.classList).toContain("mlj-ended");
    stop();
    expect(model.listeners).toBe(0);
  });
});

describe("every field", () => {
  it("ties its help and its error to its control", () => {
    const { el } = opened([text("", { help: "Letters and digits.", error: "That name is taken.", required: true })]);
    const input = one<HTMLInputElement>(el, "input");
    const said = (input.getAttribute("aria-describedby") ?? "")
      .split(" ")
      .map((id) => document.getElementById(id)?.textContent);
    expect(said).toEqual(["Letters and digits.", "That name is taken."]);
    expect(input.getAttribute("aria-invalid")).toBe("true");
    expect(input.getAttribute("aria-required")).toBe("true");
    expect(input.labels?.[0].textContent).toBe("Name");
    expect(one(el, ".mlj-error").getAttribute("role")).toBe("alert");
  });

  it("is off while there is a reason, which takes the place of the help", () => {
    const { el } = opened([check(false, { reason: "Not on this target.", help: "A key." })]);
    expect(one<HTMLInputElement>(el, "input").disabled).toBe(true);
    expect(one(el, ".mlj-help").textContent).toBe("Not on this target.");
  });
});

describe("a line of text", () => {
  it("is reported when the typing pauses, and at once when a button is pressed", () => {
    vi.useFakeTimers();
    const { el, model } = opened([text()]);
    const input = one<HTMLInputElement>(el, "input");
    input.value = "churn";
    input.dispatchEvent(new Event("input", { bubbles: true }));
    expect(model.sent).toEqual([]);
    vi.advanceTimersByTime(1000);
    expect(model.sent).toMatchObject([{ kind: "change", key: "name", value: "churn" }]);
    input.value = "churn-2";
    input.dispatchEvent(new Event("input", { bubbles: true }));
    button(el, "Next").click();
    expect(model.sent.slice(1)).toMatchObject([
      { kind: "change", value: "churn-2" },
      { kind: "press", button: "next" },
    ]);
    vi.advanceTimersByTime(1000);
    expect(model.sent).toHaveLength(3);
  });

  it("keeps what is being typed, and takes a new value when nobody is in it", () => {
    const { el, update } = opened([text("a")]);
    const input = one<HTMLInputElement>(el, "input");
    input.focus();
    input.value = "typed";
    update([text("other")]);
    expect(input.value).toBe("typed");
    input.blur();
    update([text("third")]);
    expect(input.value).toBe("third");
  });

  it("hides a secret", () => {
    const { el } = opened([text("", { secret: true })]);
    expect(one<HTMLInputElement>(el, "input").type).toBe("password");
  });
});

describe("a change that Python has not answered yet", () => {
  it("stays when a view comes that was sent before: a box to tick", () => {
    const { el, model, update } = opened([check(false)]);
    const input = one<HTMLInputElement>(el, "input");
    input.click();
    update([check(false)], { status: "something else has changed" });
    expect(input.checked).toBe(true);
    update([check(false)], { answered: answer(model.sent[0]) });
    expect(input.checked).toBe(false); // Python has seen it, and refuses it
  });

  it("stays when a view comes that was sent before: cards", () => {
    const { el, model, update } = opened([cards("local")]);
    const docker = one<HTMLInputElement>(el, "input[value=docker]");
    docker.click();
    expect(model.sent).toMatchObject([{ key: "target", value: "docker" }]);
    update([cards("local")], { status: "something else has changed" });
    expect(docker.checked).toBe(true);
    update([cards("docker")], { answered: answer(model.sent[0]) });
    expect(docker.checked).toBe(true);
    update([cards("local")], { answered: answer(model.sent[0]) });
    expect(docker.checked).toBe(false);
  });

  it("stays when only an earlier one is answered: sliders, while the others follow", () => {
    const { el, model, update } = opened([split(90, 10)]);
    const slider = one<HTMLInputElement>(el, "input[type=range][aria-label^=b]");
    for (const percent of ["20", "30"]) {
      slider.value = percent;
      slider.dispatchEvent(new Event("input", { bubbles: true }));
    }
    update([split(80, 20)], { answered: answer(model.sent[0]) });
    expect(slider.value).toBe("30");
    expect(one<HTMLInputElement>(el, "input[type=range][aria-label^=a]").value).toBe("80");
    update([split(70, 30)], { answered: answer(model.sent[1]) });
    expect(one<HTMLInputElement>(el, "input[type=range][aria-label^=a]").value).toBe("70");
  });

  it("is told apart from those of another view", () => {
    const { el, update } = opened([check(false)]);
    one<HTMLInputElement>(el, "input").click();
    update([check(false)], { answered: { "another view": 99 } });
    expect(one<HTMLInputElement>(el, "input").checked).toBe(true);
  });
});

describe("the other kinds", () => {
  it("a list to choose from says why an option is off", () => {
    const field: Field = {
      kind: "choice",
      key: "m",
      label: "Model",
      value: "b",
      options: [option("a", "gone"), option("b")],
    };
    const { el, model } = opened([field]);
    const select = one<HTMLSelectElement>(el, "select");
    expect([...select.options].map((item) => [item.textContent, item.disabled])).toEqual([
      ["A – gone", true],
      ["B", false],
    ]);
    expect(select.value).toBe("b");
    select.dispatchEvent(new Event("change", { bubbles: true }));
    expect(model.sent).toMatchObject([{ key: "m", value: "b" }]);
  });

  it("cards are radio buttons of one group with their states as marks", () => {
    const { el } = opened([cards("local")]);
    const inputs = [...el.querySelectorAll<HTMLInputElement>("fieldset input[type=radio]")];
    expect(new Set(inputs.map((input) => input.name)).size).toBe(1);
    expect(inputs.map((input) => input.disabled)).toEqual([false, false, true]);
    expect(one(el, "legend").textContent).toBe("Target");
    expect(el.textContent).toContain("No cluster is reachable.");
    expect(el.querySelector(".mlj-mark")?.getAttribute("data-state")).toBe("ok");
    expect(el.querySelector(".mlj-mark")?.getAttribute("aria-hidden")).toBe("true");
  });

  it("shares name each slider; the version that takes the rest is off", () => {
    const { el, model } = opened([split(90, 10)]);
    const number = one<HTMLInputElement>(el, "input[type=number][aria-label='b, percent']");
    number.value = "25";
    number.dispatchEvent(new Event("change", { bubbles: true }));
    expect(model.sent).toMatchObject([{ key: "shares", value: { name: "b", percent: 25 } }]);
    expect(one<HTMLInputElement>(el, "input[type=range][aria-label='a, percent']").disabled).toBe(true);
  });

  it("code can be copied, and is folded where asked", async () => {
    const writeText = vi.fn().mockResolvedValue(undefined);
    vi.stubGlobal("navigator", { ...navigator, clipboard: { writeText } });
    const { el } = opened([{ kind: "code", key: "c", label: "Code", value: "x = 1", folded: true }]);
    expect(one(el, "details summary").textContent).toBe("Code");
    button(el, "Copy").click();
    expect(writeText).toHaveBeenCalledWith("x = 1");
    await vi.waitFor(() => button(el, "Copied"));
    vi.unstubAllGlobals();
  });

  it("a log is followed until the person scrolls up", () => {
    vi.stubGlobal("requestAnimationFrame", (call: () => void) => call());
    const log = (value: string): Field => ({ kind: "log", key: "l", label: "Log", value, follow: true });
    const { el, update } = opened([log("one")]);
    const lines = one(el, "[role=log]");
    const size = vi.spyOn(lines, "scrollHeight", "get").mockReturnValue(1000);
    update([log("one\ntwo")]);
    expect(lines.scrollTop).toBe(1000);
    lines.scrollTop = 100;
    lines.dispatchEvent(new Event("scroll"));
    size.mockReturnValue(2000);
    update([log("one\ntwo\nthree")]);
    expect(lines.scrollTop).toBe(100);
    expect(one<HTMLInputElement>(el, "input[type=checkbox]").checked).toBe(false);
  });

  it("a summary and a table keep their elements while nothing changes", () => {
    const fields: Field[] = [
      { kind: "summary", key: "s", label: "Summary", rows: [["Model", "churn:1"]] },
      { kind: "table", key: "t", label: "Versions", columns: ["Name", "p95"], rows: [["a", 12]] },
    ];
    const { el, update } = opened(fields);
    expect(one(el, "dl").textContent).toBe("Modelchurn:1");
    expect(one(el, "table").getAttribute("aria-label")).toBe("Versions");
    const cell = el.querySelector("td");
    update(fields);
    expect(el.querySelector("td")).toBe(cell);
    expect(cell?.textContent).toBe("a");
  });

  it("stages say their state in words beside the mark", () => {
    const stages = [
      { name: "Build", state: "ok", remark: "" },
      { name: "Push", state: "running", remark: "3 of 5" },
      { name: "Start", state: "waiting", remark: "" },
    ];
    const { el } = opened([{ kind: "stages", key: "s", label: "Stages", stages }]);
    const said = [...el.querySelectorAll(".mlj-stages li")].map((item) => item.textContent);
    expect(said).toEqual(["✓Builddone", "◐Pushrunning: 3 of 5", "·Startwaiting"]);
  });
});
