"""The messages between a decoder pool and its processes, and how a process reads a file that the caller has open.

A message consists of the length of its header (four bytes, little-endian), the header (a JSON object with a `kind`),
and, for some kinds, data: float32 samples or a piece of a file. Nothing is pickled: a process that was taken over by a
malicious file can send wrong samples, but cannot run code in the process that reads them.
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
)

Header = dict[str, Any]
Record = TypeVar("Record")

MAX_HEADER_BYTES = 2**16
PIECE_BYTES = 2**15
"""Most bytes of a file in one message; the pipes of all systems hold as much, so that writing does not block."""

MEMORY_STATUS = 77
"""Exit status of a process that exceeded its memory limit."""

MAX_PATH_BYTES = 2**14
"""No system supports longer paths."""

_PER_PROCESS_PATHS = ("/dev/stdin", "/dev/fd/", "/proc/self/", "/proc/thread-self/")
"""Paths that refer to different files in different processes."""

_LENGTH = struct.Struct("<I")
_ERROR_TYPES = {
    name: kind for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, GenreError)
} | {"CancelledError": CancelledError}
_CAUSE_TYPES: dict[str, type[Exception]] = {"OSError": OSError, "MemoryError": MemoryError}


class Readable(typing.Protocol):
    """A stream of bytes."""

    def readinto(self, buffer: Any, /) -> int | None:
        """Read into a buffer.

        Parameters
        ----------
        buffer : writable bytes-like

        Returns
        -------
        int or None
            Number of bytes read, 0 at the end.
        """
        ...


class ProtocolError(ValueError):
    """The other side sent something other than a valid message."""


def write_message(stream: FileIO, header: Mapping[str, Any], content: Any = b"") -> None:
    """Write one message.

    Parameters
    ----------
    stream : io.FileIO
    header : mapping
        JSON-serializable, with a `kind`.
    content : bytes-like
        Data after the header, which contains its length.

    Raises
    ------
    OSError
        The other side has closed the pipe.
    """
    text = json.dumps(header).encode()
    _write_all(stream, memoryview(_LENGTH.pack(len(text)) + text))
    _write_all(stream, memoryview(content).cast("B"))


def read_header(stream: Readable) -> Header | None:
    """Return the header of the next message, or None if the other side has closed the pipe.

    Parameters
    ----------
    stream : Readable

    Raises
    ------
    ProtocolError
        It is not a header of at most `MAX_HEADER_BYTES` that is a JSON object.
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
    """Fill a buffer and return True, or False if the other side closes the pipe first.

    Parameters
    ----------
    stream : Readable
    buffer : writable bytes-like
    """
    rest = memoryview(buffer).cast("B")
    while rest.nbytes:
        n_read = stream.readinto(rest)
        if not n_read:
            return False
        rest = rest[n_read:]
    return True


def record_from(kind: type[Record], values: Any, **others: Any) -> Record:
    """Create a dataclass from the fields in a header.

    Parameters
    ----------
    kind : type
        The dataclass.
    values : dict
        Fields from a header, not yet checked.
    **others
        Further fields.

    Raises
    ------
    ProtocolError
        A field is unknown, missing, or of the wrong type.
    """
    hints = _hints(typing.cast(Any, kind))
    if not isinstance(values, dict) or not values.keys() <= hints.keys() - others.keys():
        raise ProtocolError(f"not the fields of {kind.__name__}")
    if not all(_matches(value, hints[name]) for name, value in values.items()):
        raise ProtocolError(f"{kind.__name__} with a value of another type")
    try:
        return kind(**values, **others)
    except TypeError as error:
        raise ProtocolError(f"{kind.__name__} without all its fields") from error


def fields_of(record: Any, *others: str) -> dict[str, Any]:
    """Return the fields of a dataclass for a header.

    Parameters
    ----------
    record : dataclass
    *others : str
        Fields to leave out.
    """
    return {field.name: getattr(record, field.name) for field in dataclasses.fields(record) if field.name not in others}


def error_header(error: BaseException) -> Header:
    """Return the message for an error that decoding a file raised.

    Parameters
    ----------
    error : Exception
    """
    name = type(error).__name__
    message = str(error)
    fields = {key: value for key, value in vars(error).items() if isinstance(value, str | int | float)}
    if name not in _ERROR_TYPES:
        message = f"unexpected failure: {name}: {error}"
        name, fields = "UnexpectedFailureError", {"reason": message}
    cause = next((key for key, kind in _CAUSE_TYPES.items() if isinstance(error.__cause__, kind)), None)
    return {"kind": "error", "name": name, "message": message[:10_000], "fields": fields, "cause": cause}


def error_from(header: Header, source: object) -> Exception:
    """Return the error in a message.

    Parameters
    ----------
    header : dict
    source : path, bytes or file
        The source that was decoded, as the caller named it.

    Raises
    ------
    ProtocolError
    """
    kind, message, fields = _ERROR_TYPES.get(str(header.get("name"))), header.get("message"), header.get("fields")
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
    # `library` decides by the cause whether another attempt may succeed.
    cause = _CAUSE_TYPES.get(str(header.get("cause")))
    error.__cause__ = cause(message) if cause else None
    return error


def memory_error(max_memory_bytes: int) -> AudioLimitError:
    """Return the error for a file that exceeded the memory limit.

    Parameters
    ----------
    max_memory_bytes : int
    """
    limit = f"{max_memory_bytes / 2**20:.0f} MiB of memory"
    return AudioLimitError(f"decoding needs more than {limit}: the file is damaged or malicious", "max_memory")


def _write_all(stream: FileIO, rest: memoryview) -> None:
    while rest.nbytes:
        rest = rest[stream.write(rest) or 0 :]


@cache
def _hints(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _matches(value: Any, hint: Any) -> bool:
    types = typing.get_args(hint) or (hint,)
    if float in types and type(value) in (int, float):
        return bool(abs(value) < math.inf)
    return type(value) in types


@dataclass(frozen=True)
class SharedSource:
    """A source in a form that can be sent to a process.

    Attributes
    ----------
    header : dict
        Either `path`, Base64-encoded, or the `size` of a file that is sent in pieces.
    file : binary file object or None
        The file that is sent in pieces.
    private_path : str or None
        A path that the caller does not know.
    """

    header: dict[str, Any]
    file: BinaryIO | None = None
    private_path: str | None = None


@contextmanager
def share_source(source: AudioSource) -> Iterator[SharedSource | None]:
    """Yield a source in a form that can be sent to a process, or None if it is an invalid path.

    On Linux, open files and bytes in memory get a path, which decoders read at full speed. On other systems they are
    sent through the pipe.

    Parameters
    ----------
    source : path, bytes or seekable binary file object

    Raises
    ------
    InvalidInputError
        It has another type, or is open for text.
    """
    if isinstance(source, tempfile.SpooledTemporaryFile) and isinstance(source._file, io.BytesIO):
        source = source._file.getvalue()  # `rollover` would lose the content if the disk is full
    if isinstance(source, str | os.PathLike):
        opened = _open_per_process(Path(source))
        if opened is None:
            yield _share_path(Path(source))
        else:
            with opened:
                yield _share_descriptor(opened.fileno()) or _share_path(Path(source))
    elif isinstance(source, bytes | bytearray | memoryview):
        with _memory_file(memoryview(source).cast("B")) as file:
            yield (_share_descriptor(file.fileno()) if file else None) or _share_file(io.BytesIO(source))
    else:
        checked = as_file(source)
        descriptor = _plain_descriptor(source)
        yield (None if descriptor is None else _share_descriptor(descriptor)) or _share_file(cast(BinaryIO, checked))


def _share_path(path: Path) -> SharedSource | None:
    try:
        encoded = os.fsencode(path if path.is_absolute() else Path.cwd() / path)
    except (OSError, ValueError):  # the current folder was removed, or the name is invalid on this system
        return None
    if len(encoded) > MAX_PATH_BYTES or b"\0" in encoded:
        return None
    return SharedSource({"path": base64.b64encode(encoded).decode()})


def _share_descriptor(descriptor: int) -> SharedSource | None:
    """Return a path of an open file that another process of the same user can open, or None."""
    try:
        folder = Path(f"/proc/{os.getpid()}")
        path = folder / "fd" / str(descriptor)
        is_accessible = folder.stat().st_uid == os.geteuid()  # otherwise the folder belongs to root
        if is_accessible and os.path.samestat(path.stat(), os.fstat(descriptor)) and os.access(path, os.R_OK):
            return SharedSource({"path": base64.b64encode(os.fsencode(path)).decode()}, private_path=str(path))
    except (OSError, AttributeError):
        pass
    return None


def _share_file(file: BinaryIO) -> SharedSource:
    try:
        return SharedSource({"size": file.seek(0, io.SEEK_END)}, file)
    except (OSError, ValueError) as error:
        raise InvalidInputError(f"audio comes from a file that cannot be read to its end: {error}") from error


def _open_per_process(path: Path) -> io.FileIO | None:
    """Open a path that refers to a different file in another process, if it is a regular file."""
    if sys.platform == "win32" or not str(path).startswith(_PER_PROCESS_PATHS):
        return None
    with suppress(OSError, ValueError):
        file = io.FileIO(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC))
        if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            return file
        file.close()
    return None


@contextmanager
def _memory_file(content: memoryview) -> Iterator[io.FileIO | None]:
    """Yield an unnamed file in memory with some content, or None if the system does not support that."""
    file: io.FileIO | None = None
    if sys.platform == "linux":
        with suppress(OSError):
            file = io.FileIO(os.memfd_create("audio"), "r+")
    if file is None:
        yield None
        return
    with file:
        try:
            _write_all(file, content)
        except OSError:  # out of memory
            yield None
        else:
            yield file


def _plain_descriptor(source: object) -> int | None:
    """Return the descriptor of a plain file, or None.

    The descriptor of a `gzip.GzipFile`, for example, refers to the compressed bytes.
    """
    file: Any = source
    try:
        if isinstance(file, tempfile.SpooledTemporaryFile) and file.readable():
            if file.name is None:  # in memory: a full disk would cut it short
                return None
            file.flush()
            return file.fileno()
        file = getattr(file, "file", file) if type(file).__name__ == "_TemporaryFileWrapper" else file
        raw = file.raw if isinstance(file, io.BufferedReader | io.BufferedRandom) else file
        if type(raw) is io.FileIO and raw.readable():
            file.flush()
            return raw.fileno()
    except (OSError, ValueError):
        pass
    return None
