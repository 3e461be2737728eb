"""FLAC: whether the frames end at the length in STREAMINFO. Ogg: whether a file holds one stream or several.

FLAC frame headers as in RFC 9639, Ogg pages as in RFC 3533. libsndfile takes the length of a chained Ogg file from the
last page alone, and its seeks in such a file may never return.
"""

from __future__ import annotations

import struct
from functools import cache, reduce
from typing import BinaryIO

from genre_runtime.audio.structure import UNRELIABLE, Examiner, Structure, find_all, read_at

WINDOW_BYTES = 2**16
MAX_WINDOW_BYTES = 2**20
N_SPOTS = 6
MAX_BLOCKS = 1000

MAX_PAGES = 500_000
"""A day of Opus has 86,400. A file with more is decoded to measure it."""

MAX_LINKS = 1000
MAX_SECONDS = 10_000_000
SEARCH_BYTES = 2**16
FIRST, LAST = 2, 4
"""Flags of the first and last page of a stream."""
_PAGE_HEADER = struct.Struct("<4sBBqIIIB")

_BLOCK_SIZES = {1: 192, **{i: 576 << (i - 2) for i in range(2, 6)}, **{i: 256 << (i - 8) for i in range(8, 16)}}


def _examine_flac(file: BinaryIO, start: int, size: int) -> Structure:
    """Compare the number of samples in STREAMINFO with the sample numbers in frame headers along the file."""
    info = read_at(file, start, 42)
    if len(info) < 42 or info[4] & 0x7F:
        return UNRELIABLE
    sizes = info[8:26]
    longest_block, longest_frame = int.from_bytes(sizes[2:4]), int.from_bytes(sizes[7:10])
    packed = int.from_bytes(sizes[10:18])
    sample_rate, n_samples = packed >> 44, packed & (2**36 - 1)
    if not sample_rate or not n_samples:
        return UNRELIABLE
    announced = n_samples / sample_rate
    window = min(max(WINDOW_BYTES, 2 * longest_frame), MAX_WINDOW_BYTES)
    begin = _first_frame(file, start)
    ends: list[int] = []
    for i in range(1, N_SPOTS + 1):
        offset = max(begin, begin + (size - begin) * i // N_SPOTS - window)
        found = _frame_ends(read_at(file, offset, window), longest_block)
        if found:
            ends.append(found[-1])
        elif i == N_SPOTS:  # the file does not end with a frame
            return Structure(is_reliable=False, announced_seconds=announced)
    is_reliable = ends == sorted(ends) and abs(ends[-1] - n_samples) <= longest_block
    return Structure(is_reliable=is_reliable, announced_seconds=announced)


def _first_frame(file: BinaryIO, start: int) -> int:
    """Return the offset at which the metadata blocks end."""
    offset = start + 4
    for _ in range(MAX_BLOCKS):
        header = read_at(file, offset, 4)
        offset += 4 + int.from_bytes(header[1:4])
        if len(header) < 4 or header[0] & 0x80:
            break
    return offset


def _frame_ends(content: bytes, longest_block: int) -> list[int]:
    """Return, for each frame header in `content`, the number of the first sample after the frame."""
    last = len(content) - 16
    found = (at for at in find_all(content, b"\xff") if at < last and content[at + 1] in (0xF8, 0xF9))
    ends = (_frame_end(content[at : at + 16], longest_block) for at in found)
    return [end for end in ends if end is not None]


def _frame_end(header: bytes, longest_block: int) -> int | None:
    """Return the number of the first sample after a frame, or None if the header is invalid."""
    block_code, rate_code = header[2] >> 4, header[2] & 15
    if not block_code or rate_code == 15 or header[3] >> 4 > 10 or header[3] & 1:
        return None
    number, at = _coded_number(header)
    if number is None:
        return None
    n_block = _BLOCK_SIZES.get(block_code, 0)
    if block_code in (6, 7):
        n_bytes = block_code - 5
        n_block = int.from_bytes(header[at : at + n_bytes]) + 1
        at += n_bytes
    at += {12: 1, 13: 2, 14: 2}.get(rate_code, 0)
    if reduce(lambda crc, byte: _crc8(crc ^ byte), header[:at], 0) != header[at]:
        return None
    return (number if header[1] & 1 else number * longest_block) + n_block


def _coded_number(header: bytes) -> tuple[int | None, int]:
    """Decode the frame or sample number, which is coded like UTF-8; also return where it ends."""
    first = header[4]
    if first < 0x80:
        return first, 5
    n_more = 8 - (first ^ 0xFF).bit_length() - 1
    more = header[5 : 5 + n_more]
    if not 1 <= n_more <= 6 or any(byte >> 6 != 2 for byte in more):
        return None, 0
    number = first & (0x3F >> n_more)
    for byte in more:
        number = number << 6 | byte & 0x3F
    return number, 5 + n_more


@cache
def _crc8(value: int) -> int:
    for _ in range(8):
        value = (value << 1 ^ (7 if value & 0x80 else 0)) & 0xFF
    return value


def _examine_ogg(file: BinaryIO, start: int, size: int) -> Structure:
    """Read all page headers; the length of a single undamaged stream of Vorbis, Opus or FLAC is exact."""
    begins: list[int] = []
    n_streams, granule, rate, skip = 0, 0, 0, 0
    is_whole, is_beginning = True, False
    offset = start
    for _ in range(MAX_PAGES):
        head = read_at(file, offset, _PAGE_HEADER.size + 255)
        if len(head) < _PAGE_HEADER.size:
            break
        magic, _, flags, position, _, _, _, n_segments = _PAGE_HEADER.unpack_from(head)
        if magic != b"OggS":
            is_whole, found = False, _next_page(file, offset, size)
            if found is None:
                break
            offset = found
            continue
        body = _PAGE_HEADER.size + n_segments
        if flags & FIRST:
            if not is_beginning:
                begins.append(offset)
            n_streams += 1
            rate, skip = _granule_rate(read_at(file, offset + body, 64))
        is_beginning = bool(flags & FIRST)
        is_whole &= position == -1 or granule <= position < MAX_SECONDS * max(1, rate)
        if flags & LAST and position == -1:
            is_whole = False
        granule = max(granule, position)
        offset += body + sum(head[_PAGE_HEADER.size : body])
    else:
        is_whole = False
    if is_whole and n_streams == 1 and rate and granule:
        return Structure(seconds=max(0, granule - skip) / rate)
    links = tuple(zip(begins, (*begins[1:], size), strict=True)) if 1 < len(begins) <= MAX_LINKS else ()
    return Structure(is_reliable=False, links=links)


def _next_page(file: BinaryIO, offset: int, size: int) -> int | None:
    """Return the offset of the next page after `offset`, or None."""
    for at in range(offset + 1, size, SEARCH_BYTES):
        found = read_at(file, at, SEARCH_BYTES + 3).find(b"OggS")
        if found >= 0:
            return at + found
    return None


def _granule_rate(packet: bytes) -> tuple[int, int]:
    """Return the rate of granule positions, Hz, and how many precede the audio; zeros if unknown."""
    if packet.startswith(b"OpusHead") and len(packet) >= 19:
        return 48_000, int.from_bytes(packet[10:12], "little")
    if packet.startswith(b"\x01vorbis") and len(packet) >= 30:
        return int.from_bytes(packet[12:16], "little"), 0
    if packet.startswith(b"\x7fFLAC") and len(packet) >= 51:
        return int.from_bytes(packet[27:30]) >> 4, 0
    return 0, 0


EXAMINERS: dict[str, Examiner] = {"flac": _examine_flac, "ogg": _examine_ogg}
