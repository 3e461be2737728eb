"""Tags and containers put together by hand, byte by byte."""

from __future__ import annotations

import struct


def id3v2(version: int, *frames: tuple[bytes, bytes]) -> bytes:
    """Return an ID3v2 tag; frames shorter than 128 bytes."""
    if version == 2:
        body = b"".join(name + len(data).to_bytes(3, "big") + data for name, data in frames)
    else:  # sizes below 128 are the same in 2.3 and 2.4
        body = b"".join(name + struct.pack(">IH", len(data), 0) + data for name, data in frames)
    size = bytes(len(body) >> shift & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3" + bytes((version, 0, 0)) + size + body


def id3v1(title: bytes, genre: int) -> bytes:
    """Return an ID3v1 tag."""
    return b"TAG" + title.ljust(30, b"\0") + bytes(94) + bytes((genre,))


def id3v1_plus(genre: bytes) -> bytes:
    """Return the extension that precedes some ID3v1 tags."""
    return b"TAG+" + bytes(181) + genre.ljust(30, b"\0") + bytes(12)


def with_info(wav: bytes, *texts: tuple[bytes, bytes], in_front: bool = False) -> bytes:
    """Return a WAV file with one more INFO list, in front of the audio or behind it."""
    body = b"INFO" + b"".join(name + struct.pack("<I", len(text)) + text + bytes(len(text) % 2) for name, text in texts)
    chunk = b"LIST" + struct.pack("<I", len(body)) + body
    at = wav.index(b"data") if in_front else len(wav)
    wav = wav[:at] + chunk + wav[at:]
    return wav[:4] + struct.pack("<I", len(wav) - 8) + wav[8:]


def comment_block(*comments: bytes, last: bool = False) -> bytes:
    """Return a FLAC block of Vorbis comments."""
    body = struct.pack("<I", 4) + b"test" + struct.pack("<I", len(comments))
    body += b"".join(struct.pack("<I", len(text)) + text for text in comments)
    return flac_block(4, body, last=last)


def flac_block(code: int, body: bytes, *, last: bool = False) -> bytes:
    """Return a FLAC metadata block."""
    return bytes((code | 0x80 * last,)) + len(body).to_bytes(3, "big") + body


def flac_with(flac: bytes, *blocks: bytes) -> bytes:
    """Return a FLAC file whose metadata blocks are its STREAMINFO and these, the last of which says that it is."""
    position, last = 4, False
    while not last:
        last = bool(flac[position] & 0x80)
        position += 4 + int.from_bytes(flac[position + 1 : position + 4], "big")
    info = flac[8:42]
    return b"fLaC" + flac_block(0, info, last=not blocks) + b"".join(blocks) + flac[position:]


def atom(name: bytes, *parts: bytes) -> bytes:
    """Return an MP4 atom."""
    body = b"".join(parts)
    return struct.pack(">I", 8 + len(body)) + name + body


def with_atom(mp4: bytes, path: tuple[bytes, ...], inner: bytes) -> bytes:
    """Return an MP4 file, its `moov` behind the audio, with an atom appended within the one at `path`."""
    places = []
    start, end = 0, len(mp4)
    for name in path:
        position = start
        while mp4[position + 4 : position + 8] != name:
            position += int.from_bytes(mp4[position : position + 4], "big")
            assert position < end, name
        places.append(position)
        end = position + int.from_bytes(mp4[position : position + 4], "big")
        start = position + 8
    changed = bytearray(mp4)
    changed[end:end] = inner
    for place in places:
        size = int.from_bytes(changed[place : place + 4], "big")
        changed[place : place + 4] = struct.pack(">I", size + len(inner))
    return bytes(changed)
