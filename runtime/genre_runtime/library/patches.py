"""How to get a file's earlier bytes back from its later ones.

A patch lists pieces, in the earlier file's order: stretches to be copied from the later file, and the bytes that it
no longer holds. Tags change in length, so that most of a file lies in the later one too, moved by one of few
distances; those are tried at every point, and what is found nowhere is kept. Offsets and lengths are bytes.
"""

from __future__ import annotations

import hashlib
import io
import json
import struct
import zlib
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from genre_runtime.library.errors import JournalError

GRAIN = 32
"""Shortest stretch worth a piece of its own."""
WINDOW = 2**14
_COPY_WINDOW = 2**20
_WORTH_A_SEARCH = 2**10
_MAX_SEARCHES = 16
"""Each reads the later file once; stretches that moved by a distance of their own are few."""

_MOST = 2**63 - 1
"""Bytes; no file is longer."""

_KEPT = -1
"""In the place of an offset: the bytes are kept in the patch."""


def difference(earlier: BinaryIO, later: BinaryIO) -> bytes:
    """Return a patch that `restore` makes the earlier file from, given the later one."""
    n_earlier = _size(earlier)
    distances = [0, _size(later) - n_earlier]
    pieces: list[list[int]] = []
    kept = bytearray()
    searches = _MAX_SEARCHES
    position = 0
    while position < n_earlier:
        run, distance = max((_run(earlier, later, position, distance), distance) for distance in distances)
        if run >= GRAIN:
            pieces.append([position + distance, run])
            position += run
            continue
        window = _read(earlier, position, WINDOW)
        gap = min(_gap(window, later, position + distance) for distance in distances)
        if gap == len(window) >= _WORTH_A_SEARCH and searches:
            searches -= 1
            middle = len(window) // 2
            moved = _find(later, window[middle : middle + 2 * GRAIN])
            if moved is not None and (distance := moved - position - middle) not in distances:
                distances.append(distance)
                continue
        kept += window[:gap]
        if pieces and pieces[-1][0] == _KEPT:
            pieces[-1][1] += gap
        else:
            pieces.append([_KEPT, gap])
        position += gap
    listed = json.dumps(pieces, separators=(",", ":")).encode()
    return zlib.compress(struct.pack(">I", len(listed)) + listed + kept, 9)


def restore(patch: bytes, later: BinaryIO, out: BinaryIO | io.RawIOBase) -> None:
    """Write the earlier file to `out`.

    Raises
    ------
    JournalError
        The patch is damaged. Whether the result is the earlier file is for its checksum to say.
    """
    try:
        content = zlib.decompress(patch)
        (n_listed,) = struct.unpack_from(">I", content)
        pieces = [(int(offset), int(length)) for offset, length in json.loads(content[4 : 4 + n_listed])]
        if not all(_KEPT <= offset <= _MOST and 0 <= length <= _MOST for offset, length in pieces):
            raise ValueError("a piece lies nowhere")
    except (zlib.error, struct.error, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise JournalError(f"the recorded bytes are damaged ({error}): this change cannot be undone") from error
    kept = 4 + n_listed
    for offset, length in pieces:
        if offset == _KEPT:
            out.write(content[kept : kept + length])
            kept += length
            continue
        later.seek(offset)
        while length > 0 and (block := later.read(min(length, _COPY_WINDOW))):
            out.write(block)
            length -= len(block)


def restored_sha256(patch: bytes, later: BinaryIO) -> str:
    """Return the sha256, hexadecimal, of what `restore` would write.

    Raises
    ------
    JournalError
    """
    digest = _Digest()
    restore(patch, later, digest)
    return digest.sha256.hexdigest()


class _Digest(io.RawIOBase):
    """A file that keeps the checksum alone of what is written to it."""

    def __init__(self) -> None:
        self.sha256 = hashlib.sha256()

    def write(self, content: Any) -> int:
        """Take bytes in."""
        self.sha256.update(content)
        return len(content)


def _run(earlier: BinaryIO, later: BinaryIO, position: int, distance: int) -> int:
    """Count the bytes from `position` on that lie in the later file too, `distance` further on."""
    run, window = 0, GRAIN  # most places that are tried match nothing: look closer only where it is worth it
    while True:
        a = _read(earlier, position + run, window)
        b = _read(later, position + run + distance, window)
        n = min(len(a), len(b))
        differing = np.flatnonzero(_array(a)[:n] != _array(b)[:n])
        if differing.size:
            return run + int(differing[0])
        run += n
        if n < window:
            return run
        window = min(16 * window, _COPY_WINDOW)


def _gap(window: bytes, later: BinaryIO, offset: int) -> int:
    """Return where in `window` the first grain begins that the later file holds at the same place from `offset` on."""
    skipped = -(min(0, offset) // GRAIN) * GRAIN  # whole grains that would lie before the file's beginning
    if skipped >= len(window):
        return len(window)
    other = _read(later, offset + skipped, len(window) - skipped)
    n = min(len(window) - skipped, len(other)) // GRAIN
    if n < 1:
        return len(window)
    equal = _array(window)[skipped : skipped + n * GRAIN] == _array(other)[: n * GRAIN]
    found = np.flatnonzero(equal.reshape(n, GRAIN).all(axis=1))
    return skipped + int(found[0]) * GRAIN if found.size else len(window)


def _find(file: BinaryIO, needle: bytes) -> int | None:
    """Return the offset of `needle`, or None; a needle of one value would be found everywhere and anywhere."""
    if len(set(needle)) == 1:
        return None
    offset = 0
    while len(block := _read(file, offset, _COPY_WINDOW)) >= len(needle):
        found = block.find(needle)
        if found >= 0:
            return offset + found
        offset += len(block) - len(needle) + 1
    return None


def _read(file: BinaryIO, offset: int, n_bytes: int) -> bytes:
    """Read; what lies before the file's beginning is read as nothing at all."""
    if offset < 0:
        return b""
    file.seek(offset)
    return file.read(n_bytes)


def _array(content: bytes) -> NDArray[np.uint8]:
    return np.frombuffer(content, np.uint8)


def _size(file: BinaryIO) -> int:
    return file.seek(0, 2)
