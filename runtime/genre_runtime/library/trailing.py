"""The ID3v1 tag, the last 128 bytes of some files: its one byte for the genre is kept in step with the others."""

from __future__ import annotations

import os
from typing import BinaryIO

from genre_runtime.library.errors import UntaggableError

SIZE = 128
_NO_GENRE = 255


def read_id3v1(file: BinaryIO) -> bytes:
    """Return the ID3v1 tag that ends the file, or nothing."""
    size = file.seek(0, os.SEEK_END)
    if size < SIZE:
        return b""
    file.seek(-SIZE, os.SEEK_END)
    tail = file.read(SIZE)
    return tail if tail.startswith(b"TAG") else b""


def take_id3v1(file: BinaryIO) -> bytes:
    """Cut the ID3v1 tag off and return it: mutagen would write its own in its place, or none."""
    tail = read_id3v1(file)
    file.truncate(file.seek(0, os.SEEK_END) - len(tail))
    return tail


def refuse_lyrics3(file: BinaryIO) -> None:
    """Raise if the file ends in a block of lyrics, which mutagen drops when it writes an APEv2 tag.

    Raises
    ------
    UntaggableError
    """
    file.seek(max(0, file.seek(0, os.SEEK_END) - 9))
    if file.read(9) in (b"LYRICS200", b"LYRICSEND"):
        raise UntaggableError("the file ends in a Lyrics3 block, which would be lost: remove it or tag by hand")


def put_id3v1(file: BinaryIO, tail: bytes, genre: str) -> None:
    """Append the tag again, its genre changed to the nearest it can say."""
    if tail:
        file.seek(0, os.SEEK_END)
        file.write(tail[:-1] + bytes((genre_number(genre),)))


def genre_of_id3v1(tail: bytes) -> tuple[str, ...]:
    """Return the genre that an ID3v1 tag names, if any."""
    from mutagen.id3 import TCON

    names: list[str] = TCON.GENRES
    return (names[tail[-1]],) if tail and tail[-1] < len(names) else ()


def genre_number(genre: str) -> int:
    """Return ID3v1's number of a genre, or that of none; case and punctuation do not matter."""
    from mutagen.id3 import TCON

    names = [_letters(name) for name in TCON.GENRES]
    return names.index(_letters(genre)) if _letters(genre) in names else _NO_GENRE


def _letters(name: str) -> str:
    return "".join(character for character in name.casefold() if character.isalnum())
