/** The history of an endpoint: deployments, traffic changes and scaling decisions, the newest first. */

import "./base.css";
import "./panels.css";
import "./history.css";

import { type Drawn, type Keyed, attribute, keyed, make, text } from "./dom";
import { day } from "./format";
import type { Stop, View } from "./model";
import { type Message, Panel } from "./panel";

const KINDS = [
  ["", "Everything"],
  ["deployment", "Deployments"],
  ["traffic", "Traffic"],
  ["scaling", "Scaling"],
] as const;
const WORDS: Record<string, string> = { deployment: "Deployment", traffic: "Traffic", scaling: "Scaling" };

/** Something that has happened: `who` did `what`; `lines` say more. */
interface Event extends Keyed {
  key: string;
  kind: string;
  time: number;
  who: string;
  what: string;
  lines: string[];
}

/** A tick has the list of events only if it has changed. */
interface Tick extends Message {
  name: string;
  state: string;
  entries?: Event[];
}

function render(view: View<object>): Stop {
  const options = KINDS.map(([value, label]) => make("option", { value }, label));
  const choice = make("select", { "aria-label": "Events shown", change: draw }, ...options);
  const panel = new Panel<Tick>("mlj-history", choice);
  const list = make("ol", { class: "mlj-events", "aria-label": "What has happened" });
  const none = make("p", { class: "mlj-status", role: "status" });
  panel.body.append(make("section", { class: "mlj-part" }, none, list));
  let events: Event[] = [];

  function draw(): void {
    const shown = events.filter((event) => choice.value === "" || event.kind === choice.value);
    keyed(list, shown, drawEvent);
    none.hidden = shown.length > 0;
    text(none, "Nothing of this kind has happened yet.");
  }

  return panel.follow(view, (tick) => {
    text(panel.title, `${tick.name}: history`);
    if (tick.entries) {
      events = tick.entries;
      draw();
    }
  });
}

function drawEvent(): Drawn<Event> {
  const time = make("time");
  const kind = make("span", { class: "mlj-event-kind" });
  const what = make("span");
  const who = make("span", { class: "mlj-event-who" });
  const lines = make("ul");
  return {
    element: make(
      "li",
      { class: "mlj-event" },
      time,
      kind,
      make("span", { class: "mlj-event-what" }, what, who),
      lines,
    ),
    update(event) {
      text(time, day(event.time));
      attribute(time, "datetime", new Date(event.time * 1000).toISOString());
      text(kind, WORDS[event.kind] ?? event.kind);
      text(what, event.what);
      text(who, `by ${event.who}`);
      if (lines.dataset.lines !== event.lines.join("\n")) {
        lines.dataset.lines = event.lines.join("\n");
        lines.replaceChildren(...event.lines.map((line) => make("li", {}, line)));
      }
      lines.hidden = event.lines.length === 0;
    },
  };
}

export default { render };
