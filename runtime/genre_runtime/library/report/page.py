"""A report as one page of HTML, rendered from the folder `templates`. It fetches nothing and runs only its own script.

Every value is made printable and escaped by the template environment, not by the templates.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

from genre_runtime import __version__
from genre_runtime.errors import MissingDependencyError
from genre_runtime.library.report.figures import Report, by_genre, common_folder, confidence_bins
from genre_runtime.library.report.plots import Parts, clock, make_timeline
from genre_runtime.library.results.write import printable
from genre_runtime.prediction import FileResult, Prediction

try:
    from jinja2 import Environment, PackageLoader, StrictUndefined
except ImportError as error:
    raise MissingDependencyError(
        f"jinja2, which renders reports, cannot be imported ({error}): install genre-runtime[library]"
    ) from error

MARK = '<meta name="generator" content="genre report'
"""Identifies a file as a report; part of the template."""

MOST_LISTED = 200
"""Files in a list of unsure, partly readable or failed files. The table of all files has a filter."""

OPEN = 25
"""Longer lists are folded at first."""

MOST_STRETCHES = 200
"""Stretches of the timeline in the table beside it."""

_CODES = {
    "not_found": "No file there",
    "unreadable_audio": "No audio that can be read",
    "empty_audio": "No samples in it",
    "audio_limit": "Beyond a limit",
}


class _GenreBar(NamedTuple):
    label: str
    numbers: tuple[str, ...]
    parts: Parts


class _Doubtful(NamedTuple):
    """A file whose tag is doubtful, as text."""

    folder: str
    name: str
    tag: str
    tag_confidence: str
    genre: str
    confidence: str
    neighbours: list[tuple[str, str, str, str]]
    """Folder, name, genres in the tags, similarity."""


class _Line(NamedTuple):
    """A file as text."""

    folder: str
    name: str
    state: str
    remark: str = ""
    genre: str = ""
    confidence: str = ""
    next_genre: str = ""
    next_confidence: str = ""
    length: str = ""


def page(
    report: Report, *, source: str, made: datetime, n_rows: int | None, skipped: Iterable[str] = ()
) -> Iterator[str]:
    """Render the page and yield it in pieces.

    Parameters
    ----------
    report : Report
    source : str
        Name of the results, as shown.
    made : datetime
        Time of the report.
    n_rows : int or None
        Most files in the table; None for all.
    skipped : iterable of str
        Messages about entries of the results that could not be read.
    """
    predictions, failures, n_files = report.predictions, report.failures_by_code, len(report.results)
    folder = common_folder([str(result.path) for result in report.results])
    shown = report.results[:n_rows]
    timeline = make_timeline(report.timeline) if report.timeline else None
    sections = {
        "genres": ("Genres", predictions),
        "confidence": ("Confidence", predictions),
        "timeline": ("Timeline of a track", timeline),
        "length": ("Playing time by genre", predictions),
        "doubtful": ("Doubtful tags", report.doubtful),
        "unsure": ("Unsure files", report.unsure),
        "partly": ("Partly readable files", report.partly_read),
        "failed": ("Failed files", failures),
        "all": ("All files", True),
    }
    environment = _environment()
    style, script = (files(__package__).joinpath("templates", name).read_text("utf-8") for name in _INLINED)
    stream = environment.get_template("report.html").stream(
        title=f"Genres of {n_files:,} file{'s' if n_files != 1 else ''}",
        source=source,
        made=made,
        skipped=skipped,
        folder=folder,
        sections={name: title for name, (title, content) in sections.items() if content},
        counts=_counts(report),
        genres=_genre_counts(predictions),
        bins=confidence_bins(predictions),
        median=_percent(sorted(found.confidence for found in predictions)[len(predictions) // 2])
        if predictions
        else "",
        timeline=timeline,
        track=_track(report),
        lengths=_lengths(predictions),
        doubtful=_doubtful(report.doubtful[:MOST_LISTED], folder),
        n_doubtful=len(report.doubtful),
        unsure=_lines(report.unsure[:MOST_LISTED], folder),
        n_unsure=len(report.unsure),
        partly=_lines(report.partly_read[:MOST_LISTED], folder),
        n_partly=len(report.partly_read),
        failed=[
            {"title": _CODES.get(code, code), "n_files": len(group), "lines": _lines(group[:MOST_LISTED], folder)}
            for code, group in failures.items()
        ],
        lines=_lines(shown, folder),
        n_files=n_files,
        n_left_out=n_files - len(shown),
        devices=", ".join(sorted(filter(None, report.devices))) or "unknown",
        version=__version__,
        style=style,
        style_hash=_hash(style),
        script=script,
        script_hash=_hash(script),
        MOST_LISTED=MOST_LISTED,
        MOST_STRETCHES=MOST_STRETCHES,
        OPEN=OPEN,
    )
    stream.enable_buffering(1000)
    return stream


_INLINED = ("report.css", "report.js")


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader(__package__),
        autoescape=True,
        finalize=_printable,
        undefined=StrictUndefined,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(clock=clock, percent=_percent)
    return environment


def _printable(value: Any) -> Any:
    return printable(value) if type(value) is str and not value.isprintable() else value


def _hash(content: str) -> str:
    return "sha256-" + b64encode(hashlib.sha256(content.encode()).digest()).decode()


def _counts(report: Report) -> list[tuple[str, str, str]]:
    predictions, n_files = report.predictions, len(report.results)
    n_sure = sum(found.confident for found in predictions)
    n_unsure, n_failed = len(predictions) - n_sure, n_files - len(predictions)
    return [
        ("Files", f"{n_files:,}", ""),
        ("Confident", f"{n_sure:,}", _share(n_sure, n_files)),
        ("Unsure", f"{n_unsure:,}", _share(n_unsure, n_files)),
        ("Failed", f"{n_failed:,}", _share(n_failed, n_files)),
        ("Genres", f"{len({found.label for found in predictions}):,}", "found as best"),
        ("Playing time", clock(sum(found.duration_seconds for found in predictions)), "of classified files"),
    ]


def _genre_counts(predictions: Sequence[Prediction]) -> list[_GenreBar]:
    return [
        _GenreBar(label, tuple(f"{number:,.0f}" for number in (parts.total, parts.confident, parts.unsure)), parts)
        for label, parts in by_genre(predictions, lambda _: 1).items()
    ]


def _lengths(predictions: Sequence[Prediction]) -> list[_GenreBar]:
    genres = by_genre(predictions, lambda found: found.duration_seconds)
    total = sum(parts.total for parts in genres.values())
    return [
        _GenreBar(label, (clock(parts.total), _share(parts.total, total), clock(parts.confident)), parts)
        for label, parts in genres.items()
    ]


def _track(report: Report) -> dict[str, Any] | None:
    """Return the track whose timeline is drawn."""
    if report.timeline is None:
        return None
    track = report.timeline
    return {
        "path": str(track.path),
        "label": track.label,
        "confidence": _percent(track.confidence),
        "state": "confident" if track.confident else "unsure",
        "n_excerpts": len(track.excerpts),
    }


def _lines(results: Iterable[FileResult | Prediction], folder: str) -> Iterator[_Line]:
    for result in results:
        place, name = _below(result.path, folder)
        found = result if isinstance(result, Prediction) else result.outcome
        if not isinstance(found, Prediction):
            yield _Line(place, name, "failed", str(found))
            continue
        next_genre, next_confidence = found.runner_up
        yield _Line(
            place,
            name,
            "confident" if found.confident else "unsure",
            found.remark or "",
            found.label,
            _percent(found.confidence),
            next_genre,
            _percent(next_confidence),
            clock(found.duration_seconds),
        )


def _doubtful(results: Iterable[FileResult], folder: str) -> Iterator[_Doubtful]:
    for result in results:
        if result.prediction is None or result.doubt is None:
            continue
        neighbours = [
            (*_below(one.path, folder), "; ".join(one.genres), f"{one.similarity:.2f}")
            for one in result.doubt.neighbours
        ]
        yield _Doubtful(
            *_below(result.path, folder),
            "; ".join(result.doubt.genres),
            _percent(result.doubt.confidence),
            result.prediction.label,
            _percent(result.prediction.confidence),
            neighbours,
        )


def _below(path: Path | str | None, folder: str) -> tuple[str, str]:
    """Return the folder of a file below a common one, with its last separator, and its name."""
    rest = str(path).removeprefix(folder)
    cut = max(rest.rfind("/"), rest.rfind("\\")) + 1
    return rest[:cut], rest[cut:]


def _percent(share: float) -> str:
    return f"{share:.0%}"


def _share(part: float, total: float) -> str:
    return _percent(part / total if total else 0)
