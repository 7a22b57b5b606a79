/**
 * Charts of the live panels, drawn by uPlot.
 *
 * The charts over time of one panel belong to a group: they share the time axis and the cursor. Dragging across one
 * zooms all of them, a double click shows the live window again. Everything works by keyboard as well, and every chart
 * is described in words.
 */

import uPlot from "uplot";

import { type Keyed, attribute, hue, identifier, keyed, make, svg, text } from "./dom";
import { axisEnd, clock, shown } from "./format";
import { type Aligned, type Line, type Range, align, describe } from "./series";

const HEIGHT = 150;
const AXIS_WIDTH = 44;
const DASHES = [[], [6, 3], [2, 3], [8, 2, 2, 2]];
const LEVEL_DASH = 1;
const MARK_DASHES = [[], [6, 4], [2, 3]];
const MARK_PIXELS = 6; // a mark this near to the cursor is named
const TICK_SECONDS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600];
const LEAST_ZOOM_SECONDS = 4;
const FIRST_WIDTH = 320; // before the page has a layout
const HINT =
  "Left and right arrow keys read the values of a moment. Plus and minus zoom all charts. Escape shows everything again.";

/** A chart: its heading, the unit of its values, the least height of its axis, and names for x in place of times. */
export interface ChartOptions {
  title: string;
  unit?: string;
  least?: number;
  places?: readonly string[];
}

/** A switch for lines of all charts: its key, its label, and the CSS colour of its swatch. */
export interface Switch extends Keyed {
  label: string;
  colour?: string;
  /** Whether it is on until a person presses it. */
  isOn?: boolean;
}

/** Something that happened: seconds since the epoch, what it was, and an index of the dash pattern of its line. */
export interface Mark {
  time: number;
  label: string;
  dash: number;
}

/** A value to compare the lines with. */
export interface Level {
  name: string;
  value: number;
}

/** What uPlot can do beyond its declarations: move the cursor and tell the other charts of the group. */
type SetCursor = (place: { left: number; top: number }, fire: boolean, publish: boolean) => void;

/** The charts of one panel. */
export class ChartGroup {
  readonly element: HTMLElement;
  readonly key = identifier();
  /** Two measurements further apart than this, in seconds, have a gap between them. */
  widestStep = Infinity;
  /** What happened; each chart over time has a vertical line for it. */
  marks: readonly Mark[] = [];
  /** Called when a person has switched something: draw the charts again. */
  changed: () => void = () => undefined;
  /** The name of exported files. */
  name = "charts";
  paused = false;
  readonly #charts: Chart[] = [];
  readonly #chosen = new Map<string, boolean>();
  readonly #switches = make("div", { class: "mlj-switches", role: "group", "aria-label": "Lines in all charts" });
  readonly #happened = make("span", { class: "mlj-happened" });
  readonly #empty = make("p", { class: "mlj-empty" });
  readonly #resetZoom: HTMLButtonElement;
  readonly #spoken: HTMLElement;
  readonly #sizes: ResizeObserver;
  readonly #themes: MutationObserver;
  #live: Range = [0, 60];
  #zoomed: Range | null = null;

  constructor() {
    this.#resetZoom = make(
      "button",
      { type: "button", class: "mlj-small", click: () => this.zoom(null) },
      "Reset zoom",
    );
    this.#resetZoom.hidden = true;
    this.#spoken = make("span", { class: "mlj-hidden", role: "status", "aria-live": "polite" });
    const hint = make("span", { class: "mlj-hidden", id: `${this.key}-hint` }, HINT);
    const button = (label: string, click: (event: Event) => void) =>
      make("button", { type: "button", class: "mlj-small", click }, label);
    const pause = button("Pause", () => {
      this.paused = !this.paused;
      attribute(pause, "aria-pressed", String(this.paused));
      this.changed();
    });
    attribute(pause, "aria-pressed", "false");
    this.element = make(
      "div",
      { class: "mlj-charts" },
      make(
        "div",
        { class: "mlj-chart-tools" },
        this.#switches,
        this.#happened,
        this.#resetZoom,
        pause,
        button("CSV", () => {
          this.#save("csv", new Blob([this.csv()], { type: "text/csv" }));
        }),
        button("PNG", () => {
          this.#picture().toBlob((blob) => {
            this.#save("png", blob);
          });
        }),
      ),
      this.#empty,
      hint,
      this.#spoken,
    );
    this.#sizes = new ResizeObserver((entries) => {
      this.#charts
        .filter((chart) => entries.some((entry) => entry.target === chart.plot))
        .forEach((chart) => chart.refresh());
    });
    this.#themes = new MutationObserver(() => this.#refresh());
    this.#themes.observe(document.body, {
      attributeFilter: ["class", "data-jp-theme-light", "data-jp-theme-name", "data-vscode-theme-kind"],
    });
  }

  /** The time that is shown. */
  get range(): Range {
    return this.#zoomed ?? this.#live;
  }

  /** Add a chart at the end. */
  add(options: ChartOptions): Chart {
    const chart = new Chart(this, options);
    this.#charts.push(chart);
    this.element.append(chart.element);
    this.#sizes.observe(chart.plot);
    return chart;
  }

  /** Set the time that is shown while nothing is zoomed. The charts follow when they are drawn next. */
  follow(live: Range): void {
    this.#live = live;
  }

  /** Show a part of the time in all charts; null shows the live window again. */
  zoom(range: Range | null): void {
    const [from, to] = range ?? this.#live;
    const middle = (from + to) / 2;
    const half = Math.max(to - from, LEAST_ZOOM_SECONDS) / 2;
    this.#zoomed = range === null || to - from >= this.#live[1] - this.#live[0] ? null : [middle - half, middle + half];
    const hadFocus = document.activeElement === this.#resetZoom;
    this.#resetZoom.hidden = this.#zoomed === null;
    if (hadFocus && this.#zoomed === null) {
      this.#charts[0]?.plot.focus({ preventScroll: true });
    }
    this.#refresh();
  }

  /** Offer switches that hold for all charts. A choice of a person stays. */
  offer(switches: readonly Switch[]): void {
    this.#switches.hidden = switches.length === 0;
    keyed(this.#switches, switches, (first) => {
      const swatch = make("span", { class: "mlj-swatch", "aria-hidden": "true" });
      const name = make("span");
      const click = () => {
        this.#chosen.set(first.key, element.getAttribute("aria-pressed") === "false");
        this.changed();
      };
      const element = make("button", { type: "button", class: "mlj-small", click }, swatch, name);
      return {
        element,
        update: (item) => {
          swatch.hidden = !item.colour;
          swatch.style.background = item.colour ?? "";
          text(name, item.label);
          attribute(element, "aria-pressed", String(this.#chosen.get(item.key) ?? item.isOn ?? true));
        },
      };
    });
    switches.forEach(({ key, isOn = true }) => this.#chosen.set(key, this.#chosen.get(key) ?? isOn));
  }

  /** Return whether the lines of a switch are shown. */
  isOn(key: string): boolean {
    return this.#chosen.get(key) ?? true;
  }

  /** Show above the charts what happened at the moment that is pointed at. */
  showHappened(sentence: string): void {
    text(this.#happened, sentence);
  }

  /** Say above the charts why they are empty; the empty text where they are not. */
  explain(sentence: string): void {
    this.#empty.hidden = !sentence;
    text(this.#empty, sentence);
  }

  /** Return the lines of all charts over time as a table: one row for each time, in UTC. */
  csv(): string {
    const lines = this.#charts.flatMap((chart) => chart.named);
    const { xs, columns } = align(lines);
    const quoted = (value: string) => `"${value.replaceAll('"', '""')}"`;
    const rows = xs.map((x, row) => [new Date(x * 1000).toISOString(), ...columns.map((column) => column[row] ?? "")]);
    return [["time", ...lines.map((line) => line.name)].map(quoted), ...rows].map((row) => `${row.join()}\n`).join("");
  }

  /** Draw all charts with headings and legends into one picture, as they are on the page. */
  #picture(): HTMLCanvasElement {
    const whole = this.element.getBoundingClientRect();
    const scale = devicePixelRatio;
    const canvas = make("canvas", { width: Math.ceil(whole.width * scale), height: Math.ceil(whole.height * scale) });
    const pen = canvas.getContext("2d")!;
    const panel = getComputedStyle(this.element.closest(".mlj") ?? this.element);
    pen.fillStyle = panel.backgroundColor;
    pen.fillRect(0, 0, canvas.width, canvas.height);
    pen.scale(scale, scale);
    pen.textBaseline = "middle";
    for (const item of this.element.querySelectorAll<HTMLElement>("canvas, h3, .mlj-moment, .mlj-legend li > *")) {
      const { left, top, width, height } = item.getBoundingClientRect();
      const [x, y, style] = [left - whole.left, top - whole.top, getComputedStyle(item)];
      if (item instanceof HTMLCanvasElement) {
        pen.drawImage(item, x, y, width, height);
      } else if (item instanceof SVGElement) {
        pen.fillStyle = getComputedStyle(item.firstElementChild!).stroke;
        pen.fillRect(x, y + height / 2 - 1, width, 2.5);
      } else {
        pen.fillStyle = style.color;
        pen.font = `${style.fontWeight} ${style.fontSize} ${style.fontFamily}`;
        pen.fillText(item.textContent, x, y + height / 2);
      }
    }
    return canvas;
  }

  #save(kind: string, content: Blob | null): void {
    if (content) {
      const href = URL.createObjectURL(content);
      make("a", { href, download: `${this.name}.${kind}` }).click();
      setTimeout(() => {
        URL.revokeObjectURL(href);
      }, 1000);
    }
  }

  /** Have a screen reader say something. */
  say(sentence: string): void {
    text(this.#spoken, sentence);
  }

  /** Give back what the charts hold: listeners, canvases, observers. */
  destroy(): void {
    this.#sizes.disconnect();
    this.#themes.disconnect();
    this.#charts.forEach((chart) => chart.destroy());
  }

  #refresh(): void {
    this.#charts.forEach((chart) => chart.refresh());
  }
}

/** One chart of a group: a heading, the plot, and a legend with the values at the cursor or at the end. */
export class Chart {
  readonly element: HTMLElement;
  readonly plot: HTMLElement;
  readonly #group: ChartGroup;
  readonly #options: ChartOptions;
  readonly #moment = make("span", { class: "mlj-moment" });
  readonly #legend = make("ul", { class: "mlj-legend", "aria-hidden": "true" });
  #uplot: uPlot | null = null;
  #drawnFor = "";
  #lines: readonly Line[] = [];
  #data: Aligned = { xs: [], columns: [], alone: [] };
  #levels: readonly Level[] = [];

  constructor(group: ChartGroup, options: ChartOptions) {
    this.#group = group;
    this.#options = options;
    const { title, unit } = options;
    this.plot = make("div", {
      class: "mlj-plot",
      role: "group",
      "aria-roledescription": "chart",
      "aria-describedby": options.places ? null : `${group.key}-hint`,
      tabindex: 0,
      keydown: (event) => {
        if (this.#press(event as KeyboardEvent)) {
          event.preventDefault();
        }
      },
      blur: () => {
        this.#leave();
      },
    });
    this.element = make(
      "section",
      { class: "mlj-chart" },
      make("div", { class: "mlj-chart-head" }, make("h3", {}, unit ? `${title} (${unit})` : title), this.#moment),
      this.plot,
      this.#legend,
    );
  }

  /** The lines of a chart over time, named after the chart as well. */
  get named(): Line[] {
    const { title, unit, places } = this.#options;
    return places
      ? []
      : this.#lines.map((line) => ({ ...line, name: `${title}${unit ? ` (${unit})` : ""}: ${line.name}` }));
  }

  /** Draw lines, and a level line for each value to compare them with. */
  draw(lines: readonly Line[], levels: readonly Level[] = []): void {
    this.#lines = lines;
    this.#levels = levels;
    this.#data = align(lines, this.#options.places ? Infinity : this.#group.widestStep);
    const wanted = JSON.stringify(lines.map((line) => [line.name, line.hue, line.dash]));
    if (this.#uplot === null || wanted !== this.#drawnFor) {
      this.#uplot?.destroy();
      this.#uplot = new uPlot(this.#uplotOptions(), this.#columns(), this.plot);
      this.#drawnFor = wanted;
    }
    this.refresh();
  }

  /** Draw the same again: the time that is shown, the size or the theme may have changed. */
  refresh(): void {
    const { unit = "", title } = this.#options;
    const [min, max] = this.#range();
    const uplot = this.#uplot;
    uplot?.batch(() => {
      const width = this.plot.clientWidth || FIRST_WIDTH;
      if (width !== uplot.width) {
        uplot.setSize({ width, height: HEIGHT });
      }
      uplot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
      uplot.setData(this.#columns(), false);
      uplot.setScale("x", { min, max });
    });
    attribute(
      this.plot,
      "aria-label",
      this.#options.places ? this.#inWords() : describe(title, unit, this.#lines, [min, max]),
    );
    this.#writeLegend();
  }

  /** Give back what uPlot holds. */
  destroy(): void {
    this.#uplot?.destroy();
    this.#uplot = null;
  }

  #range(): Range {
    return this.#options.places ? [0, this.#options.places.length - 1] : this.#group.range;
  }

  #columns(): uPlot.AlignedData {
    return [this.#data.xs, ...this.#data.columns];
  }

  #uplotOptions(): uPlot.Options {
    const { places, least = 0 } = this.#options;
    const style = getComputedStyle(this.plot);
    const colour = (name: string) => getComputedStyle(this.plot).getPropertyValue(name).trim() || style.color;
    const axis = {
      stroke: () => colour("--mlj-muted"),
      font: `11px ${style.fontFamily || "sans-serif"}`,
      grid: { stroke: () => colour("--mlj-soft"), width: 1 },
      ticks: { show: false },
    };
    return {
      width: this.plot.clientWidth || FIRST_WIDTH,
      height: HEIGHT,
      padding: [6, 26, 0, 0], // at the right, for half a time below the axis
      legend: { show: false },
      scales: {
        x: { time: false },
        y: {
          range: (_, __, most) => [
            0,
            axisEnd(
              Math.max(most, least),
              this.#levels.map(({ value }) => value),
            ),
          ],
        },
      },
      axes: [
        {
          ...axis,
          grid: { show: false },
          size: 22,
          gap: 4,
          space: 72,
          ...(places
            ? {
                splits: () => places.map((_, index) => index),
                values: () => places.map((place, index) => (places.length > 8 && index % 2 ? "" : place)),
              }
            : { incrs: TICK_SECONDS, values: (uplot, splits) => splits.map((time) => clock(time, isShort(uplot))) }),
        },
        {
          ...axis,
          size: AXIS_WIDTH,
          gap: 4,
          splits: (_, __, least, most) => [least, (least + most) / 2, most], // the highest has a label as well
          values: (_, splits) => splits.map((value) => String(+value.toPrecision(3))),
        },
      ],
      series: [
        {},
        ...this.#lines.map((line, index): uPlot.Series => ({
          label: line.name,
          stroke: () => (line.hue === null ? style.color : colour(hue(line.hue).slice(4, -1))),
          width: 1.8,
          dash: DASHES[line.dash ?? 0],
          points: {
            size: 4,
            // A plot that has been replaced draws once more, when there may be fewer lines.
            show: () => (this.#data.alone[index] ?? []).length > 0,
            filter: () => this.#data.alone[index] ?? [],
          },
        })),
      ],
      cursor: {
        y: false,
        points: { size: 7 },
        drag: { x: !places, y: false, setScale: false, dist: 4 },
        bind: { dblclick: () => () => this.#zoomOut() },
        ...(places
          ? {}
          : {
              sync: {
                key: this.#group.key,
                scales: ["x", null],
                filters: { pub: (type: string) => type === "mousemove" },
              },
            }),
      },
      hooks: {
        drawAxes: [(uplot) => this.#drawMarks(uplot, colour("--mlj-muted"))],
        setCursor: [() => this.#writeLegend()],
        setSelect: [(uplot) => this.#zoomInto(uplot)],
      },
    };
  }

  #zoomInto(uplot: uPlot): void {
    const { left, width } = uplot.select;
    if (width > 0) {
      this.#group.zoom([uplot.posToVal(left, "x"), uplot.posToVal(left + width, "x")]);
    }
  }

  #zoomOut(): null {
    this.#group.zoom(null);
    return null;
  }

  #drawMarks(uplot: uPlot, colour: string): void {
    const { ctx, bbox } = uplot;
    const [from, to] = this.#range();
    ctx.save();
    ctx.strokeStyle = colour;
    const line = (dash: readonly number[], width: number, ...ends: [number, number, number, number]) => {
      ctx.lineWidth = width * devicePixelRatio;
      ctx.setLineDash(dash.map((length) => length * devicePixelRatio));
      ctx.beginPath();
      ctx.moveTo(ends[0], ends[1]);
      ctx.lineTo(ends[2], ends[3]);
      ctx.stroke();
    };
    for (const { time, dash } of this.#options.places ? [] : this.#group.marks) {
      if (time > from && time < to) {
        const x = uplot.valToPos(time, "x", true);
        line(MARK_DASHES[dash], 1, x, bbox.top, x, bbox.top + bbox.height);
      }
    }
    for (const { value } of this.#levels) {
      const y = uplot.valToPos(value, "y", true);
      if (y >= bbox.top) {
        line(DASHES[LEVEL_DASH], 1.8, bbox.left, y, bbox.left + bbox.width, y);
      }
    }
    ctx.restore();
  }

  /** Write the values at the cursor; without a cursor, the newest of each line. */
  #writeLegend(): void {
    const index = this.#uplot?.cursor.idx ?? null;
    const { places, unit } = this.#options;
    const x = index === null ? null : this.#data.xs[index];
    text(this.#moment, x === null || x === undefined ? "" : places ? places[x] : clock(x));
    if (!places) {
      this.#group.showHappened(x === null || x === undefined ? "" : this.#happenedAt(x));
    }
    const items = this.#lines.map((line, place) => ({
      key: line.name,
      kind: `${line.hue} ${line.dash ?? 0}`,
      line,
      value: places && index === null ? "" : shown(this.#valueAt(place, index), unit),
    }));
    this.#levels.forEach(({ name }) => {
      const line = { name, hue: null, dash: LEVEL_DASH, points: [] };
      items.push({ key: name, kind: "level", line, value: "" });
    });
    keyed(this.#legend, items, drawLegendItem);
  }

  /** Return what happened at a time. */
  #happenedAt(time: number): string {
    const near = ((this.#range()[1] - this.#range()[0]) * MARK_PIXELS) / (this.plot.clientWidth || FIRST_WIDTH);
    const happened = this.#group.marks.filter((mark) => Math.abs(mark.time - time) <= near);
    return happened.map(({ label }) => label).join(", ");
  }

  /** Return the value of a line at an index, or its newest one in the time that is shown. */
  #valueAt(line: number, index: number | null): number | null {
    const values = this.#data.columns[line] ?? [];
    if (index !== null) {
      return values[index] ?? null;
    }
    const [from, to] = this.#range();
    const last = values.findLastIndex((value, place) => {
      const x = this.#data.xs[place];
      return value !== null && value !== undefined && x >= from && x <= to;
    });
    return values[last] ?? null;
  }

  #inWords(): string {
    const { title, unit, places = [] } = this.#options;
    const line = ({ name, points }: Line) =>
      `${name} ${points.map(([x, value]) => `${places[x]} ${shown(value, unit)}`).join(", ")}`;
    return `${title}: ${this.#lines.map(line).join("; ") || "nothing was measured"}.`;
  }

  /** Do what a key stands for; return whether it stands for anything. */
  #press(event: KeyboardEvent): boolean {
    const [from, to] = this.#range();
    const steps: Record<string, number> = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity };
    if (event.key in steps) {
      this.#moveCursor(steps[event.key] * (event.shiftKey ? 10 : 1));
      return true;
    }
    if (this.#options.places || event.ctrlKey || event.metaKey || event.altKey) {
      return false;
    }
    const index = this.#uplot?.cursor.idx ?? null;
    const middle = index === null ? (from + to) / 2 : this.#data.xs[index];
    const around = (seconds: number): Range => [middle - seconds / 2, middle + seconds / 2];
    if (event.key === "+" || event.key === "=") {
      this.#group.zoom(around((to - from) / 2));
    } else if (event.key === "-") {
      this.#group.zoom(around((to - from) * 2));
    } else if (event.key === "Escape") {
      this.#group.zoom(null);
    } else {
      return false;
    }
    this.#group.say(`${clock(this.#group.range[0])} to ${clock(this.#group.range[1])}`);
    return true;
  }

  #moveCursor(steps: number): void {
    const uplot = this.#uplot;
    const { xs, columns } = this.#data;
    const [from, to] = this.#range();
    const inside = xs.flatMap((x, index) => (x >= from && x <= to ? [index] : []));
    if (!uplot || inside.length === 0) {
      return;
    }
    const now = uplot.cursor.idx ?? null;
    const place = now === null ? (steps < 0 ? inside.length : -1) : inside.indexOf(now);
    const index = inside[Math.min(Math.max(place + steps, 0), inside.length - 1)];
    (uplot.setCursor as SetCursor)({ left: uplot.valToPos(xs[index], "x"), top: 0 }, true, true);
    const values = this.#lines.map((line, place) => `${line.name} ${shown(columns[place][index], this.#options.unit)}`);
    const { places } = this.#options;
    this.#group.say(
      `${places ? places[xs[index]] : clock(xs[index])}: ${[...values, places ? "" : this.#happenedAt(xs[index])].filter(Boolean).join(", ")}`,
    );
  }

  #leave(): void {
    (this.#uplot?.setCursor as SetCursor | undefined)?.({ left: -10, top: -10 }, true, true);
  }
}

/** Seconds are written on the axis of a few minutes only. */
function isShort(uplot: uPlot): boolean {
  return (uplot.scales.x.max ?? 0) - (uplot.scales.x.min ?? 0) <= 330;
}

function drawLegendItem(first: Keyed & { line: Line; value: string }) {
  const stroke = first.line.hue === null ? "currentColor" : hue(first.line.hue);
  const dash = DASHES[first.line.dash ?? 0].join(" ");
  const sample = svg("line", { x1: 0, x2: 22, y1: 4, y2: 4, "stroke-width": 2.5, "stroke-dasharray": dash });
  sample.style.stroke = stroke;
  const name = make("span");
  const value = make("b");
  const element = make("li");
  element.append(svg("svg", { viewBox: "0 0 22 8" }, sample), name, value);
  return {
    element,
    update(item: { line: Line; value: string }) {
      text(name, item.line.name);
      text(value, item.value);
    },
  };
}
