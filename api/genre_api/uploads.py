"""An open file as the decoders see it."""

from __future__ import annotations

import io
from contextlib import suppress
from typing import Any, BinaryIO, cast


class _ReadOnly(io.RawIOBase):
    """Passes reading on to another file, and nothing else."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        content = self._file.read(len(buffer))
        buffer[: len(content)] = content
        return len(content)

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        # A damaged file can send a decoder to before its beginning. The system then stays where it is; an exception
        # would come up in the middle of C, which can only print it.
        with suppress(OSError, ValueError):
            self._file.seek(offset, whence)
        return self._file.tell()

    def tell(self) -> int:
        return self._file.tell()


def audio_of(file: BinaryIO) -> BinaryIO:
    """Return a file for reading alone.

    The framework's files are open for writing too, by which PyAV would take them for files that it is to write.
    """
    return cast(BinaryIO, _ReadOnly(file))
