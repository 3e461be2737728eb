"""A Monkey's Audio file made by hand: no encoder of it is at hand, and tagging needs no sound, only frames."""

from __future__ import annotations

import struct
from pathlib import Path

from tests.synthetic import noise

FRAMES = 3
BLOCKS_PER_FRAME = 73_728
FRAME_BYTES = 4_000


def write_ape(path: Path) -> Path:
    """Write descriptor, header, seek table and frames of version 3.99; the frames decode to arbitrary samples."""
    table = 4 * FRAMES
    start = 52 + 24 + table
    body = noise(1, seed=3).tobytes()[: FRAMES * FRAME_BYTES]
    descriptor = struct.pack("<4sHHIIIIIII16s", b"MAC ", 3990, 0, 52, 24, table, 0, len(body), 0, 0, bytes(16))
    header = struct.pack("<HHIIIHHI", 2000, 0, BLOCKS_PER_FRAME, 1_000, FRAMES, 16, 1, 44_100)
    seek_table = struct.pack(f"<{FRAMES}I", *(start + FRAME_BYTES * i for i in range(FRAMES)))
    path.write_bytes(descriptor + header + seek_table + body)
    return path
