"""What a pool of decoders and its processes say to each other over pipes.

A message is the length of its header (four bytes, little-endian), the header (a JSON object with a `kind`), and for
some kinds bytes that follow it: float32 samples or a piece of a file. Nothing is pickled: a process that a hostile file
has taken over can send wrong samples, but it cannot run code in the process that reads them.

How a process that decodes gets at a file which another process has open.
"""

from __future__ import annotations

import base64
import dataclasses
import io
import json
import math
import os
import stat
import struct
import sys
import tempfile
import types
import typing
from collections.abc import Iterator, Mapping
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from io import FileIO
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, cast

from genre_runtime import errors
from genre_runtime.audio.source import AudioSource, as_file
from genre_runtime.errors import (
    AudioLimitError,
    AudioNotFoundError,
    GenreError,
    InvalidInputError,
    UnexpectedFailureError,
)

Header = dict[str, Any]
Record = TypeVar("Record")

MAX_HEADER_BYTES = 2**16
PIECE_BYTES = 2**15
"""Most bytes of a file in one message: what the pipes of every system hold, so that writing never waits."""

MEMORY_STATUS = 77
"""Exit status of a process that took more memory than it may."""

_LENGTH = struct.Struct("<I")
_NAMES = {
    name: kind for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, GenreError)
} | {"CancelledError": CancelledError}
_CAUSES: dict[str, type[Exception]] = {"OSError": OSError, "MemoryError": MemoryError}


class Readable(typing.Protocol):
    """What bytes can be read from; without any, the other side is gone."""

    def readinto(self, buffer: Any, /) -> int | None:
        """Read into a buffer and return how many bytes, 0 at the end."""
        ...


class ProtocolError(ValueError):
    """The other side sent what is not a message."""


def write_message(stream: FileIO, header: Mapping[str, Any], content: Any = b"") -> None:
    """Write one message.

    Parameters
    ----------
    stream : io.FileIO
    header : mapping
        JSON-able, with a `kind`.
    content : bytes-like
        What follows the header, whose length the header has to tell.

    Raises
    ------
    OSError
        The other side is gone.
    """
    text = json.dumps(header).encode()
    _write_all(stream, memoryview(_LENGTH.pack(len(text)) + text))
    _write_all(stream, memoryview(content).cast("B"))


def read_header(stream: Readable) -> Header | None:
    """Return the header of the next message, or None where the other side is gone.

    Raises
    ------
    ProtocolError
        No header of at most `MAX_HEADER_BYTES` that is a JSON object.
    """
    length = bytearray(_LENGTH.size)
    if not read_into(stream, length):
        return None
    (n_bytes,) = _LENGTH.unpack(length)
    if n_bytes > MAX_HEADER_BYTES:
        raise ProtocolError(f"a header of {n_bytes} bytes: expected at most {MAX_HEADER_BYTES}")
    text = bytearray(n_bytes)
    if not read_into(stream, text):
        return None
    try:
        header = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ProtocolError("a header that is not JSON") from error
    if not isinstance(header, dict):
        raise ProtocolError("a header that is not a JSON object")
    return header


def read_into(stream: Readable, buffer: Any) -> bool:
    """Fill a buffer; returns False where the other side is gone before it is full."""
    rest = memoryview(buffer).cast("B")
    while rest.nbytes:
        n_read = stream.readinto(rest)
        if not n_read:
            return False
        rest = rest[n_read:]
    return True


def record_from(kind: type[Record], values: Any, **others: Any) -> Record:
    """Make a dataclass from the fields that came in a header, and from `others`.

    Raises
    ------
    ProtocolError
        A field is unknown, missing, or of another type than the dataclass says.
    """
    hints = _hints(typing.cast(Any, kind))
    if not isinstance(values, dict) or not values.keys() <= hints.keys() - others.keys():
        raise ProtocolError(f"not the fields of {kind.__name__}")
    if not all(_fits(value, hints[name]) for name, value in values.items()):
        raise ProtocolError(f"{kind.__name__} with a value of another type")
    try:
        return kind(**values, **others)
    except TypeError as error:
        raise ProtocolError(f"{kind.__name__} without all its fields") from error


def fields_of(record: Any, *others: str) -> dict[str, Any]:
    """Return the fields of a dataclass but `others`, for a header."""
    return {field.name: getattr(record, field.name) for field in dataclasses.fields(record) if field.name not in others}


def error_header(error: BaseException) -> Header:
    """Return the message that says what a file's decoding raised."""
    cause = error.__cause__
    kind = next((name for name, known in _CAUSES.items() if isinstance(cause, known)), None)
    simple = {name: value for name, value in vars(error).items() if isinstance(value, str | int | float)}
    name = type(error).__name__
    if name not in _NAMES:
        name, message = "UnexpectedFailureError", f"unexpected failure: {type(error).__name__}: {error}"
        simple = {"reason": message}
    else:
        message = str(error)
    return {"kind": "error", "name": name, "message": message[:10_000], "fields": simple, "cause": kind}


def error_from(header: Header, source: object) -> Exception:
    """Return the error that a message names; `source` is what the caller calls the file.

    Raises
    ------
    ProtocolError
    """
    kind, message, fields = _NAMES.get(str(header.get("name"))), header.get("message"), header.get("fields")
    if kind is None or not isinstance(message, str) or not isinstance(fields, dict):
        raise ProtocolError("an error of an unknown kind")
    error: Exception
    if issubclass(kind, AudioNotFoundError):
        error = AudioNotFoundError(source if isinstance(source, str | Path) else str(source))
    elif issubclass(kind, AudioLimitError):
        error = kind(message, str(fields.get("limit")))
    else:
        error = kind.__new__(kind, message)
        vars(error).update({str(name): value for name, value in fields.items() if isinstance(value, str | int | float)})
    # The library asks for the cause: what the system refused, it may grant another time.
    cause = _CAUSES.get(str(header.get("cause")))
    error.__cause__ = cause(message) if cause else None
    return error


def memory_error(max_memory_bytes: int) -> AudioLimitError:
    """Return the error of a file whose decoding took more memory than it may."""
    return AudioLimitError(
        f"decoding took more than {max_memory_bytes / 2**20:.0f} MiB of memory: the file is damaged or made to do that",
        "max_memory",
    )


def unintelligible(error: ProtocolError) -> GenreError:
    """Return the error of a file whose decoder sent what is not a message."""
    return UnexpectedFailureError(f"the decoder was led astray by this file: it sent {error}")


def _write_all(stream: FileIO, rest: memoryview) -> None:
    while rest.nbytes:
        rest = rest[stream.write(rest) or 0 :]


@cache
def _hints(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _fits(value: Any, hint: Any) -> bool:
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        return any(_fits(value, one) for one in typing.get_args(hint))
    if hint is float:
        return type(value) in (int, float) and math.isfinite(value)
    if hint in (int, str, bool, type(None)):
        return type(value) is hint
    return True  # JSON of any other form


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
