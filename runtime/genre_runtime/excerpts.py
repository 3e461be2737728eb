"""Where in a track to listen."""

from __future__ import annotations

import math

from genre_runtime.errors import InvalidInputError

MAX_EXCERPTS = 100_000
"""More than eleven days of ten-second excerpts; a header that claims more is lying."""

PREROLL_SECONDS = 0.25
"""Decoded and dropped before an excerpt: after a seek, MP3 and AAC decoders lack what earlier packets held."""


def plan_excerpts(duration_seconds: float, excerpt_seconds: float, n_excerpts: int | None) -> list[tuple[float, float]]:
    """Return (start, end) in seconds of evenly spread excerpts.

    With a number, at most that many: the track is divided into equal parts and an excerpt is centred in
    each, so that intro and ending weigh no more than the rest. With None, the whole track, end to end.
    A track shorter than one excerpt gives one that covers it.

    Raises
    ------
    InvalidInputError
        `n_excerpts` is not a positive integer.
    """
    if n_excerpts is not None and (type(n_excerpts) is not int or n_excerpts < 1):
        raise InvalidInputError(f"excerpts is {n_excerpts!r}: expected a positive integer, or None for the whole track")
    if duration_seconds <= excerpt_seconds:
        return [(0.0, duration_seconds)]
    needed = min(math.ceil(duration_seconds / excerpt_seconds), MAX_EXCERPTS)
    if n_excerpts is None:
        starts = [i * excerpt_seconds for i in range(needed)]
        return [(start, min(start + excerpt_seconds, duration_seconds)) for start in starts]
    count = min(n_excerpts, needed)
    latest = duration_seconds - excerpt_seconds
    centred = [(i + 0.5) * duration_seconds / count - excerpt_seconds / 2 for i in range(count)]
    return [(start, start + excerpt_seconds) for start in (min(max(s, 0.0), latest) for s in centred)]
