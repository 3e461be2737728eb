"""Style sheet and script of a report. The page reads without the script, which sorts and filters the table of files."""

from __future__ import annotations

STYLE = """
:root { color-scheme: light dark; --ink: #1c2127; --paper: #fff; --line: #d5dae0; --soft: #f3f5f7; --faint: #59636e;
  --accent: #1a5fb4; --pale: #d3e2f5; --bad: #b3261e; --g0: #1a5fb4; --g1: #e69f00; --g2: #2a9d6f; --g3: #c0609a;
  --g4: #6cb7e6; --g5: #c65a1e; --rest: #c3c9d0; --halo: #fff; }
@media screen and (prefers-color-scheme: dark) {
  :root { --ink: #e4e7ea; --paper: #16191d; --line: #3a4149; --soft: #21262c; --faint: #9aa4ae; --accent: #7fb2f0;
    --pale: #24364c; --bad: #f2b8b5; --g0: #3f7fd0; --g1: #b67d00; --g2: #23865e; --g3: #a54f84; --g4: #3a8fc4;
    --g5: #b0521f; --rest: #4a525b; --halo: #16191d; } }
* { box-sizing: border-box; }
body { margin: 2rem auto; max-width: 64rem; padding: 0 1rem; color: var(--ink); background: var(--paper);
  font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: 0 0 .3rem; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 2.4rem 0 .6rem; border-bottom: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1.2rem 0 .3rem; }
p { color: var(--faint); margin: .4rem 0; overflow-wrap: anywhere; max-width: 46rem; }
a { color: var(--accent); }
nav ul, .legend { display: flex; flex-wrap: wrap; gap: .2rem 1.2rem; list-style: none; margin: .6rem 0; padding: 0; }
.counts { display: grid; grid-template-columns: repeat(auto-fit, minmax(7.5rem, 1fr)); gap: .6rem; margin: 1.2rem 0; }
.counts div { background: var(--soft); border-radius: 8px; padding: .6rem .8rem; }
.counts dt { color: var(--faint); }
.counts dd { margin: 0; font-size: 1.4rem; line-height: 1.3; font-variant-numeric: tabular-nums; }
.counts small { display: block; font-size: .8rem; color: var(--faint); }
.scroll { overflow-x: auto; margin: .6rem 0 1rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; width: 100%; }
th, td { padding: .25rem .6rem; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; }
thead th, thead td { background: var(--soft); white-space: nowrap; }
tbody th { font-weight: 500; }
.number { text-align: right; white-space: nowrap; width: 1%; }
.genre { white-space: nowrap; width: 1%; }
.genre b { font-weight: 500; display: inline-block; max-width: 12rem; overflow: hidden; text-overflow: ellipsis;
  vertical-align: bottom; }
.file { font-weight: 400; overflow-wrap: anywhere; min-width: 9rem; }
.file span { color: var(--faint); }
.bars td:last-child { width: 60%; min-width: 6rem; vertical-align: middle; }
.bar { display: block; width: 100%; height: .9rem; overflow: visible; }
#files { table-layout: fixed; min-width: 43rem; }
#files thead th { width: 7rem; }
#files thead th.number { width: 4.8rem; }
#files thead th:nth-child(5) { width: 9.4rem; }
#files thead th:first-child { width: auto; }
.failed { color: var(--bad); }
.picture { display: block; width: 100%; overflow: visible; margin: .8rem 0 .2rem; }
.swatch { width: 1em; height: .8em; margin-right: .4em; overflow: visible; }
.sure { fill: var(--accent); stroke: var(--accent); }
.unsure { fill: var(--pale); stroke: var(--accent); }
.genre0 { fill: var(--g0); } .genre1 { fill: var(--g1); } .genre2 { fill: var(--g2); } .genre3 { fill: var(--g3); }
.genre4 { fill: var(--g4); } .genre5 { fill: var(--g5); } .rest { fill: var(--rest); } .silent { fill: var(--soft); }
path { stroke: var(--paper); stroke-width: .6; vector-effect: non-scaling-stroke; }
.grid, .axis { stroke: var(--line); }
text { fill: var(--faint); font-size: 12px; text-anchor: middle; }
text.first { text-anchor: start; } text.last { text-anchor: end; }
text.name { fill: var(--ink); font-size: 13px; font-weight: 600; dominant-baseline: central; paint-order: stroke;
  stroke: var(--halo); stroke-width: 4px; stroke-linejoin: round; }
summary { cursor: pointer; color: var(--accent); padding: .2rem 0; }
.tools { display: flex; flex-wrap: wrap; gap: .6rem 1rem; align-items: end; margin: .6rem 0; }
.tools label { display: grid; color: var(--faint); }
.tools output { color: var(--faint); }
[hidden] { display: none !important; }
input, select, button { font: inherit; color: inherit; }
input, select { padding: .3rem .5rem; border: 1px solid var(--faint); border-radius: 6px; background: var(--paper);
  max-width: 100%; }
#more { padding: .3rem .8rem; border: 1px solid var(--faint); border-radius: 6px; background: var(--soft);
  cursor: pointer; }
thead button { all: unset; cursor: pointer; font-weight: inherit; }
thead button::after { content: "\\2003"; }
[aria-sort=ascending] button::after { content: "\\2009\\25B2"; }
[aria-sort=descending] button::after { content: "\\2009\\25BC"; }
:focus-visible, thead button:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
footer { margin-top: 3rem; border-top: 1px solid var(--line); }
@media (max-width: 40rem) { body { margin: 1rem auto; } th, td { padding: .25rem .4rem; } .bars .part { display: none; }
  .file { min-width: 11rem; } #files { font-size: .875rem; }
  .bars td:last-child { width: 50%; } }
@media print { body { max-width: none; font-size: 10pt; margin: 0; }
  nav, .tools, #more, thead button::after { display: none; }
  svg { print-color-adjust: exact; -webkit-print-color-adjust: exact; } .scroll { overflow: visible; }
  tr, .picture, .counts div { break-inside: avoid; } h2, h3 { break-after: avoid; } }
"""

SCRIPT = """
"use strict";
(() => {
  const table = document.getElementById("files"), body = table && table.tBodies[0];
  if (!body) return;
  const rows = [...body.rows].map((row) => ({ row, text: row.textContent.toLowerCase(), state: row.dataset.state }));
  const compare = new Intl.Collator(undefined, { numeric: true }).compare;
  const value = (row, column, kind) => {
    const text = row.cells[column].textContent;
    if (kind === "text") return text;
    return text ? text.split(":").reduce((sum, part) => sum * 60 + parseFloat(part), 0) : null;
  };
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const kind = head.dataset.kind;
      const before = head.getAttribute("aria-sort");
      const down = before ? before === "ascending" : kind !== "text";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      for (const entry of rows) entry.key = value(entry.row, column, kind);
      const order = (a, b) => kind === "text" ? compare(a, b) : a - b;
      const none = (key) => key === null || key === "";
      rows.sort((a, b) => none(a.key) - none(b.key) || (down ? order(b.key, a.key) : order(a.key, b.key)));
      filter();
      body.replaceChildren(...rows.map((entry) => entry.row));
    });
  });
  const [tools, words, state, shown, more] =
    ["tools", "words", "state", "shown", "more"].map((id) => document.getElementById(id));
  const step = 500; // rows laid out at first: more would make every sort slow
  let timer = 0, limit = step;
  const filter = () => {
    const wanted = words.value.toLowerCase().split(/\\s+/).filter(Boolean);
    let count = 0;
    for (const entry of rows) {
      const fits = (!state.value || entry.state === state.value) && wanted.every((word) => entry.text.includes(word));
      count += fits;
      entry.row.hidden = !fits || count > limit;
    }
    more.hidden = count <= limit;
    shown.textContent = `${count} of ${rows.length} rows` + (count > limit ? `, the first ${limit} shown` : "");
  };
  const filterAnew = () => { limit = step; filter(); };
  words.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(filterAnew, 150); });
  state.addEventListener("change", filterAnew);
  more.addEventListener("click", () => { limit += step; filter(); });
  tools.hidden = false;
  filter();
})();
"""
