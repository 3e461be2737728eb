"""A file as the only part of a form, in blocks, so that none is held whole."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from genre_runtime.errors import UnreadableAudioError

BLOCK_BYTES = 2**16
_FIELD = 'Content-Disposition: form-data; name="file"; filename="track"\r\nContent-Type: application/octet-stream'


class Form:
    """The body of a request, over an open file.

    Attributes
    ----------
    content_type : str
    n_bytes : int
        Of the whole body.
    """

    def __init__(self, file: BinaryIO) -> None:
        boundary = secrets.token_hex(16)
        self._file, self._size = file, os.fstat(file.fileno()).st_size
        self._head = f"--{boundary}\r\n{_FIELD}\r\n\r\n".encode()
        self._tail = f"\r\n--{boundary}--\r\n".encode()
        self.content_type = f"multipart/form-data; boundary={boundary}"
        self.n_bytes = len(self._head) + self._size + len(self._tail)

    def blocks(self) -> Iterator[bytes]:
        """Yield the body.

        Raises
        ------
        UnreadableAudioError
            The file cannot be read as far as it was long when it was opened.
        """
        yield self._head
        left = self._size
        while left:
            try:
                block = self._file.read(min(BLOCK_BYTES, left))
            except OSError as error:
                raise UnreadableAudioError(f"the file cannot be read: {error.strerror}") from error
            if not block:
                raise UnreadableAudioError("the file became shorter while it was sent: try again when it is whole")
            left -= len(block)
            yield block
        yield self._tail


@contextmanager
def opened_form(path: Path) -> Iterator[Form]:
    """Open a file for the time of its upload.

    Raises
    ------
    UnreadableAudioError
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise UnreadableAudioError(f"the file cannot be opened: {error.strerror}") from error
    with file:
        yield Form(file)
