"""How the genres of one track change over time: excerpts as stacked blocks.

Pictures of a report as SVG: bars, a histogram and a timeline.

Lengths are percentages, so that pictures stretch with the page while their text keeps its size; colours are classes of
the page's style sheet, so that they follow light and dark. All text is escaped by `text`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from numpy.typing import NDArray

from genre_runtime.library.results.write import printable
from genre_runtime.prediction import ExcerptPrediction, Prediction


@dataclass(frozen=True)
class Parts:
    """An amount, divided by whether the answers are confident."""

    confident: float = 0
    unsure: float = 0

    @property
    def total(self) -> float:
        """Both together."""
        return self.confident + self.unsure


N_GENRES = 6
"""Drawn by name; more colours could not be told apart."""

MOST_BLOCKS = 400
"""Drawn side by side, some two pixels each; of longer tracks, neighbours are averaged."""

REST = "other genres"

NAMED_WIDTH, NAMED_HEIGHT = 0.09, 0.12
"""Least shares of width and height of a stretch that has room for its genre's name."""

_STEPS = (5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400)
_MOST_TICKS = 6


@dataclass(frozen=True)
class Block:
    """A stretch of time, seconds; `tops` are the borders of the stacked genres, from 0 to 1, upside down as SVG's y."""

    start: float
    end: float
    tops: tuple[float, ...]
    silent: bool


@dataclass(frozen=True)
class Stretch:
    """Neighbouring excerpts with the same best genre; `probability` is the mean over them."""

    start: float
    end: float
    genre: str
    probability: float


@dataclass(frozen=True)
class Timeline:
    """What is drawn of a track.

    Attributes
    ----------
    duration_seconds : float
    genres : tuple of str
        Stacked from the top, the most probable of the track first; the last is `REST`.
    blocks : list of Block
    stretches : list of Stretch
        In the order of time; silence is left out.
    names : list of (str, float, float)
        Genre, time in seconds and height (0 at the top) where its name has most room.
    ticks : list of float
        Seconds to mark on the axis.
    """

    duration_seconds: float
    genres: tuple[str, ...]
    blocks: list[Block]
    stretches: list[Stretch]
    names: list[tuple[str, float, float]]
    ticks: list[float]


def make_timeline(prediction: Prediction) -> Timeline | None:
    """Stack the probabilities of a prediction's excerpts; None if it has none that last."""
    excerpts = sorted(
        (e for e in prediction.excerpts if e.end_seconds > e.start_seconds), key=lambda e: e.start_seconds
    )
    if not excerpts:
        return None
    named = tuple(list(prediction.probabilities)[:N_GENRES])
    duration = max(prediction.duration_seconds, *(e.end_seconds for e in excerpts))
    blocks = _blocks(excerpts, named)
    genres = (*named, REST)
    return Timeline(duration, genres, blocks, stretches(excerpts), _names(blocks, genres, duration), _ticks(duration))


def stretches(excerpts: Sequence[ExcerptPrediction]) -> list[Stretch]:
    """Join neighbouring excerpts that have the same best genre."""
    groups: list[list[ExcerptPrediction]] = []
    last = None
    for excerpt in excerpts:
        best = None if excerpt.silent else _best(excerpt)
        if best is not None:
            if best == last:
                groups[-1].append(excerpt)
            else:
                groups.append([excerpt])
        last = best
    return [
        Stretch(
            group[0].start_seconds,
            group[-1].end_seconds,
            _best(group[0]),
            sum(e.probabilities[_best(group[0])] for e in group) / len(group),
        )
        for group in groups
    ]


def _best(excerpt: ExcerptPrediction) -> str:
    return max(excerpt.probabilities, key=lambda label: excerpt.probabilities[label])


def _blocks(excerpts: Sequence[ExcerptPrediction], named: Sequence[str]) -> list[Block]:
    n_joined = -(-len(excerpts) // MOST_BLOCKS)
    blocks: list[Block] = []
    for first in range(0, len(excerpts), n_joined):
        group = excerpts[first : first + n_joined]
        heard = [e for e in group if not e.silent] or group
        after = excerpts[first + n_joined] if first + n_joined < len(excerpts) else None
        end = group[-1].end_seconds if after is None else min(group[-1].end_seconds, after.start_seconds)
        probabilities = np.array([[e.probabilities.get(genre, 0.0) for genre in named] for e in heard])
        tops = _tops(probabilities.mean(axis=0))
        blocks.append(Block(group[0].start_seconds, end, tops, all(e.silent for e in group)))
    return blocks


def _tops(probabilities: NDArray[np.float64]) -> tuple[float, ...]:
    return (0.0, *np.minimum(np.cumsum(probabilities), 1.0).tolist(), 1.0)


def _names(blocks: Sequence[Block], genres: Sequence[str], duration: float) -> list[tuple[str, float, float]]:
    """Return where each genre has its widest run of blocks high enough for its name."""
    names = []
    for number, genre in enumerate(genres[:-1]):
        best: list[Block] = []
        run: list[Block] = []
        for block in blocks:
            high = not block.silent and block.tops[number + 1] - block.tops[number] >= NAMED_HEIGHT
            joined = bool(run) and high and block.start <= run[-1].end
            run = [*run, block] if joined else [block] if high else []
            best = max(best, run, key=_width)
        if best and _width(best) >= NAMED_WIDTH * duration:
            middle = (best[0].start + best[-1].end) / 2
            block = next(b for b in best if b.end >= middle)
            names.append((genre, middle, (block.tops[number] + block.tops[number + 1]) / 2))
    return names


def _width(run: Sequence[Block]) -> float:
    return run[-1].end - run[0].start if run else 0.0


def _ticks(duration: float) -> list[float]:
    step = next((step for step in _STEPS if duration / step <= _MOST_TICKS), math.ceil(duration / _MOST_TICKS))
    return [float(second) for second in range(0, int(duration) + 1, step)]


HISTOGRAM_HEIGHT = 170
TIMELINE_HEIGHT = 240
AXIS_HEIGHT = 24
"""Pixels."""


def text(value: str) -> str:
    """Return text for HTML on one line: markup, control, direction and undecodable characters are harmless."""
    return escape(printable(value))


def clock(seconds: float) -> str:
    """Return a duration as `m:ss` or `h:mm:ss`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def bar(parts: Parts, most: float) -> str:
    """Return a bar of a confident and an unsure part; `most` is full length. Its row has the numbers as text."""
    scale = 100 / most if most else 0.0
    return (
        '<svg class="bar" aria-hidden="true" focusable="false">'
        + _rect("sure", 0, 0, parts.confident * scale, 100)
        + _rect("unsure", parts.confident * scale, 0, parts.unsure * scale, 100)
        + "</svg>"
    )


def histogram(bins: Sequence[Parts], label: str) -> str:
    """Return columns over 0 to 100 %, confident parts below.

    Parameters
    ----------
    bins : sequence of Parts
        Numbers of files, at equal steps.
    label : str
        What a screen reader says instead.
    """
    most = max((parts.total for parts in bins), default=0) or 1
    width = 100 / len(bins)
    columns = []
    for number, parts in enumerate(bins):
        x, sure, unsure = number * width, 100 * parts.confident / most, 100 * parts.unsure / most
        words = f"{x:.0f} to {x + width:.0f}%: {parts.confident:.0f} confident, {parts.unsure:.0f} unsure"
        columns.append(
            f"<g><title>{words}</title>"
            + _rect("sure", x + width * 0.06, 100 - sure, width * 0.88, sure)
            + _rect("unsure", x + width * 0.06, 100 - sure - unsure, width * 0.88, unsure)
            + "</g>"
        )
    scale = [(value, f"{value}%") for value in (0, 20, 40, 60, 80, 100)]
    return _picture(HISTOGRAM_HEIGHT, "".join(columns), scale, label)


def timeline_picture(timeline: Timeline, label: str) -> str:
    """Return genres stacked over time; the best of a stretch is named in it."""
    total = timeline.duration_seconds
    blocks = []
    heard = [block for block in timeline.blocks if not block.silent]
    for number, genre in enumerate(timeline.genres):
        path = "".join(_area(block, block.tops[number], block.tops[number + 1]) for block in heard)
        blocks.append(f'<path class="{colour(number, timeline.genres)}" d="{path}"><title>{text(genre)}</title></path>')
    silent = "".join(_area(block, 0, 1) for block in timeline.blocks if block.silent)
    blocks.append(f'<path class="silent" d="{silent}"><title>silent</title></path>')
    stretched = f'<svg viewBox="0 0 {total:.6g} 1" preserveAspectRatio="none">{"".join(blocks)}</svg>'
    names = "".join(
        f'<text class="name" x="{100 * x / total:.2f}%" y="{100 * y:.2f}%">{text(genre)}</text>'
        for genre, x, y in timeline.names
    )
    scale = [(100 * second / total, clock(second)) for second in timeline.ticks]
    return _picture(TIMELINE_HEIGHT, stretched + names, scale, label)


def legend(entries: Mapping[str, str]) -> str:
    """Return a list of (class, words)."""
    items = (
        f'<li><svg class="swatch" aria-hidden="true" focusable="false">{_rect(name, 0, 0, 100, 100)}</svg>'
        f"{text(words)}</li>"
        for name, words in entries.items()
    )
    return f'<ul class="legend">{"".join(items)}</ul>'


def colour(number: int, genres: Sequence[str]) -> str:
    """Return the class of a stacked genre; the last is what is left."""
    return "rest" if number == len(genres) - 1 else f"genre{number}"


def _picture(height: int, content: str, scale: Sequence[tuple[float, str]], label: str) -> str:
    marks = "".join(
        f'<line class="grid" x1="{x:.2f}%" x2="{x:.2f}%" y1="0" y2="100%"/>' for x, _ in scale if 0 < x < 100
    )
    words = "".join(
        f'<text class="tick{" first" if x < 3 else " last" if x > 97 else ""}" x="{x:.2f}%" y="16">{text(word)}</text>'
        for x, word in scale
    )
    return (
        f'<svg class="picture" height="{height + AXIS_HEIGHT}" role="img" aria-label="{text(label)}">'
        f'<svg height="{height}">{marks}{content}<line class="axis" x1="0" x2="100%" y1="100%" y2="100%"/></svg>'
        f'<svg y="{height}" height="{AXIS_HEIGHT}">{words}</svg></svg>'
    )


def _area(block: Block, top: float, bottom: float) -> str:
    if bottom - top < 0.0005:  # thinner than a pixel
        return ""
    return f"M{block.start:.6g} {top:.4f}H{block.end:.6g}V{bottom:.4f}H{block.start:.6g}Z"


def _rect(name: str, x: float, y: float, width: float, height: float) -> str:
    if width <= 0 or height <= 0:
        return ""
    return f'<rect class="{name}" x="{x:.3f}%" y="{y:.3f}%" width="{width:.3f}%" height="{height:.3f}%"/>'
