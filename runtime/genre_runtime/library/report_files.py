"""The lists of files in a report: unsure ones, failed ones, and all of them in one table."""

from __future__ import annotations

from collections.abc import Iterable

from genre_runtime.library.report import Report
from genre_runtime.library.report_plots import clock, text
from genre_runtime.library.result_entry import Failure
from genre_runtime.library.results import Row

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
