"""Pages of Ogg with a right checksum, so that a decoder looks at what is in them."""

from __future__ import annotations

import struct


def _table() -> tuple[int, ...]:
    entries = []
    for i in range(256):
        value = i << 24
        for _ in range(8):
            value = (value << 1) ^ (0x04C11DB7 if value & 0x80000000 else 0)
        entries.append(value & 0xFFFFFFFF)
    return tuple(entries)


_TABLE = _table()
_HEADER = struct.Struct("<4sBBqIIIB")
_CHECKSUM = slice(22, 26)


def ogg_checksum(page: bytes | bytearray) -> int:
    """CRC-32 of a page whose checksum field is zero (RFC 3533): polynomial 0x04C11DB7, not reflected."""
    value = 0
    for byte in page:
        value = ((value << 8) & 0xFFFFFFFF) ^ _TABLE[(value >> 24) ^ byte]
    return value


def ogg_page(content: bytes, *, number: int, n_packets: int = 1, granule: int = 0, flags: int = 0) -> bytes:
    """Return a page of `n_packets` whole packets of equal size, each below 255 bytes."""
    segments = bytes([len(content) // n_packets] * n_packets)
    page = bytearray(_HEADER.pack(b"OggS", 0, flags, granule, 1, number, 0, n_packets) + segments + content)
    page[_CHECKSUM] = struct.pack("<I", ogg_checksum(page))
    return bytes(page)


def with_right_checksums(content: bytes) -> bytes:
    """Return an Ogg file, however damaged, with the checksum of each page that can be made out set right."""
    mended = bytearray(content)
    start = mended.find(b"OggS")
    while start >= 0:
        n_segments = mended[start + 26] if start + 26 < len(mended) else 0
        begin = start + 27 + n_segments
        end = begin + sum(mended[start + 27 : begin])
        if n_segments and end <= len(mended):
            page = mended[start:end]
            page[_CHECKSUM] = bytes(4)
            mended[start + 22 : start + 26] = struct.pack("<I", ogg_checksum(page))
        start = mended.find(b"OggS", start + 4)
    return bytes(mended)
