"""WMA and AVI: the length that the header announces. Of a file that was cut short FFmpeg tells only what is left."""

from __future__ import annotations

import struct
from typing import BinaryIO

from genre_runtime.structure.finding import Structure, read_at

HEADER_BYTES = 2**16
_FILE_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_BROADCAST = 1


def examine_asf(file: BinaryIO, start: int, _: int) -> Structure:
    """Read the play duration of the file properties object, less the time that a player buffers before it begins."""
    head = read_at(file, start, HEADER_BYTES)
    at = head.find(_FILE_PROPERTIES)
    if at < 0 or len(head) < at + 92:
        return Structure()
    ticks, _, preroll, flags = struct.unpack_from("<QQQI", head, at + 64)
    seconds = ticks / 1e7 - preroll / 1e3
    return Structure(announced_seconds=seconds if seconds > 0 and not flags & _BROADCAST else None)


def examine_avi(file: BinaryIO, start: int, _: int) -> Structure:
    """Read the length of the first stream of sound from its header."""
    head = read_at(file, start, HEADER_BYTES)
    at = head.find(b"strh")
    while at >= 0 and len(head) >= at + 44:
        if head[at + 8 : at + 12] == b"auds":
            scale, rate, _, n_units = struct.unpack_from("<4I", head, at + 28)
            return Structure(announced_seconds=n_units * scale / rate if rate and n_units else None)
        at = head.find(b"strh", at + 1)
    return Structure()
