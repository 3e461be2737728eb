"""Where the ID3v2 tags in front of a file's audio begin and end.

A part of an open file, read as if it were a file of its own.

The places of a file in which a genre can be stored, and whether they agree.

Players differ in the place they read. A genre that is changed in one place alone is shown by some players only.

The tags in the last bytes of some files: ID3v1, which has one byte for the genre, and its extension "TAG+".
"""

from __future__ import annotations

import io
import os
import re
import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import BinaryIO, NamedTuple

from genre_runtime.errors import UntaggableError

_MOST_TAGS = 64
"""In front of one file; more of them are damage."""


def front_size(file: BinaryIO) -> int:
    """Return the bytes of the first ID3v2 tag at the beginning of a file, without its footer; 0 if there is none."""
    return _size_at(file, 0)[0]


def has_footer(file: BinaryIO) -> bool:
    """Return whether the first ID3v2 tag has a footer, which mutagen leaves behind."""
    return _size_at(file, 0)[1] > 0


def front_end(file: BinaryIO) -> int:
    """Return where the last of the ID3v2 tags in front of a file ends."""
    *_, end = (0, *(offset + size for offset, size in front_tags(file)))
    return end


def front_tags(file: BinaryIO) -> Iterator[tuple[int, int]]:
    """Yield offset and size, with the footer, of each ID3v2 tag in front of the audio."""
    offset = 0
    for _ in range(_MOST_TAGS):
        size = sum(_size_at(file, offset))
        if not size:
            return
        yield offset, size
        offset += size


def _size_at(file: BinaryIO, offset: int) -> tuple[int, int]:
    """Return the bytes of a tag and of its footer."""
    file.seek(offset)
    head = file.read(10)
    if len(head) < 10 or head[:3] != b"ID3" or head[3] > 4:
        return 0, 0
    size = sum((byte & 0x7F) << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=True))
    return 10 + size, 10 if head[5] & 0x10 else 0


class Window(io.RawIOBase):
    """The bytes from `start` up to `end` of a file, read-only.

    Parameters
    ----------
    file : binary file object
        Seekable. Its position is changed by every read.
    start, end : int
        Bytes from the file's beginning; without an end, the file's own.
    """

    def __init__(self, file: BinaryIO, start: int = 0, end: int | None = None) -> None:
        size = file.seek(0, io.SEEK_END)
        self._file = file
        self._end = size if end is None else max(0, min(end, size))
        self._start = min(start, self._end)
        self._position = 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to a position and return it."""
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._end - self._start}[whence]
        if origin + offset < 0:  # as a file on the disk refuses it
            raise OSError(22, "Invalid argument")
        self._position = origin + offset
        return self._position

    def tell(self) -> int:
        """Return the position."""
        return self._position

    def read(self, size: int | None = -1, /) -> bytes:
        """Read up to `size` bytes, all that are left by default."""
        left = max(0, self._end - self._start - self._position)
        n_bytes = left if size is None or size < 0 else min(size, left)
        if not n_bytes:
            return b""
        self._file.seek(self._start + self._position)
        content = self._file.read(n_bytes)
        self._position += len(content)
        return content


JOINT = "/"
"""Between the genres in a place that holds one text only."""

_XMP_GENRE = re.compile(rb"xmpDM:genre\s*(?:=\s*(?:\"([^\"]*)\"|'([^']*)')|>([^<]*)<)")


class Place(NamedTuple):
    """One place for a genre.

    Attributes
    ----------
    name : str
        In words, for messages.
    genres : tuple of str
        What it says, empty if nothing.
    width : int or None
        Characters that fit, where that is limited.
    number : int or None
        ID3v1's number of a genre where the place holds nothing else.
    """

    name: str
    genres: tuple[str, ...]
    width: int | None = None
    number: int | None = None

    @property
    def is_text(self) -> bool:
        """Whether the place can say any genre in full."""
        return self.width is None and self.number is None

    def agrees_with(self, genres: Sequence[str]) -> bool:
        """Return whether the place says nothing, or these genres as well as it can."""
        if not self.genres:
            return True
        if self.number is not None:
            pass

            return self.number == genre_number(genres[0])
        if self.width is not None:
            return self.genres[0] == fitting(genres[0], self.width)
        return JOINT.join(self.genres) == JOINT.join(genres)


def first_genres(places: Iterable[Place]) -> tuple[str, ...]:
    """Return the genres of the first place that has any."""
    return next((place.genres for place in places if place.genres), ())


def all_genres(places: Sequence[Place]) -> tuple[str, ...]:
    """Return the genres of the first place, then those that other places say in full and it does not."""
    found = list(first_genres(places))
    for genre in (genre for place in places if place.is_text for genre in place.genres):
        known = names_known(found)
        if (
            genre.strip().casefold() not in known
            and not {part.strip().casefold() for part in genre.split(JOINT)} <= known
        ):
            found.append(genre)
    return tuple(found)


def names_known(genres: Iterable[str]) -> set[str]:
    """Return what genres are called, in small letters: a text such as "Rock/Pop" may hold several."""
    return {part.strip().casefold() for genre in genres for part in (genre, *genre.split(JOINT))}


def fitting(genre: str, width: int) -> str:
    """Return as much of a genre as a place of `width` Latin-1 characters holds."""
    return genre.encode("latin-1", errors="replace")[:width].decode("latin-1").strip()


def xmp_places(name: str, content: bytes) -> list[Place]:
    """Return the genre that a block of XMP names, if any."""
    found = [next(filter(None, groups), b"") for groups in _XMP_GENRE.findall(content)]
    genres = tuple(text.decode(errors="replace").strip() for text in found)
    return [Place(name, tuple(filter(None, genres)))] if any(genres) else []


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
