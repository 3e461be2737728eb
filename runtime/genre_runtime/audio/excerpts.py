"""Where in a track to listen, and how samples are cut into what is listened to."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from genre_runtime.errors import InvalidInputError

FloatArray = NDArray[np.float32]
"""Samples, spectrograms and probabilities."""

MAX_EXCERPTS = 100_000
"""More than eleven days of ten-second excerpts; a header that claims more is lying."""

MIN_EXCERPT_SECONDS = 0.5
"""A shorter rest at the end of a track is left out, unless it is all there is."""

PREROLL_SECONDS = 0.25
"""Decoded and dropped before an excerpt: after a seek, MP3 and AAC decoders lack what earlier packets held."""


@dataclass(frozen=True)
class Excerpt:
    """A stretch of a track: `waveform` is mono float32 at the rate asked for, shape (n_samples,)."""

    start_seconds: float
    waveform: FloatArray


@dataclass(frozen=True)
class TrackLength:
    """How long a track is, as far as its samples show.

    Attributes
    ----------
    duration_seconds : float
        Seconds of sound that can be read.
    announced_seconds : float or None
        Length that the file claims, where noticeably less than that can be read; None where the file is whole.
    is_silent : bool
        Whether the track is silent throughout if its excerpts are: all of it was searched for sound.
    """

    duration_seconds: float
    announced_seconds: float | None = None
    is_silent: bool = False


class ExcerptStream:
    """Excerpts, one at a time.

    Attributes
    ----------
    length : TrackLength
        Of the track; known when the excerpts are at an end.
    """

    def __init__(self, excerpts: Generator[Excerpt, None, TrackLength]) -> None:
        self._excerpts = excerpts
        self.length = TrackLength(0.0)

    def __iter__(self) -> Iterator[Excerpt]:
        """Yield each excerpt."""
        self.length = yield from self._excerpts

    def close(self) -> None:
        """End the work early, and let go of the file and of what decodes it."""
        self._excerpts.close()


def plan_excerpts(duration_seconds: float, excerpt_seconds: float, n_excerpts: int) -> list[tuple[float, float]]:
    """Return (start, end) in seconds of evenly spread excerpts.

    The track is divided into equal parts and an excerpt is centred in each, so that intro and ending weigh no
    more than the rest. There are at most `n_excerpts` of them, and fewer where they would overlap by more than half.
    A track shorter than one excerpt gives one that covers it.

    Raises
    ------
    InvalidInputError
        `n_excerpts` is not a positive integer.
    """
    check_count(n_excerpts)
    if duration_seconds <= excerpt_seconds:
        return [(0.0, duration_seconds)]
    count = min(n_excerpts, math.floor(duration_seconds / excerpt_seconds + 0.5), MAX_EXCERPTS)
    latest = duration_seconds - excerpt_seconds
    centred = [(i + 0.5) * duration_seconds / count - excerpt_seconds / 2 for i in range(count)]
    return [(start, start + excerpt_seconds) for start in (min(max(s, 0.0), latest) for s in centred)]


def check_count(n_excerpts: int | None) -> None:
    """Refuse a number of excerpts that is neither None nor a positive integer.

    Raises
    ------
    InvalidInputError
    """
    if n_excerpts is not None and (type(n_excerpts) is not int or n_excerpts < 1):
        raise InvalidInputError(f"excerpts is {n_excerpts!r}: expected a positive integer, or None for the whole track")


def consecutive_excerpts(chunks: Iterable[FloatArray], sample_rate: int, excerpt_seconds: float) -> Iterator[Excerpt]:
    """Cut a waveform that comes in chunks of any size into excerpts end to end, holding little more than one of them.

    The last one is shorter, and left out below `MIN_EXCERPT_SECONDS` unless it is the only one.
    """
    n_excerpt, n_cut = max(1, round(excerpt_seconds * sample_rate)), 0
    rest = np.zeros(0, np.float32)
    waiting: list[FloatArray] = []
    n_waiting = 0
    for chunk in chunks:
        waiting.append(chunk)
        n_waiting += chunk.size
        if n_waiting < n_excerpt:
            continue
        rest = np.concatenate(waiting)
        while rest.size >= n_excerpt:
            yield Excerpt(n_cut * n_excerpt / sample_rate, rest[:n_excerpt])
            rest, n_cut = rest[n_excerpt:], n_cut + 1
        waiting, n_waiting = [rest], rest.size
    rest = np.concatenate(waiting) if waiting else rest
    if rest.size >= MIN_EXCERPT_SECONDS * sample_rate or (rest.size and not n_cut):
        yield Excerpt(n_cut * n_excerpt / sample_rate, rest)
