"""FLAC: whether the frames end where STREAMINFO says. Frame headers as in RFC 9639.

Ogg: whether there is one stream of sound, or several behind or beside one another. Pages as in RFC 3533.

libsndfile takes the length of a chained file from the last page alone, and may seek in it for ever.
"""

from __future__ import annotations

import struct
from typing import BinaryIO

from genre_runtime.audio.structure.finding import MEASURE, Structure, read_at

WINDOW_BYTES = 2**16
MAX_WINDOW_BYTES = 2**20
N_SPOTS = 6
MAX_BLOCKS = 1000

_BLOCK_SIZES = {1: 192, **{i: 576 << (i - 2) for i in range(2, 6)}, **{i: 256 << (i - 8) for i in range(8, 16)}}


def examine_flac(file: BinaryIO, start: int, size: int) -> Structure:
    """Compare the number of samples in STREAMINFO with the places that frames along the file name for themselves."""
    info = read_at(file, start, 42)
    if len(info) < 42 or info[4] & 0x7F:
        return MEASURE
    sizes = info[8:26]
    longest_block, longest_frame = int.from_bytes(sizes[2:4]), int.from_bytes(sizes[7:10])
    packed = int.from_bytes(sizes[10:18])
    sample_rate, n_samples = packed >> 44, packed & (2**36 - 1)
    if not sample_rate or not n_samples:
        return MEASURE
    announced = n_samples / sample_rate
    window = min(max(WINDOW_BYTES, 2 * longest_frame), MAX_WINDOW_BYTES)
    begin = _first_frame(file, start)
    places = []
    for i in range(1, N_SPOTS + 1):
        offset = max(begin, begin + (size - begin) * i // N_SPOTS - window)
        found = _frames(read_at(file, offset, window), longest_block)
        if found:
            places.append(found[-1])
        elif i == N_SPOTS:  # no frame at the end of the file
            return Structure(believable=False, announced_seconds=announced)
    end = places[-1]
    believable = places == sorted(places) and abs(end - n_samples) <= longest_block
    return Structure(believable=believable, announced_seconds=announced)


def _first_frame(file: BinaryIO, start: int) -> int:
    """Return the offset behind the metadata blocks."""
    offset = start + 4
    for _ in range(MAX_BLOCKS):
        header = read_at(file, offset, 4)
        offset += 4 + int.from_bytes(header[1:4])
        if len(header) < 4 or header[0] & 0x80:
            break
    return offset


def _frames(content: bytes, longest_block: int) -> list[int]:
    """Return, of each frame header in `content`, the number of the sample behind the frame."""
    ends = []
    at = content.find(b"\xff")
    while 0 <= at < len(content) - 16:
        if content[at + 1] in (0xF8, 0xF9):
            end = _sample_behind(content[at : at + 16], longest_block)
            if end is not None:
                ends.append(end)
        at = content.find(b"\xff", at + 1)
    return ends


def _sample_behind(header: bytes, longest_block: int) -> int | None:
    """Return the number of the sample behind a frame, or None if this is no frame header."""
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
    if _crc8(header[:at]) != header[at]:
        return None
    return (number if header[1] & 1 else number * longest_block) + n_block


def _coded_number(header: bytes) -> tuple[int | None, int]:
    """Decode the frame or sample number, in UTF-8's manner; also where it ends."""
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


def _table() -> bytes:
    rows = []
    for value in range(256):
        for _ in range(8):
            value = (value << 1 ^ (7 if value & 0x80 else 0)) & 0xFF
        rows.append(value)
    return bytes(rows)


_CRC8 = _table()


def _crc8(content: bytes) -> int:
    value = 0
    for byte in content:
        value = _CRC8[value ^ byte]
    return value


MAX_PAGES = 500_000
"""A day of Opus has 86,400; of more, or after damage, the file is measured by decoding it."""

MAX_LINKS = 1000
MAX_SECONDS = 10_000_000
SEARCH_BYTES = 2**16
FIRST, LAST = 2, 4
"""Flags of a stream's first and last page."""
_HEAD = struct.Struct("<4sBBqIIIB")


def examine_ogg(file: BinaryIO, start: int, size: int) -> Structure:
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
