/** Charts and tables of the live panels: drawn anew each second from what is there, elements kept. */

const HEIGHT = 150;
const TOP = 6;
const LEFT = 40;
const BOTTOM = 20;
const DASHES = ["", "6 3", "2 3"];
const SVG = "http://www.w3.org/2000/svg";

function svg(name, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

/** A number as a person reads it: three digits, and a unit that fits. */
function shown(value, unit = "") {
  if (value === null || value === undefined) return "–";
  if (unit === "ms" && value >= 1000) return `${shown(value / 1000)} s`;
  const digits = value === 0 || Number.isInteger(value) ? 0 : value >= 100 ? 0 : value >= 10 ? 1 : 2;
  return `${value.toFixed(digits)}${unit && ` ${unit}`}`;
}

function clock(seconds) {
  return new Date(seconds * 1000).toLocaleTimeString([], { hour12: false });
}

function age(seconds) {
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return seconds < 172800 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86400)} d`;
}

/** The least round number that is not below a value: 1, 2 or 5 times a power of ten. */
function roundUp(value) {
  const power = 10 ** Math.floor(Math.log10(value || 1));
  return [1, 2, 5, 10].map((factor) => factor * power).find((candidate) => candidate >= value) ?? value;
}

/** A chart of lines: `draw` takes lines of points [x, value], the ends of the x axis, and what is written below it. */
function chart(title, unit, least = 1) {
  const grid = svg("g");
  const lines = svg("g");
  const marks = svg("g");
  const picture = svg("svg", { role: "img" }, grid, marks, lines);
  const legend = make("ul", { class: "mlj-legend", "aria-hidden": "true" });
  const element = make("section", { class: "mlj-chart" }, make("h3", {}, unit ? `${title} (${unit})` : title), picture, legend);
  return {
    element,
    draw(series, ends, ticks = [[ends[0], clock(ends[0])], [ends[1], clock(ends[1])]], positions = []) {
      const width = picture.clientWidth || 320;
      attribute(picture, "viewBox", `0 0 ${width} ${HEIGHT}`);
      const values = series.flatMap((line) => line.points.map((point) => point[1]).filter((value) => value !== null));
      const top = roundUp(Math.max(...values, least));
      const y = (value) => TOP + (HEIGHT - BOTTOM - TOP) * (1 - value / top);
      const x = (place) => LEFT + ((place - ends[0]) / (ends[1] - ends[0])) * (width - LEFT);
      const anchor = (index) => (index === 0 ? "start" : index === ticks.length - 1 ? "end" : "middle");
      grid.replaceChildren(
        ...[0, 0.5, 1].flatMap((part) => [
          svg("line", { class: "grid", x1: LEFT, x2: width, y1: y(top * part), y2: y(top * part) }),
          svg("text", { x: LEFT - 6, y: y(top * part) + 4, "text-anchor": "end" }, Number((top * part).toPrecision(3))),
        ]),
        ...ticks.map(([place, label], index) => svg("text", { x: x(place), y: HEIGHT - 3, "text-anchor": anchor(index) }, label)),
      );
      marks.replaceChildren(...positions.filter((place) => place > ends[0]).map((place) =>
        svg("line", { class: "mark", x1: x(place), x2: x(place), y1: TOP, y2: y(0) })));
      lines.replaceChildren(...series.flatMap((line) => pieces(line.points, ends).map((points) => svg("polyline", {
        points: points.map(([place, value]) => `${x(place).toFixed(1)},${y(value).toFixed(1)}`).join(" "),
        stroke: line.colour, "stroke-dasharray": DASHES[line.dash ?? 0],
      }))));
      keyed(legend, series.map((line) => ({ ...line, key: line.name })), (line) => make("li", {},
        svg("svg", { viewBox: "0 0 22 8" }, svg("line", { x1: 0, x2: 22, y1: 4, y2: 4, stroke: line.colour, "stroke-width": 2.5, "stroke-dasharray": DASHES[line.dash ?? 0] })),
        make("span")), (item, line) => text(item.lastChild, line.name));
      const last = series.map((line) => `${line.name} ${shown(line.points.findLast((point) => point[1] !== null)?.[1], unit)}`);
      attribute(picture, "aria-label", `${title}: ${last.join(", ") || "nothing yet"}`);
    },
  };
}

/** Cut a line where values are missing, and at the edge of what is shown. */
function pieces(points, ends) {
  const found = [[]];
  for (const point of points) {
    if (point[0] < ends[0]) continue;
    if (point[1] === null) found.push([]);
    else found.at(-1).push(point);
  }
  return found.filter((piece) => piece.length > 0).map((piece) => (piece.length > 1 ? piece : [piece[0], [piece[0][0] + 1, piece[0][1]]]));
}

/** A table whose rows keep their elements; a cell is text, or an element that `fill` brings up to date. */
function table(label, columns) {
  const body = make("tbody");
  const head = make("tr", {}, ...columns.map((column) => make("th", { scope: "col", class: column.number && "number" }, column.name)));
  const element = make("table", { "aria-label": label }, make("thead", {}, head), body);
  return {
    element,
    draw(rows) {
      keyed(body, rows, () => make("tr", {}, ...columns.map((column) => make("td", { class: column.number && "number" }))),
        (row, item) => columns.forEach((column, index) => (column.fill ? column.fill(row.cells[index], item) : text(row.cells[index], column.of(item)))));
    },
  };
}
