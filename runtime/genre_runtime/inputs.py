"""What audio may be read from: a path, bytes, or an open binary file."""

from __future__ import annotations

import io
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, cast

from genre_runtime.containers import head_behind_tags
from genre_runtime.errors import AudioNotFoundError, EmptyAudioError, InvalidInputError, UnreadableAudioError

AudioSource = Path | str | bytes | BinaryIO


class ReadOnly(io.RawIOBase):
    """Passes reading on to another file, and nothing else.

    A file that is open for writing too, PyAV would take for one that it is to write.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def readable(self) -> bool:
        """Say yes."""
        return True

    def seekable(self) -> bool:
        """Say yes."""
        return True

    def readinto(self, buffer: Any, /) -> int:
        """Read as much as there is room for."""
        content = self._file.read(len(buffer))
        buffer[: len(content)] = content
        return len(content)

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Move, or stay where that is not possible; returns the position."""
        # A damaged file can send a decoder to before its beginning. The system then stays where it is; an exception
        # would come up in the middle of C, which can only print it.
        with suppress(OSError, ValueError):
            self._file.seek(offset, whence)
        return self._file.tell()

    def tell(self) -> int:
        """Return the position."""
        return self._file.tell()


def as_file(source: AudioSource) -> Path | BinaryIO:
    """Return a path, or a file object that stands at its beginning.

    Raises
    ------
    InvalidInputError
        None of the kinds of `AudioSource`, or a file object that cannot seek or is open for text.
    """
    if isinstance(source, str | os.PathLike):
        return Path(source)
    if isinstance(source, bytes | bytearray | memoryview):
        return cast(BinaryIO, ReadOnly(io.BytesIO(source)))
    try:
        source.seek(0)
        if isinstance(source.read(0), bytes):
            return cast(BinaryIO, ReadOnly(source))
    except (AttributeError, OSError, ValueError) as error:
        raise InvalidInputError(
            f"audio comes from {type(source).__name__}: expected a path, bytes or a seekable binary file"
        ) from error
    raise InvalidInputError("audio comes from a file opened for text: open it with mode 'rb'")


def head_of(source: AudioSource) -> bytes:
    """Return the first 64 KiB behind any ID3v2 tag, having looked first whether it is a regular file.

    Raises
    ------
    AudioNotFoundError, EmptyAudioError, UnreadableAudioError, InvalidInputError
    """
    file = as_file(source)
    if not isinstance(file, Path):
        head = head_behind_tags(file)
        if not head and not file.seek(0, io.SEEK_END):
            raise _empty()
        return head
    try:
        status = file.stat()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise AudioNotFoundError(file) from error
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise UnreadableAudioError(f"the path cannot be looked up: {why}") from error
    if not stat.S_ISREG(status.st_mode):
        kind = "a folder" if stat.S_ISDIR(status.st_mode) else "no regular file"
        raise UnreadableAudioError(f"the path is {kind}: expected an audio file")
    if status.st_size == 0:
        raise _empty()
    try:
        with file.open("rb") as opened:
            return head_behind_tags(opened)
    except OSError as error:
        raise UnreadableAudioError(f"the file cannot be opened: {error.strerror}") from error


def _empty() -> EmptyAudioError:
    return EmptyAudioError("the file is empty (0 bytes): expected audio")
