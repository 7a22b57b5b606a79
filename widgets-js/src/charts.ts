/**
 * Charts of the live panels, drawn by uPlot.
 *
 * The charts over time of one panel belong to a group: they share the time axis and the cursor. Dragging across one
 * zooms all of them, a double click shows the live window again. Everything works by keyboard as well, and every chart
 * is described in words.
 */

import uPlot from "uplot";

import { type Keyed, attribute, hue, identifier, keyed, make, svg, text } from "./dom";
import { clock, roundUp, shown } from "./format";
import { type Aligned, type Line, type Range, align, describe } from "./series";

const HEIGHT = 150;
const AXIS_WIDTH = 44;
const DASHES = [[], [6, 3], [2, 3]];
const LEVEL_DASH = 1;
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
  readonly #charts: Chart[] = [];
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
    this.element = make(
      "div",
      { class: "mlj-charts" },
      make("div", { class: "mlj-zoom" }, this.#resetZoom),
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
  #marks: readonly number[] = [];
  #level: Level | null = null;

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

  /** Draw lines, vertical marks at some moments, and a level line across the whole time that is shown. */
  draw(lines: readonly Line[], marks: readonly number[] = [], level: Level | null = null): void {
    this.#lines = lines;
    this.#marks = marks;
    this.#level = level;
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
    const { places, least = 1 } = this.#options;
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
        y: { range: (_, __, most) => [0, roundUp(Math.max(most, least, this.#level?.value ?? 0))] },
      },
      axes: [
        {
          ...axis,
          grid: { show: false },
          size: 22,
          gap: 4,
          space: 72,
          ...(places
            ? { splits: () => places.map((_, index) => index), values: () => [...places] }
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
    ctx.lineWidth = devicePixelRatio;
    ctx.setLineDash([2 * devicePixelRatio, 3 * devicePixelRatio]);
    ctx.beginPath();
    for (const mark of this.#marks.filter((time) => time > from && time < to)) {
      const x = uplot.valToPos(mark, "x", true);
      ctx.moveTo(x, bbox.top);
      ctx.lineTo(x, bbox.top + bbox.height);
    }
    ctx.stroke();
    if (this.#level) {
      const y = uplot.valToPos(this.#level.value, "y", true);
      ctx.lineWidth = 1.8 * devicePixelRatio;
      ctx.setLineDash(DASHES[LEVEL_DASH].map((length) => length * devicePixelRatio));
      ctx.beginPath();
      ctx.moveTo(bbox.left, y);
      ctx.lineTo(bbox.left + bbox.width, y);
      ctx.stroke();
    }
    ctx.restore();
  }

  /** Write the values at the cursor; without a cursor, the newest of each line. */
  #writeLegend(): void {
    const index = this.#uplot?.cursor.idx ?? null;
    const { places, unit } = this.#options;
    const x = index === null ? null : this.#data.xs[index];
    text(this.#moment, x === null || x === undefined ? "" : places ? places[x] : clock(x));
    const items = this.#lines.map((line, place) => ({
      key: line.name,
      kind: `${line.hue} ${line.dash ?? 0}`,
      line,
      value: places && index === null ? "" : shown(this.#valueAt(place, index), unit),
    }));
    if (this.#level) {
      const line = { name: this.#level.name, hue: null, dash: LEVEL_DASH, points: [] };
      items.push({ key: line.name, kind: "level", line, value: "" });
    }
    keyed(this.#legend, items, drawLegendItem);
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
    this.#group.say(`${places ? places[xs[index]] : clock(xs[index])}: ${values.join(", ")}`);
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
