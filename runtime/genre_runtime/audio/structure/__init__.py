"""What the frames, pages and chunks of a file say about its length, compared with what its header claims.

Decoders trust headers: libsndfile never reads past the length that a header names, and FFmpeg allocates whatever an
index announces. Each module here reads a small part of a file of one family of formats and decides whether its header
is reliable. Nothing is decoded. `genre_runtime.audio.containers.examine` chooses the examiner. Imports `errors` only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO


@dataclass(frozen=True)
class Structure:
    """What is known about a file's length before anything is decoded.

    Attributes
    ----------
    is_reliable : bool
        Whether the length that libsndfile reports is correct. Otherwise the file is decoded to measure it.
    announced_seconds : float or None
        Length that the header claims, if any; shows how much of a damaged file could be read.
    seconds : float or None
        Length computed from the file's structure, if that is exact.
    corrections : tuple of (int, bytes)
        Offsets in the file and the bytes that belong there, such as the true size of a chunk.
    links : tuple of (int, int)
        First byte and end of each stream of a chained file; empty if there is only one stream.
    """

    is_reliable: bool = True
    announced_seconds: float | None = None
    seconds: float | None = None
    corrections: tuple[tuple[int, bytes], ...] = ()
    links: tuple[tuple[int, int], ...] = ()


UNRELIABLE = Structure(is_reliable=False)

Examiner = Callable[[BinaryIO, int, int], Structure]
"""Takes a seekable file, the byte at which its container begins, and its size in bytes."""


def read_at(file: BinaryIO, offset: int, n_bytes: int) -> bytes:
    """Read bytes at an offset.

    Parameters
    ----------
    file : seekable binary file
    offset : int
        First byte; a negative one counts as 0.
    n_bytes : int
        Most bytes to read; fewer are returned at the end of the file.
    """
    file.seek(max(0, offset))
    return file.read(n_bytes)


def find_all(content: bytes, pattern: bytes) -> Iterator[int]:
    """Yield each offset at which a pattern occurs.

    Parameters
    ----------
    content, pattern : bytes
    """
    at = content.find(pattern)
    while at >= 0:
        yield at
        at = content.find(pattern, at + 1)
