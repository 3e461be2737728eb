r"""Atoms of MP4 files that name a genre outside the list of items that mutagen reads.

QuickTime stores `\xa9gen` directly in `udta`, 3GPP `gnre`; some programs write lists of a track, keys of a `mdta` list
or XMP. They are read so that a file with a genre is known for one; where they would disagree with a new genre, the file
is refused.

Tags that map a name to a list of texts: MP4 items and ASF attributes.

Each holds several genres as several values of one name: several data atoms in `\xa9gen`, repeated WM/Genre attributes.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator, Sequence
from typing import Any, BinaryIO, NamedTuple

from genre_runtime.errors import UntaggableError
from genre_runtime.library.tags.ape import check_no_leading_id3
from genre_runtime.library.tags.base import Written, import_mutagen
from genre_runtime.library.tags.id3_frames import rewound
from genre_runtime.library.tags.places import Place, xmp_places

_XMP = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
_GENRE = b"\xa9gen"
_PARENTS = frozenset((b"moov", b"udta", b"trak", b"meta", b"ilst"))
_MOST_BYTES = 2**24
"""Of one atom that is read."""
_MOST_ATOMS = 200_000
"""A fragmented file of a day has some 100,000."""
_CONTAINERS = _PARENTS | {b"mdia", b"minf", b"stbl", b"moof", b"traf"}
"""Those that mutagen looks into."""
_MAIN = (b"moov", b"udta", b"meta", b"ilst")
"""The list that mutagen reads and writes."""


class _Atom(NamedTuple):
    path: tuple[bytes, ...]
    offset: int
    """Of the content, bytes."""
    size: int


def mp4_places(file: BinaryIO) -> list[Place]:
    """Return what atoms say of the genre, those aside that mutagen reads."""
    places: list[Place] = []
    keys: list[bytes] = []
    for atom in _atoms(file, (), 0, file.seek(0, os.SEEK_END)):
        *parents, name = atom.path
        if atom.path == (b"moov", b"meta", b"keys"):
            keys = list(_keys(_content(file, atom)))
            continue
        if name == b"uuid":
            content = _content(file, atom)
            places += xmp_places("the XMP atom", content[16:]) if content.startswith(_XMP) else []
            continue
        if name == b"XMP_":
            places += xmp_places("the XMP atom", _content(file, atom))
            continue
        where = f"{b'.'.join(parents).decode('latin-1')}.{name.decode('latin-1')}"
        number = int.from_bytes(name, "big")
        in_list = parents[-1:] == [b"ilst"]
        is_key = in_list and 0 < number <= len(keys) and keys[number - 1].rpartition(b".")[2].lower() == b"genre"
        if in_list and tuple(parents) != _MAIN and (name == _GENRE or is_key):
            places.append(Place(where if not is_key else "the key 'genre' of moov.meta", _data(_content(file, atom))))
        elif parents[-1:] == [b"udta"] and name in (_GENRE, b"gnre"):
            places.append(Place(where, _text(name, _content(file, atom))))
    return places


def check_atoms(file: BinaryIO) -> None:
    """Raise if a file has more atoms than any real one: mutagen makes an object of each.

    Raises
    ------
    UntaggableError
    """
    for number, _ in enumerate(_atoms(file, (), 0, file.seek(0, os.SEEK_END), _CONTAINERS)):
        if number == _MOST_ATOMS:
            raise UntaggableError(f"the MP4 file has more than {_MOST_ATOMS} atoms: it is damaged")


def _atoms(
    file: BinaryIO, path: tuple[bytes, ...], start: int, end: int, parents: frozenset[bytes] = _PARENTS
) -> Iterator[_Atom]:
    """Yield the atoms between two offsets, and those within the parents among them."""
    while start + 8 <= end:
        file.seek(start)
        head = file.read(16)
        if len(head) < 8:
            return
        size, name = struct.unpack_from(">I4s", head)
        skip = 8
        if size == 1 and len(head) == 16:
            (size,) = struct.unpack_from(">Q", head, 8)
            skip = 16
        if size == 0:
            size = end - start
        if size < skip or start + size > end:
            return
        atom = _Atom((*path, name), start + skip, size - skip)
        yield atom
        if name in parents and name not in path:
            inner = atom.offset + (_n_full(file, atom) if name == b"meta" else 0)
            yield from _atoms(file, atom.path, inner, start + size, parents)
        start += size


def _n_full(file: BinaryIO, atom: _Atom) -> int:
    """Return 4 for a `meta` atom with version and flags, 0 for QuickTime's, which has none."""
    file.seek(atom.offset + 4)
    return 0 if file.read(4) == b"hdlr" else 4


def _content(file: BinaryIO, atom: _Atom) -> bytes:
    file.seek(atom.offset)
    return file.read(atom.size) if atom.size <= _MOST_BYTES else b""


def _keys(content: bytes) -> Iterator[bytes]:
    position = 8
    while position + 8 <= len(content):
        (size,) = struct.unpack_from(">I", content, position)
        if size < 8:
            return
        yield content[position + 8 : position + size]
        position += size


def _data(content: bytes) -> tuple[str, ...]:
    """Return the texts of `data` atoms."""
    texts = []
    position = 0
    while position + 16 <= len(content):
        size, name = struct.unpack_from(">I4s", content, position)
        if size < 16:
            break
        if name == b"data":
            texts.append(content[position + 16 : position + size].decode(errors="replace"))
        position += size
    return tuple(text for text in texts if text.strip("\0 "))


def _text(name: bytes, content: bytes) -> tuple[str, ...]:
    r"""Return the text of QuickTime's `\xa9gen` or of 3GPP's `gnre`."""
    if content[4:8] == b"data":
        return _data(content)
    if name == _GENRE:  # length, language
        (length,) = struct.unpack_from(">H", content) if len(content) >= 4 else (0,)
        text = content[4 : 4 + length]
    else:  # version, flags, language
        text = content[6:]
    encoding = "utf-16" if text[:2] in (b"\xfe\xff", b"\xff\xfe") else "utf-8"
    decoded = text.decode(encoding, errors="replace").strip("\0 ")
    return (decoded,) if decoded else ()


_KEYS = {"mov": "\xa9gen", "asf": "WM/Genre"}
_CLASSES = {"mov": ("mp4", "MP4"), "asf": ("asf", "ASF")}
"""Modules and classes of mutagen."""
_NAMES = {"mov": "MP4", "asf": "ASF"}


class MappingAdapter:
    """A `TagAdapter` over mutagen's dictionaries.

    Parameters
    ----------
    kind : {"mov", "asf"}
        FFmpeg's name of the container.
    """

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._key = _KEYS[kind]

    def places(self, file: BinaryIO) -> list[Place]:
        """Return the item or attribute of the genre, others that are named so, and atoms that mutagen does not read."""
        tags: Any = self._open(file).tags or {}
        places = [Place(self._key, _texts(tags, self._key))]
        for key in sorted(tags.keys()):
            if key != self._key and _is_alias(key):
                places.append(Place(key, _texts(tags, key)))
        return [*places, *(mp4_places(file) if self._kind == "mov" else ())]

    def check(self, file: BinaryIO) -> None:
        """Leave it to FFmpeg, which finds no audio in other files."""

    def others(self, file: BinaryIO) -> dict[str, str]:
        """Return every other item, and what mutagen keeps without reading it."""
        tags: Any = self._open(file).tags
        if tags is None:
            return {}
        keys = [key for key in dict.fromkeys(tags.keys()) if key != self._key and not _is_alias(key)]
        found = {key: repr(tags[key]) for key in keys}
        failed = getattr(tags, "_failed_atoms", None)
        return found | ({"<unparsed>": repr(failed)} if failed else {})

    def write(self, file: BinaryIO, genres: Sequence[str], id3_version: int | None) -> Written:  # noqa: ARG002
        """Replace the genres."""
        opened = self._open(file)
        if opened.tags is None:
            opened.add_tags()
        for key in [key for key in dict.fromkeys(opened.tags.keys()) if key != self._key and _is_alias(key)]:
            make: Callable[[str], Any] = str.encode if self._kind == "mov" else str
            opened.tags[key] = [make(genre) for genre in genres]
        opened.tags[self._key] = list(genres)
        opened.save(rewound(file))
        return Written(tuple(genres))

    def _open(self, file: BinaryIO) -> Any:
        check_no_leading_id3(file, _NAMES[self._kind])
        if self._kind == "mov":
            check_atoms(file)
        module, name = _CLASSES[self._kind]
        return getattr(import_mutagen(f"mutagen.{module}"), name)(rewound(file))


def _is_alias(key: str) -> bool:
    """Return whether players take an item for the genre: a freeform item of MP4, any attribute of that name in ASF."""
    name = key.casefold()
    return name in ("genre", "wm/genre") or (name.startswith("----:") and name.rpartition(":")[2] == "genre")


def _texts(tags: Any, key: str) -> tuple[str, ...]:
    if key not in tags:
        return ()
    values = (value.decode(errors="replace") if isinstance(value, bytes) else str(value) for value in tags[key])
    return tuple(text for text in values if text.strip())
