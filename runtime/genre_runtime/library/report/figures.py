"""The figures of a report on many results: read once, kept small, summed up.

The figures of a report: genres, confidence, playing time and the timeline of a track, each with its numbers as text.

Every function returns HTML; every value from the results goes through `report_plots.text`, which escapes it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from genre_runtime.errors import InvalidInputError
from genre_runtime.library.report.plots import (
    Parts,
    bar,
    clock,
    colour,
    histogram,
    legend,
    make_timeline,
    text,
    timeline_picture,
)
from genre_runtime.library.results.read import Failure, Results, Row
from genre_runtime.prediction import Prediction

N_BINS = 20
"""Of the distribution of confidence: 5 % each."""

FEW_EXCERPTS = 3
"""What a model listens to by default: a timeline of more says more."""


@dataclass
class Report:
    """What a report tells.

    Attributes
    ----------
    entries : list of Row or Failure
        One a file, in the order of the results.
    timeline : Prediction or None
        The track whose excerpts are drawn.
    devices : set of str
        Where the model ran.
    """

    entries: list[Row | Failure] = field(default_factory=list)
    timeline: Prediction | None = None
    devices: set[str] = field(default_factory=set)

    @property
    def rows(self) -> list[Row]:
        """The files that were classified."""
        return [entry for entry in self.entries if isinstance(entry, Row)]

    @property
    def failures(self) -> list[Failure]:
        """The files that were not."""
        return [entry for entry in self.entries if isinstance(entry, Failure)]

    @property
    def unsure(self) -> list[Row]:
        """Rows that are not confident, the least sure first."""
        return sorted((row for row in self.rows if not row.confident), key=lambda row: row.confidence)

    @property
    def partly_read(self) -> list[Row]:
        """Rows of files of which less could be read than they claim, the least readable first."""
        rows = [row for row in self.rows if row.announced_seconds is not None]
        return sorted(rows, key=lambda row: row.duration_seconds / (row.announced_seconds or 1))

    @property
    def failures_by_code(self) -> dict[str, list[Failure]]:
        """Failures by what went wrong, the most frequent first."""
        counts = Counter(failure.code for failure in self.failures)
        groups: dict[str, list[Failure]] = {code: [] for code, _ in counts.most_common()}
        for failure in self.failures:
            groups[failure.code].append(failure)
        return groups


def read_report(results: Results, track: str | None = None) -> Report:
    """Read results; of several results of a file the last counts.

    Parameters
    ----------
    results : Results
    track : str or None
        The file whose timeline is wanted, in full or the end of it (`song.mp3`, `artist/song.mp3`). By default the
        longest of those with more than three excerpts, if there is one.

    Raises
    ------
    InvalidInputError
        The results cannot be used, or do not hold that track, or several of that name.
    """
    entries: dict[str, Row | Failure] = {}
    wanted: dict[str, Prediction] = {}
    longest: Prediction | None = None
    devices = set()
    for result in results:
        path = str(result.path)
        if isinstance(result, Failure):
            entries[path] = result
            wanted.pop(path, None)
            continue
        entries[path] = Row.of(result)
        devices.add(result.device)
        if track is not None and _is_named(result.path or Path(), track):
            wanted[path] = result
        if len(result.excerpts) > FEW_EXCERPTS and (
            longest is None or result.duration_seconds > longest.duration_seconds
        ):
            longest = result
    timeline = longest if track is None else _the_one(wanted, track)
    return Report(list(entries.values()), timeline, devices)


def by_genre(rows: Iterable[Row], amount: Callable[[Row], float]) -> dict[str, Parts]:
    """Sum an amount of each row by genre, the greatest total first."""
    sums: dict[str, list[float]] = {}
    for row in rows:
        sums.setdefault(row.label, [0.0, 0.0])[not row.confident] += amount(row)
    parts = {label: Parts(*pair) for label, pair in sums.items()}
    return dict(sorted(parts.items(), key=lambda item: (-item[1].total, item[0])))


def confidence_bins(rows: Iterable[Row]) -> list[Parts]:
    """Count rows by confidence in `N_BINS` equal steps from 0 to 1; a step includes its lower end, the last both."""
    counts = [[0, 0] for _ in range(N_BINS)]
    for row in rows:
        counts[min(int(row.confidence * N_BINS), N_BINS - 1)][not row.confident] += 1
    return [Parts(*pair) for pair in counts]


def common_folder(paths: Sequence[str]) -> str:
    """Return the folder, with its last separator, that all paths lie below; empty if that is no more than a root."""
    if not paths:
        return ""
    first, last = min(paths), max(paths)
    n_same = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(min(first, last)))
    cut = max(first.rfind(separator, 0, n_same) for separator in "/\\") + 1
    folder = first[:cut]
    name = folder.rstrip("/\\")
    return folder if name and not name.endswith(":") else ""


def _is_named(path: Path, track: str) -> bool:
    wanted = Path(track)
    return path == wanted or path.parts[-len(wanted.parts) :] == wanted.parts or path.absolute() == wanted.absolute()


def _the_one(found: dict[str, Prediction], track: str) -> Prediction:
    exact = [result for path, result in found.items() if Path(path).absolute() == Path(track).absolute()]
    if exact:
        return exact[0]
    if not found:
        raise InvalidInputError(f"no answer for the track {track!r} in the results: check the path")
    if len(found) > 1:
        raise InvalidInputError(f"{len(found)} tracks in the results end in {track!r}: name one in full")
    return next(iter(found.values()))


MOST_STRETCHES = 200
"""Of a timeline in words."""

_STATES = {"sure": "confident", "unsure": "unsure"}


def genres_section(report: Report) -> str:
    """Return how many files each genre has; empty if there is nothing to draw."""
    genres = by_genre(report.rows, lambda _: 1)
    most = max((parts.total for parts in genres.values()), default=0)
    rows = [
        (label, [f"{parts.total:,.0f}", f"{parts.confident:,.0f}", f"{parts.unsure:,.0f}"], bar(parts, most))
        for label, parts in genres.items()
    ]
    return _bars("Files by genre", ("Files", "Confident", "Unsure"), rows)


def length_section(report: Report) -> str:
    """Return how long each genre plays; empty if there is nothing to draw."""
    genres = by_genre(report.rows, lambda row: row.duration_seconds)
    most = max((parts.total for parts in genres.values()), default=0)
    total = sum(parts.total for parts in genres.values())
    rows = [
        (label, [clock(parts.total), share(parts.total, total), clock(parts.confident)], bar(parts, most))
        for label, parts in genres.items()
    ]
    return _bars("Playing time by genre", ("Time", "Share", "Confident"), rows)


def _bars(caption: str, heads: Sequence[str], rows: Sequence[tuple[str, Sequence[str], str]]) -> str:
    if not rows:
        return ""
    hidden = ["number", *["number part"] * (len(heads) - 1)]  # a phone shows the first number and the bar
    head = "".join(f'<th scope="col" class="{name}">{word}</th>' for name, word in zip(hidden, heads, strict=True))
    lines = "".join(
        f'<tr><th scope="row" class="genre"><b>{text(label)}</b></th>'
        + "".join(f'<td class="{name}">{value}</td>' for name, value in zip(hidden, values, strict=True))
        + f"<td>{picture}</td></tr>\n"
        for label, values, picture in rows
    )
    return (
        f'{legend(_STATES)}<div class="scroll" tabindex="0" role="region" aria-label="{caption}"><table class="bars">'
        f'<thead><tr><th scope="col">Genre</th>{head}<td></td></tr></thead>\n<tbody>{lines}</tbody></table></div>'
    )


def confidence_section(report: Report) -> str:
    """Return the distribution of confidence; empty if there is nothing to draw."""
    rows = report.rows
    if not rows:
        return ""
    bins = confidence_bins(rows)
    middle = sorted(row.confidence for row in rows)[len(rows) // 2]
    label = f"Files by confidence in steps of 5%; half of the answers reach {middle:.0%}"
    lines = "".join(
        f'<tr><td class="number">{5 * number} to {5 * number + 5}%</td><td class="number">{parts.confident:.0f}</td>'
        f'<td class="number">{parts.unsure:.0f}</td><td></td></tr>\n'
        for number, parts in enumerate(bins)
        if parts.total
    )
    head = "".join(f'<th scope="col" class="number">{word}</th>' for word in ("Confidence", "Confident", "Unsure"))
    most = f"{max(parts.total for parts in bins):,.0f}"
    return (
        f"<p>Number of files by the probability of their best genre; half of them reach {middle:.0%}, the highest "
        f"column has {most} files.</p>{legend(_STATES)}{histogram(bins, label)}<details><summary>The numbers</summary>"
        f'<div class="scroll" tabindex="0" role="region" aria-label="Files by confidence"><table><thead><tr>{head}'
        f"<td></td></tr></thead>\n<tbody>{lines}</tbody></table></div></details>"
    )


def timeline_section(report: Report) -> str:
    """Return the genres of one track over time; empty if there is nothing to draw."""
    prediction = report.timeline
    timeline = make_timeline(prediction) if prediction else None
    if prediction is None or timeline is None:
        return ""
    shade = partial(colour, genres=timeline.genres)
    names = legend({shade(number): genre for number, genre in enumerate(timeline.genres)} | {"silent": "silent"})
    lines = "".join(
        f'<tr><td class="number">{clock(stretch.start)} to {clock(stretch.end)}</td><th scope="row" class="genre">'
        f'<b>{text(stretch.genre)}</b></th><td class="number">{stretch.probability:.0%}</td><td></td></tr>\n'
        for stretch in timeline.stretches[:MOST_STRETCHES]
    )
    more = len(timeline.stretches) - MOST_STRETCHES
    rest = f"<p>{more} more stretches are not listed.</p>" if more > 0 else ""
    row = Row.of(prediction)
    state = "confident" if row.confident else "unsure"
    label = f"Probabilities of genres over time, stacked; as a whole {row.label}, {row.confidence:.0%}, {state}"
    n_excerpts = len(prediction.excerpts)
    return (
        f"<p>{text(row.path)}: as a whole <strong>{text(row.label)}</strong>, {row.confidence:.0%}, {state}. Each of "
        f"{n_excerpts} excerpt{'s' if n_excerpts != 1 else ''} is divided by the probabilities of the genres, and what "
        f"was not listened to is blank.</p>{names}{timeline_picture(timeline, label)}"
        '<details><summary>In words</summary><div class="scroll" tabindex="0" role="region" aria-label="Best genre over'
        ' time"><table><thead><tr><th scope="col" class="number">Time</th><th scope="col">Best genre</th>'
        f'<th scope="col" class="number">Mean</th><td></td></tr></thead>\n<tbody>{lines}</tbody></table></div>{rest}'
        "</details>"
    )


def share(part: float, total: float) -> str:
    """Return a part of a total as percent."""
    return f"{part / total:.0%}" if total else "0%"
