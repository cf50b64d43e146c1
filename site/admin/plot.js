// Plots of daily numbers, as bars or lines in SVG. A plot shows the values of the day under the
// pointer, or of the day chosen with the arrow keys. Screen readers announce these values.

import { h } from "../ui/dom.js";
import { formatNumber } from "../ui/format.js";
import { rangeInWords } from "./filters.js";

const SVG = "http://www.w3.org/2000/svg";
const MARGIN = { top: 12, right: 10, bottom: 26 };
/** The minimum distance between two day labels, in pixels. */
const LABEL_WIDTH = 64;

const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 2 });
const longDay = new Intl.DateTimeFormat("en-GB", {
  weekday: "short",
  day: "numeric",
  month: "long",
  year: "numeric",
  timeZone: "UTC",
});
const shortDay = new Intl.DateTimeFormat("en-GB", {
  day: "numeric",
  month: "short",
  timeZone: "UTC",
});

/**
 * A plot as wide as its container.
 *
 * @param {object} options
 * @param {string} options.label the plot's name for screen readers
 * @param {Array<object>} options.days the days, oldest first: `day` ("2026-11-20"), `closed`, and a
 *   number per series, or null if the number is unknown
 * @param {Array<{key: string, name: string, shape: "bars" | "line", format?: (value: number) =>
 *   string}>} options.series the plotted numbers; the classes .series-0 and .series-1 style them by
 *   their index
 * @param {number} [options.step] the smallest step between two marks of the axis
 * @param {(value: number) => string} [options.mark] formats the marks
 * @param {number} [options.height] in pixels
 */
export function plot({ label, days, series, step = 1, mark: named = short.format, height = 200 }) {
  const area = h("div", { class: "plot" });
  const tip = h("div", { class: "plot-tip", "aria-hidden": "true", hidden: true });
  const canvas = svg("svg", { "aria-hidden": "true", height });
  area.append(canvas, tip);

  const values = series.flatMap(({ key }) => days.map((day) => day[key] ?? 0));
  const marks = ticks(Math.min(0, ...values), Math.max(0, ...values), step);
  const [low, high] = [marks[0], marks.at(-1)];
  const left = 12 + 7.2 * Math.max(...marks.map((mark) => named(mark).length));
  const pointer = svg("g", { class: "plot-pointer" });
  let width = 0;
  let shown = days.length - 1;

  const slot = () => (width - left - MARGIN.right) / days.length;
  const x = (index) => left + (index + 0.5) * slot();
  const y = (value) =>
    MARGIN.top + ((high - value) / (high - low)) * (height - MARGIN.top - MARGIN.bottom);

  function draw() {
    canvas.setAttribute("width", width);
    canvas.setAttribute("viewBox", `0 0 ${width} ${height}`);
    const bars = series.filter(({ shape }) => shape === "bars");
    canvas.replaceChildren(
      ...marks.map((mark) => yMark(mark)),
      ...dayMarks(),
      pointer,
      ...series.flatMap((one, place) =>
        one.shape === "bars"
          ? barsOf(one, place, bars.indexOf(one), bars.length)
          : lineOf(one, place),
      ),
    );
    if (!tip.hidden) show(shown);
  }

  function yMark(mark) {
    return svg("g", { class: mark === 0 ? "plot-mark plot-zero" : "plot-mark" }, [
      svg("line", { x1: left, x2: width - MARGIN.right, y1: crisp(y(mark)), y2: crisp(y(mark)) }),
      svg("text", { x: left - 8, y: y(mark), dy: "0.32em", "text-anchor": "end" }, [named(mark)]),
    ]);
  }

  /** The day labels, from the newest day backwards, so that the newest day always has a label. */
  function dayMarks() {
    const stride = Math.max(1, Math.ceil(LABEL_WIDTH / slot()));
    const labels = [];
    for (let index = days.length - 1; index >= 0; index -= stride) {
      const at = Math.min(Math.max(x(index), left + 12), width - MARGIN.right - 18);
      labels.push(
        svg("text", { class: "plot-day", x: at, y: height - 8, "text-anchor": "middle" }, [
          shortDay.format(time(days[index].day)),
        ]),
      );
    }
    return labels;
  }

  /** The bars of a series. Days that are still being counted are a separate, paler path. */
  function barsOf({ key }, place, nth, beside) {
    const gap = slot() > 2 ? Math.min(slot() * 0.25, 10) : 0;
    const breadth = Math.min((slot() - gap) / beside, 48);
    const bar = (day, index) => {
      const from = x(index) + (nth - beside / 2) * breadth;
      const [end, base] = [y(day[key]), y(0)];
      const round = Math.sign(base - end) * Math.min(3, breadth / 3, Math.abs(base - end));
      const corner = Math.abs(round);
      return (
        `M${from} ${base}V${end + round}Q${from} ${end} ${from + corner} ${end}H${from + breadth - corner}` +
        `Q${from + breadth} ${end} ${from + breadth} ${end + round}V${base}Z`
      );
    };
    const path = (closed) =>
      days
        .map((day, index) =>
          (day[key] ?? 0) !== 0 && (day.closed !== false) === closed ? bar(day, index) : "",
        )
        .join("");
    return [
      svg("path", { class: `plot-bars series-${place}`, d: path(true) }),
      svg("path", { class: `plot-bars plot-open series-${place}`, d: path(false) }),
    ];
  }

  /** The line of a series. Unknown numbers interrupt it; a number between two of them is a dot. */
  function lineOf({ key }, place) {
    const points = days.map((day, index) => (day[key] === null ? null : [x(index), y(day[key])]));
    const isAlone = (index) => !points[index - 1] && !points[index + 1];
    const line = points.map((point, index) =>
      point ? `${points[index - 1] ? "L" : "M"}${point.join(" ")}` : "",
    );
    const dots = points.flatMap((point, index) =>
      point && (slot() >= 9 || isAlone(index))
        ? [dot(...point, place, days[index].closed === false)]
        : [],
    );
    return [svg("path", { class: `plot-line series-${place}`, d: line.join("") }), ...dots];
  }

  function dot(cx, cy, place, open) {
    return svg("circle", {
      class: `plot-dot series-${place}${open ? " plot-open" : ""}`,
      cx,
      cy,
      r: 3,
    });
  }

  function show(index) {
    shown = index;
    const day = days[index];
    area.setAttribute("aria-valuenow", index);
    area.setAttribute("aria-valuetext", spoken(day));
    if (tip.hidden && area !== document.activeElement && !area.matches(":hover")) return;

    const breadth = Math.max(slot(), 1);
    pointer.replaceChildren(
      svg("rect", {
        x: x(index) - breadth / 2,
        y: MARGIN.top,
        width: breadth,
        height: height - MARGIN.top - MARGIN.bottom,
      }),
    );
    const title = h(
      "div",
      { class: "plot-tip-day" },
      longDay.format(time(day.day)),
      day.closed === false && ", so far",
    );
    tip.replaceChildren(
      title,
      ...series.map((one, place) => tipRow(one.name, inWords(one, day), place)),
    );
    tip.hidden = false;
    // Show the values beside the day, on the side with more space.
    const after = x(index) < width / 2;
    tip.style.left = after
      ? `${Math.min(x(index) + breadth / 2 + 8, width - tip.offsetWidth)}px`
      : "auto";
    tip.style.right = after
      ? "auto"
      : `${Math.min(width - x(index) + breadth / 2 + 8, width - tip.offsetWidth)}px`;
  }

  function tipRow(name, words, place) {
    return h(
      "div",
      { class: "plot-tip-row" },
      h("span", { class: `swatch series-${place}` }),
      h("span", {}, name),
      h("strong", {}, words),
    );
  }

  function hide() {
    tip.hidden = true;
    pointer.replaceChildren();
  }

  const inWords = ({ key, format = formatNumber }, day) => format(day[key]);

  function spoken(day) {
    const numbers = series
      .map((one) => `${inWords(one, day)} ${one.name.toLowerCase()}`)
      .join(", ");
    return `${longDay.format(time(day.day))}: ${numbers}${day.closed === false ? ", so far" : ""}`;
  }

  function pointed({ clientX }) {
    const index = Math.floor((clientX - canvas.getBoundingClientRect().left - left) / slot());
    show(Math.min(Math.max(index, 0), days.length - 1));
  }

  function pressed(event) {
    const steps = {
      ArrowLeft: -1,
      ArrowDown: -1,
      ArrowRight: 1,
      ArrowUp: 1,
      PageDown: -7,
      PageUp: 7,
      Home: -days.length,
      End: days.length,
    };
    const target = event.key in steps ? shown + steps[event.key] : undefined;
    if (event.key === "Escape") hide();
    if (target === undefined) return;
    event.preventDefault();
    show(Math.min(Math.max(target, 0), days.length - 1));
  }

  // For screen readers, the plot is a slider over the days, whose value contains the day's numbers.
  const role = {
    role: "slider",
    tabindex: 0,
    "aria-label": label,
    "aria-valuemin": 0,
    "aria-valuemax": days.length - 1,
    "aria-valuenow": shown,
  };
  Object.entries(role).forEach(([name, value]) => area.setAttribute(name, value));
  if (days[shown]) area.setAttribute("aria-valuetext", spoken(days[shown]));
  area.addEventListener("pointermove", pointed);
  area.addEventListener("pointerdown", pointed);
  area.addEventListener("pointerleave", () => area !== document.activeElement && hide());
  area.addEventListener("focus", () => area.matches(":focus-visible") && show(shown));
  area.addEventListener("blur", hide);
  area.addEventListener("keydown", pressed);
  new ResizeObserver(([{ contentRect }]) => {
    if (contentRect.width > 0 && contentRect.width !== width) {
      width = contentRect.width;
      draw();
    }
  }).observe(area);
  return area;
}

/** A card with a plot, and with a legend if the plot has several series. */
export function plotCard({ title, series, step, mark }, days, from, to) {
  const legend =
    series.length > 1 &&
    h(
      "ul",
      { class: "admin-legend" },
      series.map(({ name }, place) =>
        h("li", {}, h("span", { class: `swatch series-${place}` }), name),
      ),
    );
  const label = `${title} by day, ${rangeInWords(from, to)}`;
  return h(
    "section",
    { class: "card", "aria-label": title },
    h("div", { class: "card-head" }, h("h2", {}, title), legend),
    plot({ label, days, series, step, mark }),
  );
}

/**
 * Round numbers that cover the range from `least` to `greatest`. The step between them is 1, 2 or 5
 * times a power of ten, and at least `smallest`.
 */
function ticks(least, greatest, smallest, steps = 4) {
  const rough = Math.max((greatest - least) / steps, smallest);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough);
  const from = Math.floor(least / step);
  const to = Math.max(Math.ceil(greatest / step), from + 1);
  return Array.from({ length: to - from + 1 }, (_, index) => (from + index) * step);
}

/** Moves a line to the middle of a pixel, where it is sharp. */
function crisp(position) {
  return Math.round(position) + 0.5;
}

function time(day) {
  return new Date(`${day}T00:00:00Z`);
}

function svg(name, attributes, children = []) {
  const element = document.createElementNS(SVG, name);
  Object.entries(attributes).forEach(([key, value]) => element.setAttribute(key, value));
  element.append(...children);
  return element;
}
