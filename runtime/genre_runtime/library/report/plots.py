"""Computes the data of a report's charts, which `templates/charts.html` draws."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from genre_runtime.prediction import ExcerptPrediction, Prediction


@dataclass(frozen=True)
class Parts:
    """An amount, divided into confident and unsure answers.

    Parameters
    ----------
    confident, unsure : float
    """

    confident: float = 0
    unsure: float = 0

    @property
    def total(self) -> float:
        """Sum of both."""
        return self.confident + self.unsure


N_GENRES = 6
"""Genres with their own colour; more colours are hard to distinguish."""

MOST_BLOCKS = 400
"""Blocks side by side, about two pixels each. Excerpts of longer tracks are averaged."""

REST = "other genres"

NAMED_WIDTH, NAMED_HEIGHT = 0.09, 0.12
"""Smallest width and height of an area in which the name of its genre is drawn, as fractions of the chart."""

_STEPS = (5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400)
_MOST_TICKS = 6


@dataclass(frozen=True)
class Block:
    """A period of time with the same probabilities.

    Parameters
    ----------
    start, end : float
        In seconds.
    tops : tuple of float
        Borders of the stacked genres, from 0 (top) to 1.
    silent : bool
    """

    start: float
    end: float
    tops: tuple[float, ...]
    silent: bool


@dataclass(frozen=True)
class Stretch:
    """Adjacent excerpts with the same best genre.

    Parameters
    ----------
    start, end : float
        In seconds.
    genre : str
    probability : float
        Mean over the excerpts.
    """

    start: float
    end: float
    genre: str
    probability: float


@dataclass(frozen=True)
class Timeline:
    """The genres of a track over time.

    Attributes
    ----------
    duration_seconds : float
    genres : tuple of str
        Stacked from the top, the track's most probable genre first; the last is `REST`.
    blocks : list of Block
    stretches : list of Stretch
        In order of time, without silence.
    names : list of (str, float, float)
        Genre, and time in seconds and height (0 at the top) of its name.
    ticks : list of (float, str)
        Position on the axis in percent, and time.
    """

    duration_seconds: float
    genres: tuple[str, ...]
    blocks: list[Block]
    stretches: list[Stretch]
    names: list[tuple[str, float, float]]
    ticks: list[tuple[float, str]]

    @property
    def legend(self) -> list[tuple[str, str]]:
        """CSS class and text of each colour that is drawn."""
        return [(name, text) for name, text, path in self.layers if path]

    @property
    def layers(self) -> list[tuple[str, str, str]]:
        """CSS class, text and SVG path of each colour; x in seconds, y from 0 to 1."""
        loud = [block for block in self.blocks if not block.silent]
        paths = [
            "".join(_area(block, block.tops[number], block.tops[number + 1]) for block in loud)
            for number in range(len(self.genres))
        ]
        paths.append("".join(_area(block, 0, 1) for block in self.blocks if block.silent))
        named = [(f"genre{number}", genre) for number, genre in enumerate(self.genres[:-1])]
        colours = [*named, ("rest", self.genres[-1]), ("silent", "silent")]
        return [(name, text, path) for (name, text), path in zip(colours, paths, strict=True)]


def make_timeline(prediction: Prediction) -> Timeline | None:
    """Stack the probabilities of the excerpts of a track.

    Parameters
    ----------
    prediction : Prediction

    Returns
    -------
    Timeline or None
        None if no excerpt has a duration.
    """
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
    """Join adjacent excerpts that have the same best genre.

    Parameters
    ----------
    excerpts : sequence of ExcerptPrediction
        In order of time.
    """
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
        used = [e for e in group if not e.silent] or group
        after = excerpts[first + n_joined] if first + n_joined < len(excerpts) else None
        end = group[-1].end_seconds if after is None else min(group[-1].end_seconds, after.start_seconds)
        probabilities = np.array([[e.probabilities.get(genre, 0.0) for genre in named] for e in used])
        tops = _tops(probabilities.mean(axis=0))
        blocks.append(Block(group[0].start_seconds, end, tops, all(e.silent for e in group)))
    return blocks


def _tops(probabilities: NDArray[np.float64]) -> tuple[float, ...]:
    return (0.0, *np.minimum(np.cumsum(probabilities), 1.0).tolist(), 1.0)


def _names(blocks: Sequence[Block], genres: Sequence[str], duration: float) -> list[tuple[str, float, float]]:
    """Return the position of each genre's name: in its widest run of blocks that are high enough."""
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


def _ticks(duration: float) -> list[tuple[float, str]]:
    step = next((step for step in _STEPS if duration / step <= _MOST_TICKS), math.ceil(duration / _MOST_TICKS))
    return [(100 * second / duration, clock(second)) for second in range(0, int(duration) + 1, step)]


def _area(block: Block, top: float, bottom: float) -> str:
    if bottom - top < 0.0005:  # less than a pixel
        return ""
    return f"M{block.start:.6g} {top:.4f}H{block.end:.6g}V{bottom:.4f}H{block.start:.6g}Z"


def clock(seconds: float) -> str:
    """Return a duration as `m:ss` or `h:mm:ss`.

    Parameters
    ----------
    seconds : float
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
