"""Parts of containers, put together by hand: atoms of MP4, elements of Matroska, packets of Ogg, zlib streams."""

from __future__ import annotations

import struct
import zlib

from tests.runtime import odd_files as odd


def zeros_deflated(n_bytes: int) -> bytes:
    """Return a zlib stream of that many zeros, put together from copies of one piece."""
    piece = 2**20
    n_pieces, rest = divmod(n_bytes, piece)
    compressor = zlib.compressobj(9)
    compressor.compress(bytes(piece))
    compressor.flush(zlib.Z_FULL_FLUSH)
    repeated = compressor.compress(bytes(piece)) + compressor.flush(zlib.Z_FULL_FLUSH)
    last = zlib.compressobj(9, zlib.DEFLATED, -15)
    end = last.compress(bytes(rest)) + last.flush()
    return b"\x78\xda" + repeated * n_pieces + end + struct.pack(">HH", n_bytes % 65521, 1)


def atom(name: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">I", 8 + len(body)) + name + body


def grown(mp4: bytes, path: tuple[bytes, ...], more: bytes) -> bytes:
    """Put an atom at the end of another, which the path names from the outermost on; the index must lie last."""
    content, begin, end = bytearray(mp4), 0, len(mp4)
    for name in path:
        begin = content.index(name, begin, end) - 4
        (size,) = struct.unpack_from(">I", content, begin)
        end = begin + size
        struct.pack_into(">I", content, begin, size + len(more))
        begin += 8
    return bytes(content[:end]) + more + bytes(content[end:])


def ogg_packets(packets: list[bytes], granule: int, first: int) -> bytes:
    """Pages of one packet each, cut into as many pages as it takes."""
    pages, number = [], first
    for packet in packets:
        lacing = bytes([255] * (len(packet) // 255) + [len(packet) % 255])
        for i in range(0, len(lacing), 255):
            segments = lacing[i : i + 255]
            begin = sum(lacing[:i])
            body = packet[begin : begin + sum(segments)]
            pages.append(odd.Page(1 if i else 0, granule, 9, number, segments, body))
            number += 1
    return odd.joined(pages)


def element(name: str, *parts: bytes) -> bytes:
    """Return an element of EBML."""
    body = b"".join(parts)
    return bytes.fromhex(name) + struct.pack(">Q", 1 << 56 | len(body)) + body


def number(name: str, value: int) -> bytes:
    return element(name, value.to_bytes(8, "big"))


def matroska(
    codec: bytes,
    private: bytes,
    blocks: list[bytes],
    *,
    channels: int,
    others: bytes = b"",
    bits: int = 16,
    rate: float = 48_000.0,
) -> bytes:
    """Return a Matroska file of one track of sound."""
    head = element("1a45dfa3", number("4286", 1), number("42f7", 1), element("4282", b"matroska"), number("4287", 4))
    sound = element("e1", element("b5", struct.pack(">d", rate)), number("9f", channels), number("6264", bits))
    entry = (
        number("d7", 1),
        number("73c5", 1),
        number("83", 2),
        element("86", codec),
        element("63a2", private),
        sound,
    )
    tracks = element("1654ae6b", element("ae", *entry))
    info = element("1549a966", number("2ad7b1", 1_000_000))
    cluster = element("1f43b675", number("e7", 0), *(element("a3", b"\x81\0\0\x80", block) for block in blocks))
    return head + element("18538067", info, tracks, others, cluster)
