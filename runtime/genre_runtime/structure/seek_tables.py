"""Monkey's Audio and True Audio: seek tables that are larger than the file. FFmpeg allocates what the header names."""

from __future__ import annotations

import struct
from typing import BinaryIO

from genre_runtime.errors import UnreadableAudioError
from genre_runtime.structure.finding import Structure, read_at


def examine_ape(file: BinaryIO, start: int, size: int) -> Structure:
    """Compare the frames and the seek table that the header names with the file's size."""
    head = read_at(file, start, 76)
    if len(head) < 76:
        return Structure()
    (version,) = struct.unpack_from("<H", head, 4)
    if version >= 3980:
        (descriptor, _, table) = struct.unpack_from("<3I", head, 8)
        body = read_at(file, start + descriptor, 24)
        n_frames = struct.unpack_from("<I", body, 12)[0] if len(body) == 24 else 0
    else:
        (n_frames,) = struct.unpack_from("<I", head, 24)
        (table,) = struct.unpack_from("<I", head, 28)
        table = 0 if table > size else table
    _check("ape", max(table, 4 * n_frames), size)
    return Structure()


def examine_tta(file: BinaryIO, start: int, size: int) -> Structure:
    """Compare the seek table that the number of samples implies with the file's size."""
    head = read_at(file, start, 22)
    if len(head) < 22:
        return Structure()
    rate, n_samples = struct.unpack_from("<2I", head, 10)
    _check("tta", 4 * (n_samples // max(1, 256 * rate // 245)), size)
    return Structure()


def _check(name: str, n_bytes: int, size: int) -> None:
    if n_bytes > size:
        raise UnreadableAudioError(
            f"the seek table of the {name} file has {n_bytes:,} bytes by its header, the file {size:,}: it is damaged "
            "or forged"
        )
