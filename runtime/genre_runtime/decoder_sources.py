"""How a process that decodes gets at a file which another process has open."""

from __future__ import annotations

import base64
import io
import os
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from genre_runtime.errors import InvalidInputError
from genre_runtime.inputs import AudioSource, as_file

MAX_PATH_BYTES = 2**14
"""No system has longer paths; a longer one need not be sent to learn that no file lies there."""

_OWN = ("/dev/stdin", "/dev/fd/", "/proc/self/", "/proc/thread-self/")
"""Paths that mean another file in another process."""


@dataclass(frozen=True)
class Handed:
    """A source in a form that can be sent.

    Attributes
    ----------
    header : dict
        `path`, Base64 of its bytes, or the `size` of a file that is asked for piece by piece.
    file : binary file object or None
        The one that is asked.
    inner : str or None
        A path that means nothing to the caller.
    """

    header: dict[str, Any]
    file: BinaryIO | None = None
    inner: str | None = None


@contextmanager
def handed_over(source: AudioSource) -> Iterator[Handed | None]:
    """Give a source in a form that can be sent, or None where it is a path that cannot be a file's.

    On Linux an open file and bytes in memory get a path, which decoders read at full speed; elsewhere they are read
    through the pipe.

    Parameters
    ----------
    source : path, bytes or seekable binary file object

    Raises
    ------
    InvalidInputError
        It is none of these, or open for text.
    """
    if isinstance(source, str | os.PathLike):
        opened = _opened_here(Path(source))
        if opened is None:
            yield _of_path(Path(source))
        else:
            with opened:
                yield _of_descriptor(opened.fileno()) or _of_path(Path(source))
    elif isinstance(source, bytes | bytearray | memoryview):
        content = memoryview(source).cast("B")
        with _in_memory(content) as file:
            yield (_of_descriptor(file.fileno()) if isinstance(file, io.FileIO) else None) or _of_file(
                io.BytesIO(content)
            )
    else:
        checked = as_file(source)
        descriptor = _descriptor(source)
        yield (None if descriptor is None else _of_descriptor(descriptor)) or _of_file(cast(BinaryIO, checked))


def _of_path(path: Path) -> Handed | None:
    try:
        encoded = os.fsencode(path if path.is_absolute() else Path.cwd() / path)
    except (OSError, ValueError):  # no folder to start from, or a name that this system cannot have
        return None
    if len(encoded) > MAX_PATH_BYTES or b"\0" in encoded:
        return None
    return Handed({"path": base64.b64encode(encoded).decode()})


def _of_descriptor(descriptor: int) -> Handed | None:
    """Return the path that another process of the same user may open, where the system has one."""
    try:
        folder = Path(f"/proc/{os.getpid()}")
        path = folder / "fd" / str(descriptor)
        # A process that may not be looked into belongs to root there.
        looked_into = folder.stat().st_uid == os.geteuid()
        if looked_into and os.path.samestat(path.stat(), os.fstat(descriptor)) and os.access(path, os.R_OK):
            return Handed({"path": base64.b64encode(os.fsencode(path)).decode()}, inner=str(path))
    except (OSError, AttributeError):
        pass
    return None


def _of_file(file: BinaryIO) -> Handed:
    try:
        return Handed({"size": file.seek(0, io.SEEK_END)}, file)
    except (OSError, ValueError) as error:
        raise InvalidInputError(f"audio comes from a file that cannot be read to its end: {error}") from error


def _opened_here(path: Path) -> io.FileIO | None:
    """Open a path that leads elsewhere in another process, if it is a regular file's."""
    if sys.platform == "win32" or not str(path).startswith(_OWN):
        return None
    with suppress(OSError, ValueError):
        file = io.FileIO(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC))
        if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            return file
        file.close()
    return None


@contextmanager
def _in_memory(content: memoryview) -> Iterator[io.FileIO | None]:
    """Give an unnamed file in memory with that content, where the system has such files."""
    file: io.FileIO | None = None
    if sys.platform == "linux":
        with suppress(OSError):
            file = io.FileIO(os.memfd_create("audio"), "r+")
    if file is None:
        yield None
        return
    with file:
        try:
            while content.nbytes:
                content = content[file.write(content) or 0 :]
        except OSError:  # no room
            yield None
        else:
            yield file


def _descriptor(source: object) -> int | None:
    """Return the descriptor of a file whose bytes are those that the system reads, and no other's.

    A `gzip.GzipFile` has a descriptor, too: of what is compressed.
    """
    file: Any = source
    try:
        if isinstance(file, tempfile.SpooledTemporaryFile):
            file.rollover()
            file = file._file
        file = getattr(file, "file", file) if type(file).__name__ == "_TemporaryFileWrapper" else file
        raw = file.raw if isinstance(file, io.BufferedReader | io.BufferedRandom) else file
        if type(raw) is io.FileIO and raw.readable():
            file.flush()
            return raw.fileno()
    except (OSError, ValueError):
        pass
    return None
