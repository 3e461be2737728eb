"""A part of an open file, read as if it were a file of its own."""

from __future__ import annotations

import io
from typing import BinaryIO


class Window(io.RawIOBase):
    """The bytes from `start` up to `end` of a file, read-only.

    Parameters
    ----------
    file : binary file object
        Seekable. Its position is changed by every read.
    start, end : int
        Bytes from the file's beginning; without an end, the file's own.
    """

    def __init__(self, file: BinaryIO, start: int = 0, end: int | None = None) -> None:
        size = file.seek(0, io.SEEK_END)
        self._file = file
        self._end = size if end is None else max(0, min(end, size))
        self._start = min(start, self._end)
        self._position = 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to a position and return it."""
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._end - self._start}[whence]
        if origin + offset < 0:  # as a file on the disk refuses it
            raise OSError(22, "Invalid argument")
        self._position = origin + offset
        return self._position

    def tell(self) -> int:
        """Return the position."""
        return self._position

    def read(self, size: int | None = -1, /) -> bytes:
        """Read up to `size` bytes, all that are left by default."""
        left = max(0, self._end - self._start - self._position)
        n_bytes = left if size is None or size < 0 else min(size, left)
        if not n_bytes:
            return b""
        self._file.seek(self._start + self._position)
        content = self._file.read(n_bytes)
        self._position += len(content)
        return content
