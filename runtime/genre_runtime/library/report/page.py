"""A report as one page of HTML, rendered from the folder `templates`. It fetches nothing and runs only its own script.

Every value is made printable and escaped by the template environment, not by the templates.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from importlib.resources import files
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from genre_runtime import __version__
from genre_runtime.errors import MissingDependencyError
from genre_runtime.library.duplicates import best_copy
from genre_runtime.library.report.figures import Report, by_genre, by_tag, common_folder, confidence_bins
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

FREQUENT = 12
"""Styles, moods, instruments and voices that are not folded, of each."""

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
    genre_set: tuple[str, ...] = ()
    """The answer set if there is more than one genre in it and the answer is unsure."""
    sound: str = ""
    """What the file is if it is not music; it has no genre then."""
    confidence: str = ""
    next_genre: str = ""
    next_confidence: str = ""
    length: str = ""
    tags: tuple[str, ...] = ()
    """Names of each kind of tags that is shown, joined."""


class _Copy(NamedTuple):
    """A file with the same recording as others."""

    folder: str
    name: str
    answer: str
    length: str
    size: str
    remark: str
    first: bool


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
    predictions, failures, n_files = report.music, report.failures_by_code, len(report.results)
    kinds = {kind: title for kind, title in _KINDS.items() if any(getattr(found, kind) for found in predictions)}
    folder = common_folder([str(result.path) for result in report.results])
    shown = report.results[:n_rows]
    track = report.timeline
    timeline = make_timeline(track) if track and track.is_music else None
    sections = {
        "genres": ("Genres", predictions),
        "confidence": ("Confidence", predictions),
        "timeline": ("Timeline of a track", timeline or (track and not track.is_music)),
        "length": ("Playing time by genre", predictions),
        "tags": (_titles(kinds), kinds),
        "doubtful": ("Doubtful tags", report.doubtful),
        "duplicates": ("Duplicates", report.duplicates),
        "unsure": ("Unsure files", report.unsure),
        "other": ("Not music", report.not_music),
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
        kinds=list(kinds.values()),
        counts=_counts(report),
        genres=_genre_counts(predictions),
        bins=confidence_bins(predictions),
        median=_percent(sorted(found.confidence for found in predictions)[len(predictions) // 2])
        if predictions
        else "",
        timeline=timeline,
        track=_track(report),
        lengths=_lengths(predictions),
        tags={title: list(by_tag(predictions, kind).items()) for kind, title in kinds.items()},
        copies=list(islice(_copies(report, folder), MOST_LISTED)),
        n_copies=sum(map(len, report.duplicates)),
        n_recordings=len(report.duplicates),
        other=_lines(report.not_music[:MOST_LISTED], folder),
        n_other=len(report.not_music),
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
        lines=_lines(shown, folder, tuple(kinds)),
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
        FREQUENT=FREQUENT,
    )
    stream.enable_buffering(1000)
    return stream


_INLINED = ("report.css", "report.js")
_KINDS = {"styles": "Styles", "moods": "Moods", "instruments": "Instruments", "voice": "Voices"}


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
    predictions, music, n_files = report.predictions, report.music, len(report.results)
    n_sure = sum(found.confident for found in music)
    n_unsure, n_other, n_failed = len(music) - n_sure, len(predictions) - len(music), n_files - len(predictions)
    n_copies = sum(len(group) - 1 for group in report.duplicates)
    counts = [
        ("Files", f"{n_files:,}", ""),
        ("Confident", f"{n_sure:,}", _share(n_sure, n_files)),
        ("Unsure", f"{n_unsure:,}", _share(n_unsure, n_files)),
        ("Not music", f"{n_other:,}", _share(n_other, n_files)) if n_other else None,
        ("Failed", f"{n_failed:,}", _share(n_failed, n_files)),
        ("Genres", f"{len({found.label for found in music}):,}", "found as best"),
        ("Duplicates", f"{n_copies:,}", "further copies") if n_copies else None,
        ("Playing time", clock(sum(found.duration_seconds for found in predictions)), "of classified files"),
    ]
    return [count for count in counts if count is not None]


def _titles(kinds: Mapping[str, str]) -> str:
    """Return the title of the section on these kinds of tags."""
    *others, last = kinds.values() or [""]
    return f"{', '.join(others)} and {last}".capitalize() if others else last


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
    answer = f"{track.label}, {_percent(track.confidence)}, {_state(track)}" if track.is_music else _sound(track)
    if track.is_music and _answer_set(track):
        answer += f": {' or '.join(track.genre_set)}"
    return {
        "path": str(track.path),
        "answer": answer,
        "n_excerpts": len(track.excerpts),
    }


def _state(found: Prediction) -> str:
    return "not music" if not found.is_music else "confident" if found.confident else "unsure"


def _sound(found: Prediction) -> str:
    """Return what a file without music is."""
    return found.music or "silence"


def _answer_set(found: Prediction) -> tuple[str, ...]:
    """Return the genres of an unsure answer, if there are several."""
    return found.genre_set if not found.confident and len(found.genre_set) > 1 else ()


def _copies(report: Report, folder: str) -> Iterator[_Copy]:
    """Yield the files of each group of duplicates, the best copy first."""
    by_path = {found.path: found for found in report.predictions}
    for group in report.duplicates:
        tracks = {one.track.path: by_path[one.track.path] for one in group}
        best, firsts = best_copy(list(tracks.values())), {one.track.same_as for one in group}
        for one in sorted(group, key=lambda one: one.track.path != best.path):
            found = tracks[one.track.path]
            is_best = found is best
            equal = one.track.same_as or one.track.path in firsts
            same = "the same bytes as another copy" if equal else f"correlation {one.correlation:.2f}"
            yield _Copy(
                *_below(found.path, folder),
                found.label if found.is_music else _sound(found),
                clock(found.duration_seconds),
                _size(found.path),
                "best copy" if is_best else same,
                is_best,
            )


def _size(path: Path | None) -> str:
    try:
        return f"{(path or Path()).stat().st_size / 1e6:,.1f} MB"
    except (OSError, ValueError):
        return "gone"


def _lines(results: Iterable[FileResult | Prediction], folder: str, kinds: Sequence[str] = ()) -> Iterator[_Line]:
    for result in results:
        place, name = _below(result.path, folder)
        found = result if isinstance(result, Prediction) else result.outcome
        if not isinstance(found, Prediction):
            yield _Line(place, name, "failed", str(found))
            continue
        line = _Line(place, name, _state(found), found.remark or "", length=clock(found.duration_seconds))
        if not found.is_music:
            yield line._replace(sound=_sound(found))
            continue
        next_genre, next_confidence = found.runner_up
        yield line._replace(
            genre=found.label,
            genre_set=_answer_set(found),
            confidence=_percent(found.confidence),
            next_genre=next_genre,
            next_confidence=_percent(next_confidence),
            tags=tuple(", ".join(getattr(found, kind)) for kind in kinds),
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
