"""Read the body of a request: an uploaded file, a path on the server, or a spectrogram.

Bytes and time are limited while the body arrives, before the request takes a place in the queue. Spectrograms are
parsed in a worker thread, since millions of numbers take a while.
"""

from __future__ import annotations

import asyncio
import io
import os
import stat
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import Any, BinaryIO

import msgspec
import numpy as np
from fastapi import Request
from numpy.lib import format as npy
from numpy.typing import NDArray
from python_multipart.multipart import parse_options_header
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from genre_api.problems import ServiceError, busy, storage_full, upload_too_large
from genre_api.work_queue import ClientGone
from genre_runtime.errors import counted

# Without O_NONBLOCK, opening a named pipe waits for a writer.
_FLAGS = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


def open_inside(path: str, roots: Sequence[str]) -> BinaryIO:
    """Open a regular file inside one of the allowed folders; links are followed first.

    Parameters
    ----------
    path : str
        Path from the client, absolute or relative to one of the folders.
    roots : sequence of str
        Absolute paths of the allowed folders.

    Raises
    ------
    ServiceError
        403 if there are no folders; otherwise 404 with the same message in every case, so that a client cannot find
        out which paths outside exist.
    """
    if not roots:
        raise ServiceError(403, "path_disabled", "this service reads no files by path: send the file itself")
    for root in roots:
        try:
            folder = Path(root).resolve(strict=True)
            return _open_below(folder, folder / path)
        except (OSError, ValueError, RuntimeError):  # ValueError: NUL, no text; RuntimeError: links in a circle
            continue
    raise ServiceError(404, "not_found", "no audio file at this path in the folders that this service may read")


def _open_below(folder: Path, path: Path) -> BinaryIO:
    resolved = path.resolve(strict=True)
    if not resolved.is_relative_to(folder):
        raise PermissionError
    descriptor = os.open(resolved, _FLAGS)
    try:
        opened = os.fstat(descriptor)
        again = path.resolve(strict=True)  # a folder on the way may have been replaced by a link in the meantime
        same = os.path.samestat(opened, again.stat()) and again.is_relative_to(folder)
        if not (stat.S_ISREG(opened.st_mode) and same):
            raise PermissionError
    except BaseException:
        os.close(descriptor)
        raise
    return os.fdopen(descriptor, "rb")


RETRY_SECONDS = 5
PIECE_BYTES = 2**19
"""Chunks from a socket are joined to this size, since each write to a temporary file waits for a thread."""
MAX_NAME, MAX_NAMES = 40, 5
"""Longest name of a part in an error message, and most names."""
MAX_MESSAGE = 100
"""Longest message of the JSON parser in an error; it may contain a name from the body."""
MAX_FIELD_BYTES = 4096
"""Longest text field of a form; the service uses none."""
MAX_MEMORY_BYTES = 2**20
"""Bytes of an audio file that stay in memory; more go to a temporary file, as for forms."""
_SEND_A_NAME = 'add `; filename="song.mp3"` to its Content-Disposition, or send the file itself as the body'


class BodyBudget:
    """Limits the bytes of all bodies held at once, so that many clients cannot fill memory and disk.

    Parameters
    ----------
    max_total : int
        Most bytes of all bodies.
    seconds : float
        Longest time for one body to arrive.
    """

    def __init__(self, max_total: int, seconds: float) -> None:
        self._max_total = max_total
        self._seconds = seconds
        self.n_bytes = 0

    @asynccontextmanager
    async def body(self, request: Request, max_bytes: int) -> AsyncIterator[AsyncGenerator[bytes, None]]:
        """Yield the chunks of a body, whose bytes count until the context ends.

        Parameters
        ----------
        request : Request
            Request whose body is read.
        max_bytes : int
            Most bytes of the body; a larger Content-Length is refused unread.

        Raises
        ------
        ServiceError
            413, 408, 415, or 503 if all bodies together are too large.
        ClientGone
            The client closed the connection.
        """
        if request.headers.get("content-encoding", "identity").lower() != "identity":
            raise ServiceError(415, "unsupported_media_type", "Content-Encoding is not supported: send plain bytes")
        announced = request.headers.get("content-length", "")
        if announced.isdecimal() and (len(announced) > 18 or int(announced) > max_bytes):
            raise upload_too_large(max_bytes)
        held = _Held()
        chunks = self._chunks(request, max_bytes, held)
        try:
            yield chunks
        finally:
            await chunks.aclose()
            self.n_bytes -= held.n_bytes

    async def _chunks(self, request: Request, max_bytes: int, held: _Held) -> AsyncGenerator[bytes, None]:
        deadline = asyncio.get_running_loop().time() + self._seconds
        more = True
        while more:
            piece: list[bytes] = []
            begun = held.n_bytes
            try:
                async with asyncio.timeout_at(deadline):
                    while more and held.n_bytes - begun < PIECE_BYTES:
                        more = await self._receive(request, max_bytes, held, piece)
            except TimeoutError as error:
                raise ServiceError(
                    408, "body_timeout", f"the body did not arrive within {self._seconds:g} s", {"Connection": "close"}
                ) from error
            if held.n_bytes > begun:
                yield b"".join(piece)

    async def _receive(self, request: Request, max_bytes: int, held: _Held, piece: list[bytes]) -> bool:
        """Append the next chunk to `piece`; return whether there is more."""
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        chunk: bytes = message.get("body", b"")
        if held.n_bytes + len(chunk) > max_bytes:
            raise upload_too_large(max_bytes)
        if self.n_bytes + len(chunk) > self._max_total:
            raise busy(RETRY_SECONDS)
        held.n_bytes += len(chunk)
        self.n_bytes += len(chunk)
        piece.append(chunk)
        return bool(message.get("more_body", False))


class _Held:
    """Bytes held by one body."""

    n_bytes = 0


def media_type(request: Request) -> str:
    """Return the media type of a request's body, in lower case and without parameters.

    Parameters
    ----------
    request : Request
        The request.
    """
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def read_bytes(chunks: AsyncGenerator[bytes, None]) -> bytes:
    """Return a whole body.

    Parameters
    ----------
    chunks : async generator of bytes
        Chunks from `BodyBudget.body`.
    """
    content = bytearray()
    async for chunk in chunks:
        content += chunk
    return bytes(content)


async def read_audio(chunks: AsyncGenerator[bytes, None]) -> UploadFile:
    """Return a body that is an audio file, which the caller closes.

    Parameters
    ----------
    chunks : async generator of bytes
        Chunks from `BodyBudget.body`.

    Raises
    ------
    ServiceError
        503 if it cannot be stored.
    """
    file = UploadFile(SpooledTemporaryFile(max_size=MAX_MEMORY_BYTES), size=0)  # type: ignore[arg-type]  # noqa: SIM115
    try:
        async for chunk in chunks:
            await file.write(chunk)
        await file.seek(0)
    except BaseException as error:
        file.file.close()
        if isinstance(error, OSError):
            raise storage_full(error) from error
        raise
    return file


async def read_files(
    request: Request, chunks: AsyncGenerator[bytes, None], field: str, max_files: int, max_parts: int
) -> list[UploadFile]:
    """Return the files of a form, which the caller closes.

    Parameters
    ----------
    request : Request
        Request with the headers of the form.
    chunks : async generator of bytes
        Chunks from `BodyBudget.body`.
    field : str
        Name of the parts with files; other parts are ignored.
    max_files, max_parts : int
        Most files named `field`, and most parts of any name.

    Raises
    ------
    ServiceError
        400 for a broken form, 413 for too many files or parts, 422 for none, 503 if they cannot be stored.
    """
    _, parameters = parse_options_header(request.headers["content-type"])
    if parameters.get(b"charset", b"utf-8").lower() != b"utf-8":
        raise ServiceError(415, "unsupported_media_type", "the charset of the form is not supported: leave it out")
    parser = MultiPartParser(
        request.headers, chunks, max_files=max_parts, max_fields=max_parts, max_part_size=MAX_FIELD_BYTES
    )
    try:
        form = await parser.parse()
    except MultiPartException as error:
        if "Too many" in error.message:
            raise ServiceError(413, "too_many_parts", f"the form has more than {max_parts} parts") from error
        if "Part exceeded" in error.message:
            detail = f"the form has more than {MAX_FIELD_BYTES} bytes in a part without a file name: {_SEND_A_NAME}"
            raise ServiceError(400, "invalid_body", detail) from error
        raise ServiceError(400, "invalid_body", f"the form cannot be read: {error.message}") from error
    except OSError as error:
        raise storage_full(error) from error
    files = [value for name, value in form.multi_items() if name == field and isinstance(value, UploadFile)]
    if 0 < len(files) <= max_files:
        for _, value in form.multi_items():
            if isinstance(value, UploadFile) and value not in files:
                value.file.close()
        return files
    await form.close()
    if not files and field in form:
        raise _invalid(f"the part {field!r} of the form has no file name: {_SEND_A_NAME}")
    if not files:
        found = ", ".join(sorted({repr(name[:MAX_NAME]) for name, _ in form.multi_items()})[:MAX_NAMES]) or "no parts"
        raise ServiceError(
            422,
            "invalid_request",
            f"the form has no file in a part named {field!r}, but {found}: `file` goes to /api/predict, `files` go to "
            "/api/predict/batch",
        )
    raise ServiceError(
        413 if max_files > 1 else 422,
        "too_many_files" if max_files > 1 else "invalid_request",
        f"the form has {len(files)} files named {field!r}: expected at most {max_files}",
    )


class _Body(msgspec.Struct, forbid_unknown_fields=True):
    """A JSON body. The spectrogram stays text, so that a hostile one becomes no Python objects."""

    path: str | msgspec.UnsetType = msgspec.UNSET
    spec: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


def parse_json(content: bytes, n_mels: int) -> str | NDArray[np.float32]:
    """Return the value of `{"path": ...}` or `{"spec": [[...]]}`.

    Parameters
    ----------
    content : bytes
        The JSON text.
    n_mels : int
        Number of rows of a spectrogram.

    Raises
    ------
    ServiceError
        400 if the text is not JSON, 422 if it is another object.
    """
    expected = 'expected {"path": "..."} or {"spec": [[...], ...]} and nothing else'
    try:
        body = msgspec.json.decode(content, type=_Body)
    except msgspec.ValidationError as error:
        raise _invalid(f"{str(error)[:MAX_MESSAGE]}: {expected}") from error
    except (ValueError, RecursionError) as error:
        detail = f"the body is not valid JSON, unlike its Content-Type: {str(error)[:MAX_MESSAGE]}"
        raise ServiceError(400, "invalid_body", detail) from error
    match body.path, body.spec:
        case str(path), msgspec.UnsetType():
            return path
        case msgspec.UnsetType(), msgspec.Raw() as spec:
            return _rows(bytes(spec), n_mels)
    raise _invalid(expected)


def starts_like_npy(file: BinaryIO) -> bool:
    """Return whether a file begins like a `.npy` file, and go back to its start.

    Parameters
    ----------
    file : binary file object
        At its start.
    """
    start = file.read(len(npy.MAGIC_PREFIX))
    file.seek(0)
    return start == npy.MAGIC_PREFIX


def parse_npy(content: bytes) -> NDArray[np.float32]:
    """Return the array of a `.npy` file, without unpickling and without trusting the size in the header.

    Parameters
    ----------
    content : bytes
        The file.

    Raises
    ------
    ServiceError
        400 for a broken file, 422 if the array does not have two dimensions of real numbers.
    """
    file = io.BytesIO(content)
    try:
        version = npy.read_magic(file)
        read = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}[version]
        shape, fortran, dtype = read(file)
    except Exception as error:  # the header is parsed as Python, which fails in a dozen ways
        raise ServiceError(
            400, "invalid_body", f"the body begins with {content[:8]!r}, expected a .npy file of version 1 or 2"
        ) from error
    if len(shape) != 2 or dtype.kind not in "fiu":
        raise _invalid(f"the array has {len(shape)} dimensions of {dtype.kind!r}: expected 2 of real numbers")
    n_values, rest = shape[0] * shape[1], content[file.tell() :]
    if not all(type(size) is int and 0 <= size <= len(content) for size in shape) or n_values * dtype.itemsize != len(
        rest
    ):
        raise ServiceError(400, "invalid_body", "the size in the .npy header differs from the size of the body")
    return _float32(np.frombuffer(rest, dtype).reshape(shape, order="F" if fortran else "C"))


def _rows(text: bytes, n_mels: int) -> NDArray[np.float32]:
    """Parse the rows of a JSON array one by one, after their number and lengths were checked."""
    *rows, end = text[1:-1].split(b"]", n_mels + 1)
    if not text.startswith(b"[") or len(rows) != n_mels or end.strip():
        found = counted(text.count(b"[") - 1, "row") if text.startswith(b"[") else "no list of rows"
        raise _invalid(f"spec has {found}: expected {n_mels} rows of numbers, the lowest mel band first")
    rows = [row.strip().removeprefix(b",") for row in rows]
    ragged = _invalid("the rows of spec differ in length: expected rows of the same length")
    if len({row.count(b",") for row in rows}) > 1:
        raise ragged
    try:
        values = [np.array(msgspec.json.decode(row + b"]", type=list[float]), np.float64) for row in rows]
    except msgspec.DecodeError as error:
        raise _invalid("spec contains a value that is not a number, or too large: expected decibels") from error
    if len(set(map(len, values))) > 1:
        raise ragged
    return _float32(np.array(values))


def _float32(array: NDArray[Any]) -> NDArray[np.float32]:
    with np.errstate(over="ignore", invalid="ignore"):  # too large values become infinite, which the runtime refuses
        return array.astype(np.float32)


def _invalid(detail: str) -> ServiceError:
    return ServiceError(422, "invalid_request", detail)
