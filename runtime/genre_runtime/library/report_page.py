"""A report as one page of HTML: nothing is fetched, and nothing but its own script may run.

Every function returns HTML; every value from the results goes through `report_plots.text`, which escapes it.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Iterable, Iterator
from datetime import datetime

from genre_runtime.library.report import Report, common_folder
from genre_runtime.library.report_figures import (
    confidence_section,
    genres_section,
    length_section,
    share,
    timeline_section,
)
from genre_runtime.library.report_files import failed_section, partly_read_section, table_section, unsure_section
from genre_runtime.library.report_plots import clock, text
from genre_runtime.library.report_style import SCRIPT, STYLE
from genre_runtime.version import __version__

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
