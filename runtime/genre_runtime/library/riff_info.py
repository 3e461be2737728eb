"""The genre in a WAV file's list of INFO texts, which mutagen does not read.

It is read so that a file with a genre is known for one; written is the ID3 chunk, which players prefer.
"""

from __future__ import annotations

import struct
from typing import BinaryIO

_MAX_LIST_BYTES = 2**20
"""A list of texts beyond this is damage."""


def riff_info_genres(file: BinaryIO) -> tuple[str, ...]:
    """Return the text of IGNR, if there is one."""
    offset = 12
    while len(head := _read(file, offset, 12)) == 12:
        name, size, kind = struct.unpack("<4sI4s", head)
        if (name, kind) == (b"LIST", b"INFO"):
            return _genres(_read(file, offset + 12, min(size - 4, _MAX_LIST_BYTES)) if size > 4 else b"")
        offset += 8 + size + size % 2
    return ()


def _genres(texts: bytes) -> tuple[str, ...]:
    while len(texts) > 8:
        name, size = struct.unpack_from("<4sI", texts)
        if name == b"IGNR":
            text = texts[8 : 8 + size].split(b"\0")[0]
            try:
                genre = text.decode()
            except UnicodeDecodeError:
                genre = text.decode("latin-1")
            return (genre,) if genre.strip() else ()
        texts = texts[8 + size + size % 2 :]
    return ()


def _read(file: BinaryIO, offset: int, n_bytes: int) -> bytes:
    file.seek(offset)
    return file.read(n_bytes)
