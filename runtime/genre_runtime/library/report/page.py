"""Style sheet and script of a report. The page reads without the script, which sorts and filters the table of files.

The lists of files in a report: unsure ones, failed ones, and all of them in one table.

A report as one page of HTML: nothing is fetched, and nothing but its own script may run.

Every function returns HTML; every value from the results goes through `report_plots.text`, which escapes it.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Iterable, Iterator
from datetime import datetime

from genre_runtime import __version__
from genre_runtime.library.report.figures import (
    Report,
    common_folder,
    confidence_section,
    genres_section,
    length_section,
    share,
    timeline_section,
)
from genre_runtime.library.report.plots import clock, text
from genre_runtime.library.results.read import Failure, Row

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

MOST_LISTED = 200
"""Files of a list that are written out; who has more works with the table or the results themselves."""

OPEN = 25
"""Longer lists are folded at first."""

_CODES = {
    "not_found": "No file there",
    "unreadable_audio": "No audio that can be read",
    "empty_audio": "No samples in it",
    "audio_limit": "Beyond a limit",
}


def unsure_section(report: Report, folder: str) -> str:
    """Return the unsure files with their two best genres, the least sure first."""
    rows = report.unsure
    lines = (
        f'<tr>{_file(row.path, folder)}<td class="genre"><b>{text(row.label)}</b> {row.confidence:.0%}</td>'
        f'<td class="genre">{_next(row)}</td></tr>\n'
        for row in rows[:MOST_LISTED]
    )
    return _folded("The least sure first", len(rows), ("File", "Best genre", "Second best"), lines)


def partly_read_section(report: Report, folder: str) -> str:
    """Return the files of which less could be read than they claim, the least readable first."""
    rows = report.partly_read
    lines = (
        f'<tr>{_file(row.path, folder)}<td class="genre"><b>{text(row.label)}</b> {row.confidence:.0%}</td>'
        f'<td class="file">{text(row.remark or "")}</td></tr>\n'
        for row in rows[:MOST_LISTED]
    )
    return _folded("The least readable first", len(rows), ("File", "Best genre", "Readable"), lines)


def failed_section(report: Report, folder: str) -> str:
    """Return the failed files, grouped by what went wrong."""
    groups = []
    for code, failures in report.failures_by_code.items():
        lines = (
            f'<tr>{_file(str(failure.path), folder)}<td class="file">{text(failure.message)}</td></tr>\n'
            for failure in failures[:MOST_LISTED]
        )
        title = text(_CODES.get(code, code))
        groups.append(f"<h3>{title}</h3>{_folded('Files', len(failures), ('File', 'Found'), lines)}")
    return "".join(groups)


def table_section(report: Report, folder: str, n_rows: int | None) -> str:
    """Return the table of the first `n_rows` files, or all of them, that the page's script sorts and filters."""
    shown = report.entries[:n_rows]
    heads = (("File", "text"), ("Genre", "text"), ("Sure", "number"), ("Answer", "text"), ("Second best", "text"))
    head = "".join(
        f'<th scope="col" data-kind="{kind}"{"" if kind == "text" else " class=number"}>{word}</th>'
        for word, kind in (*heads, ("Length", "time"))
    )
    lines = "".join(_line(entry, folder) for entry in shown)
    left_out = len(report.entries) - len(shown)
    remark = (
        f"<p>Listed are the first {len(shown):,} of {len(report.entries):,} files, so that a browser stays quick; all "
        "figures above count every file. <code>genre report --rows all</code> lists them all.</p>"
        if left_out
        else ""
    )
    states = "".join(f'<option value="{word}">{word}</option>' for word in ("confident", "unsure", "failed"))
    tools = (
        '<div id="tools" class="tools" role="search" hidden><label>Filter<input id="words" type="search" '
        'placeholder="words of name or genre" autocomplete="off"></label><label>Answer<select id="state">'
        f'<option value="">all</option>{states}</select></label><output id="shown" aria-live="polite"></output></div>'
    )
    return (
        f'{remark}{tools}<div class="scroll" tabindex="0" role="region" aria-label="All files"><table id="files">'
        f"<thead><tr>{head}</tr></thead>\n<tbody>{lines}</tbody></table></div>"
        '<button id="more" type="button" hidden>Show more rows</button>'
    )


def _line(entry: Row | Failure, folder: str) -> str:
    if isinstance(entry, Failure):
        return (
            f'<tr data-state="failed">{_file(str(entry.path), folder)}<td></td><td></td><td class="failed">failed</td>'
            "<td></td><td></td></tr>\n"
        )
    state = "confident" if entry.confident else "unsure"
    mark = "" if entry.announced_seconds is None else ", partly readable"
    return (
        f'<tr data-state="{state}">{_file(entry.path, folder)}<td class="genre"><b>{text(entry.label)}</b></td>'
        f'<td class="number">{entry.confidence:.0%}</td><td>{state}{mark}</td><td class="genre">{_next(entry)}</td>'
        f'<td class="number">{clock(entry.duration_seconds)}</td></tr>\n'
    )


def _file(path: str, folder: str) -> str:
    rest = path.removeprefix(folder)
    cut = max(rest.rfind("/"), rest.rfind("\\")) + 1
    parent = f"<span>{text(rest[:cut])}</span>" if cut else ""
    return f'<th scope="row" class="file">{parent}{text(rest[cut:])}</th>'


def _next(row: Row) -> str:
    return f"<b>{text(row.next_label)}</b> {row.next_confidence:.0%}" if row.next_label else ""


def _folded(title: str, n_files: int, heads: Iterable[str], lines: Iterable[str]) -> str:
    if not n_files:
        return ""
    head = "".join(f'<th scope="col">{word}</th>' for word in heads)
    more = f"<p>{n_files - MOST_LISTED:,} more are in the results.</p>" if n_files > MOST_LISTED else ""
    return (
        f"<details{' open' if n_files <= OPEN else ''}><summary>{title}: {n_files:,}</summary>"
        f'<div class="scroll" tabindex="0" role="region" aria-label="{title}"><table><thead><tr>{head}</tr></thead>\n'
        f"<tbody>{''.join(lines)}</tbody></table></div>{more}</details>"
    )


MARK = '<meta name="generator" content="genre report'
"""Tells a former report from other files."""


def page(
    report: Report, *, source: str, made: datetime, n_rows: int | None, skipped: Iterable[str] = ()
) -> Iterator[str]:
    """Yield the page in pieces.

    Parameters
    ----------
    report : Report
    source : str
        Name of the result file, as it is shown.
    made : datetime
        When, as it is shown.
    n_rows : int or None
        How many files the table lists at the most; None is all.
    skipped : iterable of str
        What to say of entries that were passed over.
    """
    n_files = len(report.entries)
    folder = common_folder([str(entry.path) for entry in report.entries])
    sections = {
        "genres": ("Genres", genres_section(report)),
        "confidence": ("Confidence", confidence_section(report)),
        "timeline": ("Timeline of a track", timeline_section(report)),
        "length": ("Playing time by genre", length_section(report)),
        "unsure": ("Unsure files", unsure_section(report, folder)),
        "partly": ("Partly readable files", partly_read_section(report, folder)),
        "failed": ("Failed files", failed_section(report, folder)),
        "all": ("All files", table_section(report, folder, n_rows)),
    }
    kept = {name: section for name, section in sections.items() if section[1]}
    yield _head(f"Genres of {_files(n_files)}")
    yield f"<header><h1>Genres of {_files(n_files)}</h1>{_origin(source, made, folder)}"
    yield from (f"<p><strong>{text(words)}</strong></p>" for words in skipped)
    links = "".join(f'<li><a href="#{name}">{title}</a></li>' for name, (title, _) in kept.items())
    yield f'<nav aria-label="Sections"><ul>{links}</ul></nav></header>\n<main>{_counts(report)}'
    for name, (title, content) in kept.items():
        yield f'\n<section aria-labelledby="{name}"><h2 id="{name}">{title}</h2>{content}</section>'
    devices = ", ".join(sorted(filter(None, report.devices))) or "unknown"
    yield f"\n</main>\n<footer><p>genre {__version__}; the model ran on: {text(devices)}.</p></footer>\n"
    yield f"<script>{SCRIPT}</script>\n</body>\n</html>\n"


def _head(title: str) -> str:
    policy = "; ".join(
        (
            *("default-src 'none'", f"style-src '{_hash(STYLE)}'", f"script-src '{_hash(SCRIPT)}'"),
            *("base-uri 'none'", "form-action 'none'"),
        )
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        f'{MARK} {__version__}">\n<meta name="referrer" content="no-referrer">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
    )


def _hash(content: str) -> str:
    return "sha256-" + b64encode(hashlib.sha256(content.encode()).digest()).decode()


def _origin(source: str, made: datetime, folder: str) -> str:
    when = f'<time datetime="{made.isoformat(timespec="seconds")}">{made:%Y-%m-%d %H:%M}</time>'
    below = f" Files lie below {text(folder)}" if folder else ""
    return f"<p>From {text(source)}, {when}.{below}</p>"


def _counts(report: Report) -> str:
    rows, n_files = report.rows, len(report.entries)
    n_sure = sum(row.confident for row in rows)
    shown = [
        ("Files", f"{n_files:,}", ""),
        ("Confident", f"{n_sure:,}", share(n_sure, n_files)),
        ("Unsure", f"{len(rows) - n_sure:,}", share(len(rows) - n_sure, n_files)),
        ("Failed", f"{len(report.failures):,}", share(len(report.failures), n_files)),
        ("Genres", f"{len({row.label for row in rows}):,}", "found as best"),
        ("Playing time", clock(sum(row.duration_seconds for row in rows)), "of classified files"),
    ]
    items = (f"<div><dt>{name}</dt><dd>{value}<small>{note}</small></dd></div>" for name, value, note in shown)
    return (
        f'<dl class="counts">{"".join(items)}</dl><p>An unsure answer is a guess: its probability lies below the '
        "threshold that the model was calibrated to, or the track or its excerpts are silent.</p>"
    )


def _files(number: int) -> str:
    return f"{number:,} file{'s' if number != 1 else ''}"
