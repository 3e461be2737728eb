"""The figures of a report: genres, confidence, playing time and the timeline of a track, each with its numbers as text.

Every function returns HTML; every value from the results goes through `report_plots.text`, which escapes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from genre_runtime.library.report import Report, by_genre, confidence_bins
from genre_runtime.library.report_plots import bar, clock, colour, histogram, legend, text, timeline_picture
from genre_runtime.library.results import Row
from genre_runtime.library.timeline import make_timeline

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
