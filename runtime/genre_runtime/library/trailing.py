"""The tags in the last bytes of some files: ID3v1, which has one byte for the genre, and its extension "TAG+"."""

from __future__ import annotations

import os
import struct
from typing import BinaryIO

from genre_runtime.library.errors import UntaggableError
from genre_runtime.library.places import Place, fitting

SIZE = 128
_NO_GENRE = 255
_PLUS_SIZE = 227
_PLUS_GENRE = slice(185, 215)
_PLUS_WIDTH = 30
_APE_FOOTER = 32
"""Bytes; the header has as many."""


def read_id3v1(file: BinaryIO) -> bytes:
    """Return the ID3v1 tag that ends the file, or nothing."""
    size = file.seek(0, os.SEEK_END)
    if size < SIZE:
        return b""
    start = max(0, size - SIZE - 3)
    file.seek(start)
    content = file.read()
    before, tail = content[: size - SIZE - start], content[size - SIZE - start :]
    if not tail.startswith(b"TAG") or (before == b"APE" and tail.startswith(b"TAGEX")):
        return b""
    return tail


def read_tail(file: BinaryIO) -> bytes:
    """Return the ID3v1 tag that ends the file with the extension in front of it, or nothing."""
    tail = read_id3v1(file)
    size = file.seek(0, os.SEEK_END)
    if not tail or size < SIZE + _PLUS_SIZE:
        return tail
    file.seek(size - SIZE - _PLUS_SIZE)
    plus = file.read(_PLUS_SIZE)
    return plus + tail if plus.startswith(b"TAG+") else tail


def take_tail(file: BinaryIO) -> bytes:
    """Cut the ID3v1 tag and its extension off and return them: mutagen would write its own in their place, or none."""
    tail = read_tail(file)
    file.truncate(file.seek(0, os.SEEK_END) - len(tail))
    return tail


def put_tail(file: BinaryIO, tail: bytes, genre: str) -> None:
    """Append the tags again, the genre changed to what they can say of it."""
    if not tail:
        return
    plus, tag = tail[:-SIZE], tail[-SIZE:]
    if plus and plus[_PLUS_GENRE].strip(b"\0 "):
        text = fitting(genre, _PLUS_WIDTH).encode("latin-1").ljust(_PLUS_WIDTH, b"\0")
        plus = plus[: _PLUS_GENRE.start] + text + plus[_PLUS_GENRE.stop :]
    file.seek(0, os.SEEK_END)
    file.write(plus + tag[:-1] + bytes((genre_number(genre),)))


def tail_places(file: BinaryIO) -> list[Place]:
    """Return what the ID3v1 tag and its extension say of the genre."""
    from mutagen.id3 import TCON

    tail = read_tail(file)
    if not tail:
        return []
    names: list[str] = TCON.GENRES
    plus = tail[:-SIZE][_PLUS_GENRE].split(b"\0")[0].decode("latin-1").strip()
    number = tail[-1]
    return [
        *([Place('the "TAG+" extension of the ID3v1 tag', (plus,), width=_PLUS_WIDTH)] if plus else []),
        *([Place("the ID3v1 tag", (names[number],), number=number)] if number < len(names) else []),
    ]


def tail_without_genre(file: BinaryIO) -> str:
    """Return the rest of the ID3v1 tag and its extension in a form to compare."""
    tail = read_tail(file)
    plus = tail[:-SIZE]
    return repr((plus[: _PLUS_GENRE.start] + plus[_PLUS_GENRE.stop :], tail[-SIZE:-1]))


def end_of_audio(file: BinaryIO) -> int:
    """Return where the tags at the end of a file begin: APEv2, then ID3v1; bytes from its beginning."""
    end = file.seek(0, os.SEEK_END) - len(read_tail(file))
    file.seek(max(0, end - _APE_FOOTER))
    footer = file.read(min(end, _APE_FOOTER))
    if len(footer) == _APE_FOOTER and footer.startswith(b"APETAGEX"):
        _, size, _, flags = struct.unpack_from("<4I", footer, 8)
        has_header = flags >> 31
        end = max(0, end - size - has_header * _APE_FOOTER)
    return end


def refuse_lyrics3(file: BinaryIO) -> None:
    """Raise if the file ends in a block of lyrics, which mutagen drops when it writes an APEv2 tag.

    Raises
    ------
    UntaggableError
    """
    file.seek(max(0, file.seek(0, os.SEEK_END) - 9))
    if file.read(9) in (b"LYRICS200", b"LYRICSEND"):
        raise UntaggableError("the file ends in a Lyrics3 block, which would be lost: remove it or tag by hand")


def genre_number(genre: str) -> int:
    """Return ID3v1's number of a genre, or that of none; case and punctuation do not matter."""
    from mutagen.id3 import TCON

    names = [_letters(name) for name in TCON.GENRES]
    return names.index(_letters(genre)) if _letters(genre) in names else _NO_GENRE


def _letters(name: str) -> str:
    return "".join(character for character in name.casefold() if character.isalnum())
