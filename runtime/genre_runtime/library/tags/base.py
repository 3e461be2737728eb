"""What all tag formats share: the adapter interface, places that hold a field, and ID3v2 tags in front of a file.

A file may have a field, such as the genre, in several places, and players differ in the one they read. `Place` compares
them.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib import import_module
from typing import Any, BinaryIO, NamedTuple, Protocol

from genre_runtime.errors import MissingDependencyError, UntaggableError
from genre_runtime.library.genre_names import distinct, spelling_key
from genre_runtime.library.tags.fields import Field

VENDOR = "<vendor>"
"""Key in `TagAdapter.other_fields` of the program that wrote Vorbis comments. New comments name mutagen."""

SEPARATOR = "/"
"""Between values in a place that holds one text only."""

_SEPARATORS = (SEPARATOR, ";", ",", "\\", "|")
"""Between names in texts of other programs."""

_XMP_GENRE = re.compile(rb"xmpDM:genre\s*(?:=\s*(?:\"([^\"]*)\"|'([^']*)')|>([^<]*)<)")
_MOST_FRONT_TAGS = 64
"""More ID3v2 tags in front of one file are damage."""
_NO_GENRE = 255


class Place(NamedTuple):
    """One place of a file that can hold the values of a field.

    Attributes
    ----------
    name : str
        For messages.
    values : tuple of str
        Empty if it has none.
    width : int or None
        Most characters, if limited.
    number : int or None
        ID3v1's number of the genre, if the place holds only that.
    joined : bool
        Whether it holds one text, in which several values are joined by `SEPARATOR`.
    """

    name: str
    values: tuple[str, ...]
    width: int | None = None
    number: int | None = None
    joined: bool = False

    def holds(self, values: Sequence[str]) -> bool:
        """Return whether these values are stored here, in the form in which they would be written.

        Parameters
        ----------
        values : sequence of str
            At least one.
        """
        return self.values == ((SEPARATOR.join(values),) if self.joined else tuple(values))

    def agrees_with(self, values: Sequence[str]) -> bool:
        """Return whether the place is empty or has these values as well as it can.

        Parameters
        ----------
        values : sequence of str
            At least one.
        """
        if not self.values:
            return True
        if self.number is not None:
            return self.number == genre_number(values[0])
        if self.width is not None:
            return self.values[0] == shortened(values[0], self.width)
        return SEPARATOR.join(self.values) == SEPARATOR.join(values)


class TagAdapter(Protocol):
    """Reads and writes the tags of one kind of file.

    Files are open in binary mode and seekable. Errors of mutagen are not converted here.
    """

    def places(self, file: BinaryIO, field: Field) -> list[Place]:
        """Return the places that can hold a field, the main one first.

        Parameters
        ----------
        file : binary file object
        field : Field
        """
        ...

    def others(self, file: BinaryIO, fields: Iterable[Field]) -> dict[str, str]:
        """Return all content of the tags besides these fields, in a form that can be compared.

        Parameters
        ----------
        file : binary file object
        fields : iterable of Field
        """
        ...

    def write(self, file: BinaryIO, values: Mapping[Field, Sequence[str]], id3_version: int | None) -> bool:
        """Replace the values of fields in place.

        Parameters
        ----------
        file : binary file object
        values : mapping of Field to sequence of str
            At least one value each.
        id3_version : 3, 4 or None
            Minor version of ID3v2 tags; None keeps the present one. Other formats ignore it.

        Returns
        -------
        bool
            Whether all tags were converted to another version of their format, so that others may read differently.
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


def first_values(places: Iterable[Place]) -> tuple[str, ...]:
    """Return the values of the first place that has any.

    Parameters
    ----------
    places : iterable of Place
    """
    return next((place.values for place in places if place.values), ())


def all_values(places: Sequence[Place], separator: str | None = None) -> tuple[str, ...]:
    """Return the values of the first place, then those that only other places have in full.

    Parameters
    ----------
    places : sequence of Place
    separator : str, optional
        As for `known_names`.
    """
    found = list(first_values(places))
    in_full = (place.values for place in places if place.width is None and place.number is None)
    for value in (value for values in in_full for value in values):
        known = known_names(found, separator)
        if distinct([value], known) and distinct(_parts(value, separator), known):
            found.append(value)
    return tuple(found)


def known_names(values: Iterable[str], separator: str | None = None) -> tuple[str, ...]:
    """Return the names in a list of values; a text such as "Rock/Pop" adds itself and its parts.

    Parameters
    ----------
    values : iterable of str
    separator : str, optional
        Separates names besides the usual signs.
    """
    return tuple(part for value in values for part in (value, *_parts(value, separator)))


def _parts(value: str, separator: str | None) -> list[str]:
    separators = "|".join(map(re.escape, filter(None, (*_SEPARATORS, (separator or "").rstrip()))))
    return [part for part in re.split(separators, value) if part.strip()]


def xmp_places(name: str, content: bytes) -> list[Place]:
    """Return the genre in a block of XMP as one place, or none.

    Parameters
    ----------
    name : str
        Of the place.
    content : bytes
        The block.
    """
    found = [next(filter(None, groups), b"") for groups in _XMP_GENRE.findall(content)]
    genres = tuple(text.decode(errors="replace").strip() for text in found)
    return [Place(name, tuple(filter(None, genres)))] if any(genres) else []


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


def genre_number(genre: str) -> int:
    """Return ID3v1's number of a genre in any spelling, 255 if it has none.

    Parameters
    ----------
    genre : str
        Of several in one text, such as "Rock/Pop", the first counts.
    """
    names = [spelling_key(name) for name in import_mutagen("mutagen.id3").TCON.GENRES]
    keys = map(spelling_key, (genre, *_parts(genre, None)[:1]))
    return next((names.index(key) for key in keys if key in names), _NO_GENRE)


def shortened(genre: str, width: int) -> str:
    """Return the part of a genre that fits into `width` Latin-1 characters.

    Parameters
    ----------
    genre : str
        Of several in one text, the first counts.
    width : int
    """
    first = next(iter(_parts(genre, None)), genre).strip()
    return first.encode("latin-1", errors="replace")[:width].decode("latin-1").strip()
