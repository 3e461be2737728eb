"""Opening files that a client names by path: inside the folders that the settings name, and nowhere else.

Reading a request's body: bounded in bytes and in time while it arrives, before a place in the queue is taken.
"""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import BinaryIO

from fastapi import Request
from python_multipart.multipart import parse_options_header
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from genre_api.problems import ServiceError, busy, upload_too_large
from genre_api.work_queue import ClientGone

# Without O_NONBLOCK the opening of a named pipe waits for somebody to write into it.
_FLAGS = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


def open_inside(path: str, roots: Sequence[str]) -> BinaryIO:
    """Open a regular file that lies, links followed, in one of the folders.

    Parameters
    ----------
    path : str
        Absolute, or relative to one of the folders.
    roots : sequence of str
        Absolute paths of folders.

    Raises
    ------
    ServiceError
        403 without any folder. 404 in every other case, in the same words: whoever asks for a path outside does not
        learn whether there is something.
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
"""What a socket gives at once is little: taken one by one, each write to a temporary file waits for a thread."""
MAX_NAME, MAX_NAMES = 40, 5
"""Of a form's parts in an error: characters and number."""
MAX_FIELD_BYTES = 4096
"""The forms of this service have no fields of text worth more."""


class BodyBudget:
    """Bytes of all bodies that are held at once, so that many clients together cannot fill memory and disk.

    Parameters
    ----------
    max_total : int
    seconds : float
        Longest time for one body to arrive.
    """

    def __init__(self, max_total: int, seconds: float) -> None:
        self._max_total = max_total
        self._seconds = seconds
        self.n_bytes = 0

    @asynccontextmanager
    async def body(self, request: Request, max_bytes: int) -> AsyncIterator[AsyncGenerator[bytes, None]]:
        """Give the chunks of a body; its bytes count until the context ends.

        The chunks raise `ServiceError` (413, 408, 415, or 503 when all bodies together are too many) and `ClientGone`.
        """
        if request.headers.get("content-encoding", "identity").lower() != "identity":
            raise ServiceError(415, "unsupported_media_type", "Content-Encoding is not understood: send plain bytes")
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
        """Add what has come to `piece`, if it may be held; returns whether there is more."""
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
    """Bytes that one body counts for."""

    n_bytes = 0


async def read_bytes(chunks: AsyncGenerator[bytes, None]) -> bytes:
    """Return a whole small body."""
    content = bytearray()
    async for chunk in chunks:
        content += chunk
    return bytes(content)


async def read_files(
    request: Request, chunks: AsyncGenerator[bytes, None], field: str, max_files: int, max_parts: int
) -> list[UploadFile]:
    """Return the files of a form; whoever calls closes them. They have no name on the disk where the system allows it.

    Raises
    ------
    ServiceError
        400 for a broken form, 413 for too many files or parts, 422 for none.
    """
    _, parameters = parse_options_header(request.headers["content-type"])
    if parameters.get(b"charset", b"utf-8").lower() != b"utf-8":
        raise ServiceError(415, "unsupported_media_type", "the form's charset is not understood: leave it out")
    parser = MultiPartParser(
        request.headers, chunks, max_files=max_parts, max_fields=max_parts, max_part_size=MAX_FIELD_BYTES
    )
    try:
        form = await parser.parse()
    except MultiPartException as error:
        if "Too many" in error.message:
            raise ServiceError(413, "too_many_parts", f"the form has more than {max_parts} parts") from error
        raise ServiceError(400, "invalid_body", f"the form cannot be read: {error.message}") from error
    files = [value for name, value in form.multi_items() if name == field and isinstance(value, UploadFile)]
    if 0 < len(files) <= max_files:
        for _, value in form.multi_items():
            if isinstance(value, UploadFile) and value not in files:
                value.file.close()
        return files
    await form.close()
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
        f"the form has {len(files)} files named {field!r}: at most {max_files} can be taken",
    )
