// Line charts over the epochs of a training.

import { drawn, element } from "./dom.js";

const WIDTH = 400;
const HEIGHT = 180;
const MARGIN = { left: 40, right: 8, top: 8, bottom: 24 };

/**
 * Draw columns of the history; null where it has none of them.
 *
 * `names` maps a column to what it is called; `format` writes a value of the vertical axis.
 */
export function lineChart(title, history, names, format) {
  const series = Object.entries(names).filter(([column]) => history.some((epoch) => Number.isFinite(epoch[column])));
  const values = series.flatMap(([column]) => history.map((epoch) => epoch[column])).filter(Number.isFinite);
  if (!values.length) return null;
  const low = Math.min(...values);
  const high = Math.max(...values);
  const x = (i) => MARGIN.left + ((WIDTH - MARGIN.left - MARGIN.right) * i) / Math.max(1, history.length - 1);
  const y = (value) =>
    HEIGHT - MARGIN.bottom - ((HEIGHT - MARGIN.top - MARGIN.bottom) * (value - low)) / (high - low || 1);
  const lines = series.map(([column], i) => {
    const points = history.map((epoch, k) => [x(k), epoch[column]]).filter(([, value]) => Number.isFinite(value));
    return drawn("polyline", { class: `line c${i + 1}`, points: points.map(([at, value]) => `${at},${y(value)}`).join(" ") });
  });
  const last = series.map(([column, name]) => `${name} ${format(history.at(-1)[column] ?? NaN)}`).join(", ");
  const picture = drawn(
    "svg",
    { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": `${title} over ${history.length} epochs; at the end ${last}` },
    ...[low, (low + high) / 2, high].map((value) => level(value, y(value), format)),
    drawn("text", { x: x(0), y: HEIGHT - 6 }, `epoch ${history[0].epoch ?? 1}`),
    drawn("text", { x: WIDTH - MARGIN.right, y: HEIGHT - 6, "text-anchor": "end" }, String(history.at(-1).epoch ?? history.length)),
    ...lines,
  );
  const legend = series.map(([, name], i) => element("li", {}, element("span", { class: `swatch c${i + 1}` }), name));
  return element("figure", {}, element("figcaption", {}, title), picture, element("ul", { class: "legend" }, ...legend));
}

function level(value, y, format) {
  return drawn(
    "g",
    {},
    drawn("line", { class: "grid", x1: MARGIN.left, x2: WIDTH - MARGIN.right, y1: y, y2: y }),
    drawn("text", { x: MARGIN.left - 6, y: y + 4, "text-anchor": "end" }, format(value)),
  );
}
