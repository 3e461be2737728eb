"""Musepack files made by hand: no encoder of them is at hand, and tagging needs no sound, only headers."""

from __future__ import annotations

import struct
from pathlib import Path

from tests.synthetic import noise

BODY_BYTES = 12_000


def write_mpc(path: Path, stream_version: int) -> Path:
    """Write the header of stream version 7 or 8 and a body; what that decodes to is nobody's matter."""
    body = noise(1, seed=4).tobytes()[:BODY_BYTES]
    if stream_version == 7:
        header = b"MP+\x07" + struct.pack("<II", 100, 0) + bytes(20)
    else:
        stream = _packet(b"SH", bytes(4) + b"\x08" + b"\x84\x00" + b"\x00" + b"\x0f\x12")
        header = b"MPCK" + stream + _packet(b"RG", b"\x01" + bytes(8))
        body = _packet(b"AP", body[:100]) + _packet(b"SE", b"")
    path.write_bytes(header + body)
    return path


def _packet(key: bytes, content: bytes) -> bytes:
    return key + bytes([len(key) + 1 + len(content)]) + content
