"""What an examination finds, and how files are read for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import BinaryIO


@dataclass(frozen=True)
class Structure:
    """What is known of a file's length before anything is decoded.

    Attributes
    ----------
    believable : bool
        Whether the length that libsndfile reports can be believed. Otherwise the file is measured by decoding it.
    announced_seconds : float or None
        Length that the header claims, where it claims one; used to tell how much of a damaged file was readable.
    seconds : float or None
        Length by the file's structure, where that is exact.
    corrections : tuple of (int, bytes)
        Offsets in the file, and what should stand there, such as the true size of a chunk.
    links : tuple of (int, int)
        Where in the file the streams begin and end that follow one another; empty where there is but one.
    """

    believable: bool = True
    announced_seconds: float | None = None
    seconds: float | None = None
    corrections: tuple[tuple[int, bytes], ...] = ()
    links: tuple[tuple[int, int], ...] = ()


MEASURE = Structure(believable=False)


def read_at(file: BinaryIO, offset: int, n_bytes: int) -> bytes:
    """Return up to `n_bytes` from an offset on; fewer at the end of the file."""
    file.seek(max(0, offset))
    return file.read(n_bytes)
