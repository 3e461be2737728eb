"""The tags behind the audio: an APEv2 tag, then ID3v1 (one byte for the genre) with its extension "TAG+" before it.

mutagen does not handle ID3v1 as this package needs it, so its bytes are edited here.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Sequence
from typing import BinaryIO

from genre_runtime.library.tags.base import Place, genre_number, import_mutagen, read_at, shortened
from genre_runtime.library.tags.fields import GENRE, Field

_ID3V1_BYTES = 128
_PLUS_BYTES = 227
_PLUS_GENRE = slice(185, 215)
_PLUS_WIDTH = 30
_APE_FOOTER_BYTES = 32
"""The header has as many."""


def read_id3v1(file: BinaryIO) -> bytes:
    """Return the ID3v1 tag at the end of the file with its extension "TAG+" in front, or nothing.

    Parameters
    ----------
    file : binary file object
    """
    size = file.seek(0, os.SEEK_END)
    tag = read_at(file, size - _ID3V1_BYTES, _ID3V1_BYTES) if size >= _ID3V1_BYTES else b""
    if not tag.startswith(b"TAG"):
        return b""
    start = max(0, size - _ID3V1_BYTES - 3)
    # "APETAGEX" may begin three bytes earlier.
    if tag.startswith(b"TAGEX") and read_at(file, start, size - _ID3V1_BYTES - start) == b"APE":
        return b""
    if size < _ID3V1_BYTES + _PLUS_BYTES:
        return tag
    plus = read_at(file, size - _ID3V1_BYTES - _PLUS_BYTES, _PLUS_BYTES)
    return plus + tag if plus.startswith(b"TAG+") else tag


def cut_id3v1(file: BinaryIO) -> bytes:
    """Remove the ID3v1 tag and its extension and return them. mutagen would otherwise replace or drop them.

    Parameters
    ----------
    file : binary file object
    """
    tag = read_id3v1(file)
    file.truncate(file.seek(0, os.SEEK_END) - len(tag))
    return tag


def append_id3v1(file: BinaryIO, tag: bytes, genres: Sequence[str]) -> None:
    """Append what `cut_id3v1` returned, with another genre as far as it fits.

    Parameters
    ----------
    file : binary file object
    tag : bytes
    genres : sequence of str
        The first is written; without one, the tag stays as it is.
    """
    if not tag:
        return
    if not genres:
        file.seek(0, os.SEEK_END)
        file.write(tag)
        return
    genre = genres[0]
    plus, tag = tag[:-_ID3V1_BYTES], tag[-_ID3V1_BYTES:]
    if plus and plus[_PLUS_GENRE].strip(b"\0 "):
        text = shortened(genre, _PLUS_WIDTH).encode("latin-1").ljust(_PLUS_WIDTH, b"\0")
        plus = plus[: _PLUS_GENRE.start] + text + plus[_PLUS_GENRE.stop :]
    file.seek(0, os.SEEK_END)
    file.write(plus + tag[:-1] + bytes((genre_number(genre),)))


def id3v1_places(file: BinaryIO, field: Field) -> list[Place]:
    """Return the genres of the ID3v1 tag and of its extension; none for other fields.

    Parameters
    ----------
    file : binary file object
    field : Field
    """
    tag = read_id3v1(file) if field == GENRE else b""
    if not tag:
        return []
    names: list[str] = import_mutagen("mutagen.id3").TCON.GENRES
    plus = tag[:-_ID3V1_BYTES][_PLUS_GENRE].split(b"\0")[0].decode("latin-1").strip()
    number = tag[-1]
    return [
        *([Place('the "TAG+" extension of the ID3v1 tag', (plus,), width=_PLUS_WIDTH)] if plus else []),
        *([Place("the ID3v1 tag", (names[number],), number=number)] if number < len(names) else []),
    ]


def id3v1_others(file: BinaryIO, fields: Iterable[Field]) -> dict[str, str]:
    """Return the ID3v1 tag and its extension without these fields, in a form that can be compared.

    Parameters
    ----------
    file : binary file object
    fields : iterable of Field
    """
    tag = read_id3v1(file)
    if GENRE not in fields:
        return {"<id3v1>": repr(tag)}
    plus = tag[:-_ID3V1_BYTES]
    return {"<id3v1>": repr((plus[: _PLUS_GENRE.start] + plus[_PLUS_GENRE.stop :], tag[-_ID3V1_BYTES:-1]))}


def end_of_audio(file: BinaryIO) -> int:
    """Return the offset at which the APEv2 and ID3v1 tags behind the audio begin.

    Parameters
    ----------
    file : binary file object
    """
    end = file.seek(0, os.SEEK_END) - len(read_id3v1(file))
    footer = read_at(file, max(0, end - _APE_FOOTER_BYTES), min(end, _APE_FOOTER_BYTES))
    if len(footer) == _APE_FOOTER_BYTES and footer.startswith(b"APETAGEX"):
        _, size, _, flags = struct.unpack_from("<4I", footer, 8)
        has_header = flags >> 31
        end = max(0, end - size - has_header * _APE_FOOTER_BYTES)
    return end
