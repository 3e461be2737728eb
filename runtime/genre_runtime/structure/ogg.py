"""Ogg: whether there is one stream of sound, or several behind or beside one another. Pages as in RFC 3533.

libsndfile takes the length of a chained file from the last page alone, and may seek in it for ever.
"""

from __future__ import annotations

import struct
from typing import BinaryIO

from genre_runtime.structure.finding import Structure, read_at

MAX_PAGES = 500_000
"""A day of Opus has 86,400; of more, or after damage, the file is measured by decoding it."""

MAX_LINKS = 1000
MAX_SECONDS = 10_000_000
SEARCH_BYTES = 2**16
FIRST, LAST = 2, 4
"""Flags of a stream's first and last page."""
_HEAD = struct.Struct("<4sBBqIIIB")


def examine(file: BinaryIO, start: int, size: int) -> Structure:
    """Go from page to page; a single undamaged stream of Vorbis, Opus or FLAC can be believed."""
    begins: list[int] = []
    n_streams, granule, rate, skip = 0, 0, 0, 0
    is_whole, is_beginning = True, False
    offset = start
    for _ in range(MAX_PAGES):
        head = read_at(file, offset, _HEAD.size + 255)
        if len(head) < _HEAD.size:
            break
        magic, _, flags, position, _, _, _, n_segments = _HEAD.unpack_from(head)
        if magic != b"OggS":
            is_whole, found = False, _next_page(file, offset, size)
            if found is None:
                break
            offset = found
            continue
        body = _HEAD.size + n_segments
        if flags & FIRST:
            if not is_beginning:
                begins.append(offset)
            n_streams += 1
            rate, skip = _clock(read_at(file, offset + body, 64))
        is_beginning = bool(flags & FIRST)
        is_whole &= position == -1 or granule <= position < MAX_SECONDS * max(1, rate)
        if flags & LAST and position == -1:
            is_whole = False
        granule = max(granule, position)
        offset += body + sum(head[_HEAD.size : body])
    else:
        is_whole = False
    if is_whole and n_streams == 1 and rate and granule:
        return Structure(seconds=max(0, granule - skip) / rate)
    links = tuple(zip(begins, (*begins[1:], size), strict=True)) if 1 < len(begins) <= MAX_LINKS else ()
    return Structure(believable=False, links=links)


def _next_page(file: BinaryIO, offset: int, size: int) -> int | None:
    """Return where the next page begins behind an offset at which none does."""
    for at in range(offset + 1, size, SEARCH_BYTES):
        found = read_at(file, at, SEARCH_BYTES + 3).find(b"OggS")
        if found >= 0:
            return at + found
    return None


def _clock(packet: bytes) -> tuple[int, int]:
    """Return the rate of granule positions, Hz, and how many come before the sound; zeros for what is not known."""
    if packet.startswith(b"OpusHead") and len(packet) >= 19:
        return 48_000, int.from_bytes(packet[10:12], "little")
    if packet.startswith(b"\x01vorbis") and len(packet) >= 30:
        return int.from_bytes(packet[12:16], "little"), 0
    if packet.startswith(b"\x7fFLAC") and len(packet) >= 51:
        return int.from_bytes(packet[27:30]) >> 4, 0
    return 0, 0
