"""Excerpts: which parts of a track are analysed, and how a waveform is cut into them."""

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
"""More than eleven days of ten-second excerpts; a header that claims more is wrong."""

MIN_EXCERPT_SECONDS = 0.5
"""A shorter remainder at the end of a track is left out, unless it is the whole track."""

PREROLL_SECONDS = 0.25
"""Decoded and dropped before an excerpt, because MP3 and AAC decoders need earlier packets after a seek."""


@dataclass(frozen=True)
class Excerpt:
    """Part of a track.

    Attributes
    ----------
    start_seconds : float
    waveform : ndarray of shape (n_samples,)
        Mono, float32.
    track_seconds : float or None
        Length that the file claims; only of excerpts of a whole track.
    """

    start_seconds: float
    waveform: FloatArray
    track_seconds: float | None = None


@dataclass(frozen=True)
class TrackLength:
    """The length of a track.

    Attributes
    ----------
    duration_seconds : float
        Seconds of audio that can be decoded.
    announced_seconds : float or None
        Length that the file claims, if noticeably less can be decoded; None if the file is complete.
    is_silent : bool
        Whether silent excerpts mean that the whole track is silent, because all of it was searched for audible parts.
    """

    duration_seconds: float
    announced_seconds: float | None = None
    is_silent: bool = False


class ExcerptStream:
    """An iterator over the excerpts of a track.

    Parameters
    ----------
    excerpts : generator of Excerpt
        Returns the length of the track.

    Attributes
    ----------
    length : TrackLength
        Of the track; valid after the last excerpt.
    """

    def __init__(self, excerpts: Generator[Excerpt, None, TrackLength]) -> None:
        self._excerpts = excerpts
        self.length = TrackLength(0.0)

    def __iter__(self) -> Iterator[Excerpt]:
        """Yield each excerpt."""
        self.length = yield from self._excerpts

    def close(self) -> None:
        """Stop decoding and close the file."""
        self._excerpts.close()


def plan_excerpts(duration_seconds: float, excerpt_seconds: float, n_excerpts: int) -> list[tuple[float, float]]:
    """Plan evenly spread excerpts.

    The track is divided into equal parts with an excerpt centred in each. A track shorter than one excerpt gets one
    excerpt that covers it.

    Parameters
    ----------
    duration_seconds : float
        Of the track.
    excerpt_seconds : float
    n_excerpts : int
        Most excerpts; fewer are returned if they would overlap by more than half.

    Returns
    -------
    list of (float, float)
        Start and end of each excerpt in seconds.

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
    """Check a number of excerpts.

    Parameters
    ----------
    n_excerpts : int or None

    Raises
    ------
    InvalidInputError
        It is neither None nor a positive integer.
    """
    if n_excerpts is not None and (type(n_excerpts) is not int or n_excerpts < 1):
        raise InvalidInputError(f"excerpts is {n_excerpts!r}: expected a positive integer, or None for the whole track")


def consecutive_excerpts(chunks: Iterable[FloatArray], sample_rate: int, excerpt_seconds: float) -> Iterator[Excerpt]:
    """Cut a waveform that arrives in chunks into consecutive excerpts, with about one of them in memory.

    The last one may be shorter. It is left out below `MIN_EXCERPT_SECONDS` unless it is the only one.

    Parameters
    ----------
    chunks : iterable of ndarray of shape (n_chunk,)
        Mono, float32, of any size.
    sample_rate : int
        Of the chunks, Hz.
    excerpt_seconds : float
    """
    n_excerpt, n_cut = max(1, round(excerpt_seconds * sample_rate)), 0
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
    rest = np.concatenate([*waiting, np.zeros(0, np.float32)])
    if rest.size >= MIN_EXCERPT_SECONDS * sample_rate or (rest.size and not n_cut):
        yield Excerpt(n_cut * n_excerpt / sample_rate, rest)
