"""Ogg: whether there is one stream of sound, or several behind or beside one another. Pages as in RFC 3533.

libsndfile takes the length of a chained file from the last page alone, and may seek in it for ever.
"""

from __future__ import annotations

import struct
from typing import BinaryIO

from genre_runtime.structure.finding import MEASURE, Structure, read_at

MAX_PAGES = 500_000
"""A day of Opus has 86,400; of more, or after damage, the file is measured by decoding it."""

FIRST, LAST = 2, 4
_HEAD = struct.Struct("<4sBBqIIIB")


def examine(file: BinaryIO, start: int, size: int) -> Structure:
    """Go from page to page; a single undamaged stream of Vorbis, Opus or FLAC can be believed."""
    offset, n_pages, granule, rate, skip = start, 0, 0, 0, 0
    while offset + _HEAD.size <= size:
        head = read_at(file, offset, _HEAD.size + 255)
        magic, _, flags, position, _, _, _, n_segments = _HEAD.unpack_from(head)
        if magic != b"OggS" or n_pages > MAX_PAGES:
            return MEASURE
        body = _HEAD.size + n_segments
        if flags & FIRST:
            if n_pages:  # a second stream, behind the first one or beside it
                return MEASURE
            rate, skip = _clock(read_at(file, offset + body, 64))
            if not rate:
                return MEASURE
        if position > 0:
            if position < granule:
                return MEASURE
            granule = position
        offset += body + sum(head[_HEAD.size : body])
        n_pages += 1
    if not rate or not granule:
        return MEASURE
    return Structure(seconds=max(0, granule - skip) / rate)


def _clock(packet: bytes) -> tuple[int, int]:
    """Return the rate of granule positions, Hz, and how many come before the sound; zeros for what is not known."""
    if packet.startswith(b"OpusHead") and len(packet) >= 19:
        return 48_000, int.from_bytes(packet[10:12], "little")
    if packet.startswith(b"\x01vorbis") and len(packet) >= 30:
        return int.from_bytes(packet[12:16], "little"), 0
    if packet.startswith(b"\x7fFLAC") and len(packet) >= 51:
        return int.from_bytes(packet[27:30]) >> 4, 0
    return 0, 0
