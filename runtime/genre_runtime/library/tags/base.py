"""What all tag formats share: the adapter interface, fields that hold a genre, and the tags at both ends of a file.

A file may name its genre in several fields, and players differ in the field they read. `GenreField` compares them.
In front of the audio there may be ID3v2 tags; behind it an APEv2 tag, then ID3v1 (one byte for the genre) with its
extension "TAG+" before it. mutagen does not handle ID3v1 as this package needs it, so its bytes are edited here.
"""

from __future__ import annotations

import io
import os
import re
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, BinaryIO, NamedTuple, Protocol

from genre_runtime.errors import MissingDependencyError, UntaggableError

VENDOR = "<vendor>"
"""Key in `TagAdapter.other_fields` of the program that wrote Vorbis comments. New comments name mutagen."""

SEPARATOR = "/"
"""Between genres in a field that holds one text only."""

_XMP_GENRE = re.compile(rb"xmpDM:genre\s*(?:=\s*(?:\"([^\"]*)\"|'([^']*)')|>([^<]*)<)")
_MOST_FRONT_TAGS = 64
"""More ID3v2 tags in front of one file are damage."""
_ID3V1_BYTES = 128
_NO_GENRE = 255
_PLUS_BYTES = 227
_PLUS_GENRE = slice(185, 215)
_PLUS_WIDTH = 30
_APE_FOOTER_BYTES = 32
"""The header has as many."""


class GenreField(NamedTuple):
    """One field of a file that can hold genres.

    Attributes
    ----------
    name : str
        For messages.
    genres : tuple of str
        Its value; empty if it has none.
    width : int or None
        Most characters, if limited.
    number : int or None
        ID3v1's number of the genre, if the field holds only that.
    """

    name: str
    genres: tuple[str, ...]
    width: int | None = None
    number: int | None = None

    def agrees_with(self, genres: Sequence[str]) -> bool:
        """Return whether the field is empty or names these genres as well as it can.

        Parameters
        ----------
        genres : sequence of str
            At least one.
        """
        if not self.genres:
            return True
        if self.number is not None:
            return self.number == genre_number(genres[0])
        if self.width is not None:
            return self.genres[0] == _shortened(genres[0], self.width)
        return SEPARATOR.join(self.genres) == SEPARATOR.join(genres)


@dataclass(frozen=True)
class Written:
    """What an adapter wrote.

    Attributes
    ----------
    genres : tuple of str
        As they are read back.
    converted : bool
        Whether all tags were converted to another version of their format, so that other fields may read differently.
    """

    genres: tuple[str, ...]
    converted: bool = False


class TagAdapter(Protocol):
    """Reads and writes the tags of one kind of file.

    Files are open in binary mode and seekable. Errors of mutagen are not converted here.
    """

    def genre_fields(self, file: BinaryIO) -> list[GenreField]:
        """Return the fields that can hold a genre, the main one first.

        Parameters
        ----------
        file : binary file object
        """
        ...

    def other_fields(self, file: BinaryIO) -> dict[str, str]:
        """Return all other content of the tags, in a form that can be compared.

        Parameters
        ----------
        file : binary file object
        """
        ...

    def write(self, file: BinaryIO, genres: Sequence[str], id3_version: int | None) -> Written:
        """Replace the genres in place.

        Parameters
        ----------
        file : binary file object
        genres : sequence of str
            At least one.
        id3_version : 3, 4 or None
            Minor version of ID3v2 tags; None keeps the present one. Other formats ignore it.
        """
        ...

    def check(self, file: BinaryIO) -> None:  # noqa: ARG002
        """Raise if the file holds no audio of this kind. By default nothing is checked: FFmpeg reads the audio.

        Parameters
        ----------
        file : binary file object
        """
        return


def import_mutagen(name: str = "mutagen") -> Any:
    """Import mutagen or one of its modules.

    Parameters
    ----------
    name : str
        Dotted name of the module.

    Raises
    ------
    MissingDependencyError
    """
    try:
        return import_module(name)
    except ImportError as error:
        raise MissingDependencyError(
            f"mutagen, which reads and writes tags, cannot be imported ({error}): install genre-runtime[library]"
        ) from error


def first_genres(fields: Iterable[GenreField]) -> tuple[str, ...]:
    """Return the genres of the first field that has any.

    Parameters
    ----------
    fields : iterable of GenreField
    """
    return next((field.genres for field in fields if field.genres), ())


def all_genres(fields: Sequence[GenreField]) -> tuple[str, ...]:
    """Return the genres of the first field, then those that only other fields name in full.

    Parameters
    ----------
    fields : sequence of GenreField
    """
    found = list(first_genres(fields))
    in_full = (field.genres for field in fields if field.width is None and field.number is None)
    for genre in (genre for genres in in_full for genre in genres):
        known = known_names(found)
        parts = {part.strip().casefold() for part in genre.split(SEPARATOR)}
        if genre.strip().casefold() not in known and not parts <= known:
            found.append(genre)
    return tuple(found)


def known_names(genres: Iterable[str]) -> set[str]:
    """Return the names in a list of genres, casefolded; a text such as "Rock/Pop" adds itself and its parts.

    Parameters
    ----------
    genres : iterable of str
    """
    return {part.strip().casefold() for genre in genres for part in (genre, *genre.split(SEPARATOR))}


def xmp_fields(name: str, content: bytes) -> list[GenreField]:
    """Return the genre in a block of XMP as one field, or none.

    Parameters
    ----------
    name : str
        Of the field.
    content : bytes
        The block.
    """
    found = [next(filter(None, groups), b"") for groups in _XMP_GENRE.findall(content)]
    genres = tuple(text.decode(errors="replace").strip() for text in found)
    return [GenreField(name, tuple(filter(None, genres)))] if any(genres) else []


class FileSlice(io.RawIOBase):
    """The bytes from `start` to `end` of a file as a read-only file of its own.

    Parameters
    ----------
    file : binary file object
        Seekable. Every read changes its position.
    start, end : int
        Bytes from the beginning of the file; without an end, to its end.
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

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Move to a position and return it.

        Parameters
        ----------
        offset : int
            Bytes.
        whence : int
            As in `io.IOBase.seek`.
        """
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._end - self._start}[whence]
        if origin + offset < 0:  # a file on disk refuses it, too
            raise OSError(22, "Invalid argument")
        self._position = origin + offset
        return self._position

    def tell(self) -> int:
        """Return the position."""
        return self._position

    def read(self, size: int | None = -1, /) -> bytes:
        """Read up to `size` bytes, by default to the end.

        Parameters
        ----------
        size : int or None
        """
        left = max(0, self._end - self._start - self._position)
        n_bytes = left if size is None or size < 0 else min(size, left)
        if not n_bytes:
            return b""
        content = read_at(self._file, self._start + self._position, n_bytes)
        self._position += len(content)
        return content


def rewound(file: BinaryIO) -> BinaryIO:
    """Seek to the beginning, where mutagen expects the file, and return the file.

    Parameters
    ----------
    file : binary file object
    """
    file.seek(0)
    return file


def read_at(file: BinaryIO, offset: int, n_bytes: int) -> bytes:
    """Read bytes at an offset.

    Parameters
    ----------
    file : binary file object
    offset : int
        Bytes from the beginning.
    n_bytes : int
        Most bytes.
    """
    file.seek(offset)
    return file.read(n_bytes)


def front_tags(file: BinaryIO) -> Iterator[tuple[int, int]]:
    """Yield offset and size in bytes, footer included, of each ID3v2 tag in front of the audio.

    Parameters
    ----------
    file : binary file object
    """
    offset = 0
    for _ in range(_MOST_FRONT_TAGS):
        size = sum(_front_tag_sizes(file, offset))
        if not size:
            return
        yield offset, size
        offset += size


def front_size(file: BinaryIO) -> int:
    """Return the bytes of the first ID3v2 tag in front of the audio, without its footer; 0 if there is none.

    Parameters
    ----------
    file : binary file object
    """
    return _front_tag_sizes(file, 0)[0]


def front_end(file: BinaryIO) -> int:
    """Return the offset of the first byte behind all ID3v2 tags in front of the audio.

    Parameters
    ----------
    file : binary file object
    """
    return sum(size for _, size in front_tags(file))


def has_footer(file: BinaryIO) -> bool:
    """Return whether the first ID3v2 tag has a footer, which mutagen does not remove.

    Parameters
    ----------
    file : binary file object
    """
    return _front_tag_sizes(file, 0)[1] > 0


def check_no_front_id3(file: BinaryIO, container: str) -> None:
    """Raise if ID3v2 tags precede a container that has tags of its own.

    Parameters
    ----------
    file : binary file object
    container : str
        Its name, for the message.

    Raises
    ------
    UntaggableError
    """
    if front_end(file):
        raise UntaggableError(
            f"an ID3v2 tag precedes the {container} container, so its own tags cannot be written: remove it first"
        )


def _front_tag_sizes(file: BinaryIO, offset: int) -> tuple[int, int]:
    """Return the bytes of the ID3v2 tag at an offset and of its footer."""
    head = read_at(file, offset, 10)
    if len(head) < 10 or head[:3] != b"ID3" or head[3] > 4:
        return 0, 0
    size = sum((byte & 0x7F) << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=True))
    return 10 + size, 10 if head[5] & 0x10 else 0


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


def append_id3v1(file: BinaryIO, tag: bytes, genre: str) -> None:
    """Append what `cut_id3v1` returned, with another genre as far as it fits.

    Parameters
    ----------
    file : binary file object
    tag : bytes
    genre : str
    """
    if not tag:
        return
    plus, tag = tag[:-_ID3V1_BYTES], tag[-_ID3V1_BYTES:]
    if plus and plus[_PLUS_GENRE].strip(b"\0 "):
        text = _shortened(genre, _PLUS_WIDTH).encode("latin-1").ljust(_PLUS_WIDTH, b"\0")
        plus = plus[: _PLUS_GENRE.start] + text + plus[_PLUS_GENRE.stop :]
    file.seek(0, os.SEEK_END)
    file.write(plus + tag[:-1] + bytes((genre_number(genre),)))


def id3v1_fields(file: BinaryIO) -> list[GenreField]:
    """Return the genres of the ID3v1 tag and of its extension.

    Parameters
    ----------
    file : binary file object
    """
    tag = read_id3v1(file)
    if not tag:
        return []
    names: list[str] = import_mutagen("mutagen.id3").TCON.GENRES
    plus = tag[:-_ID3V1_BYTES][_PLUS_GENRE].split(b"\0")[0].decode("latin-1").strip()
    number = tag[-1]
    return [
        *([GenreField('the "TAG+" extension of the ID3v1 tag', (plus,), width=_PLUS_WIDTH)] if plus else []),
        *([GenreField("the ID3v1 tag", (names[number],), number=number)] if number < len(names) else []),
    ]


def id3v1_others(file: BinaryIO) -> dict[str, str]:
    """Return the rest of the ID3v1 tag and of its extension in a form that can be compared.

    Parameters
    ----------
    file : binary file object
    """
    tag = read_id3v1(file)
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


def genre_number(genre: str) -> int:
    """Return ID3v1's number of a genre, 255 if it has none. Case and punctuation are ignored.

    Parameters
    ----------
    genre : str
    """
    names = [_alphanumeric(name) for name in import_mutagen("mutagen.id3").TCON.GENRES]
    return names.index(_alphanumeric(genre)) if _alphanumeric(genre) in names else _NO_GENRE


def _alphanumeric(name: str) -> str:
    return "".join(character for character in name.casefold() if character.isalnum())


def _shortened(genre: str, width: int) -> str:
    """Return the part of a genre that fits into `width` Latin-1 characters."""
    return genre.encode("latin-1", errors="replace")[:width].decode("latin-1").strip()
