// The genres of a track over time: their shares in each excerpt, as a chart with a cursor and as a table.

import { clock, drawn, element, percent } from "./dom.js";

const WIDTH = 1000;
const HEIGHT = 100;

/**
 * Draw the excerpts of an answer. `genres` are those that have a colour, the others are shown together.
 * Returns the drawing's element, the table's, and `moveTo(seconds)` for the cursor; a click calls `onSeek(seconds)`.
 */
export function timeline(answer, genres, onSeek) {
  const seconds = Math.max(answer.duration_seconds, ...answer.excerpts.map((excerpt) => excerpt.end_seconds), 0.001);
  const place = (time) => (WIDTH * time) / seconds;
  const cursor = drawn("line", { class: "cursor", y1: 0, y2: HEIGHT, x1: 0, x2: 0 });
  const picture = drawn(
    "svg",
    {
      viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
      preserveAspectRatio: "none",
      role: "img",
      "aria-label": `Genres along the track, ${answer.excerpts.length} excerpts; the table below has the numbers`,
      onclick: (event) => {
        const box = picture.getBoundingClientRect();
        onSeek((seconds * (event.clientX - box.left)) / box.width);
      },
    },
    ...answer.excerpts.map((excerpt) => column(excerpt, genres, place)),
    cursor,
  );
  const axis = element(
    "div",
    { class: "axis", "aria-hidden": "true" },
    ...[0, 0.5, 1].map((share) => element("span", {}, clock(share * seconds))),
  );
  return {
    node: element("div", { class: "timeline" }, picture, axis),
    table: table(answer),
    moveTo(time) {
      const x = Math.min(WIDTH, Math.max(0, place(time)));
      cursor.setAttribute("x1", x);
      cursor.setAttribute("x2", x);
    },
  };
}

function span(excerpt) {
  return `${clock(excerpt.start_seconds)} to ${clock(excerpt.end_seconds)}`;
}

function column(excerpt, genres, place) {
  const x = place(excerpt.start_seconds);
  const width = Math.max(1, place(excerpt.end_seconds) - x - 2);
  if (excerpt.silent) {
    const title = drawn("title", {}, `${span(excerpt)}: silent`);
    return drawn("g", {}, title, drawn("rect", { class: "silent", x, y: HEIGHT - 6, width, height: 6 }));
  }
  const shares = genres.map((genre, i) => [`c${i + 1}`, genre, excerpt.probabilities[genre] ?? 0]);
  const rest = Math.max(0, 1 - shares.reduce((sum, [, , share]) => sum + share, 0));
  let y = HEIGHT;
  const pieces = [...shares, ["others", "other genres", rest]].map(([name, genre, share]) => {
    y -= share * HEIGHT;
    const title = drawn("title", {}, `${span(excerpt)}: ${genre} ${percent(share)}`);
    return drawn("rect", { class: name, x, y, width, height: share * HEIGHT }, title);
  });
  return drawn("g", {}, ...pieces);
}

function table(answer) {
  const rows = answer.excerpts.map((excerpt) => {
    const [[genre, share]] = Object.entries(excerpt.probabilities).sort((a, b) => b[1] - a[1]);
    const words = excerpt.silent ? ["silent", ""] : [genre, percent(share)];
    return element(
      "tr",
      {},
      element("th", { scope: "row" }, span(excerpt)),
      ...words.map((word) => element("td", {}, word)),
    );
  });
  const head = ["Excerpt", "Genre", "Share"].map((name) => element("th", { scope: "col" }, name));
  return element(
    "details",
    {},
    element("summary", {}, "Excerpts as a table"),
    element("table", {}, element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...rows)),
  );
}
