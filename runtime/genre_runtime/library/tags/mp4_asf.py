r"""MP4 items and ASF attributes: names mapped to lists of texts, and MP4 atoms that mutagen does not read.

Several values are several data atoms of one item, such as `\xa9gen`, and repeated attributes, such as WM/Genre.

Other atoms of MP4 files may name a genre, too: QuickTime stores `\xa9gen` directly in `udta`, 3GPP `gnre`; some
programs write lists of a track, keys of a `mdta` list or XMP. They are read so that the genre of such a file is known.
If they would disagree with a new genre, the file is refused.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, BinaryIO, NamedTuple

from genre_runtime.errors import UntaggableError
from genre_runtime.library.tags.base import (
    Place,
    TagAdapter,
    check_no_front_id3,
    import_mutagen,
    read_at,
    rewound,
    xmp_places,
)
from genre_runtime.library.tags.fields import GENRE, Field

_CLASSES = {"mov": ("mp4", "MP4"), "asf": ("asf", "ASF")}
"""Modules and classes of mutagen."""
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


class Mp4AsfAdapter(TagAdapter):
    """Adapter for MP4 and ASF files.

    Parameters
    ----------
    kind : {"mov", "asf"}
        FFmpeg's name of the container.
    """

    def __init__(self, kind: str) -> None:
        self._kind = kind

    def places(self, file: BinaryIO, field: Field) -> list[Place]:
        """Return the item or attribute of a field, others of its name, and atoms that mutagen does not read."""
        tags: Any = self._open(file).tags or {}
        places = [Place(key, _texts(tags, key)) for key in (self._key(field), *self._aliases(tags, field))]
        return [*places, *(_atom_places(file) if self._kind == "mov" and field == GENRE else ())]

    def others(self, file: BinaryIO, fields: Iterable[Field]) -> dict[str, str]:
        """Return all other items, and atoms that mutagen keeps without reading them."""
        tags: Any = self._open(file).tags
        if tags is None:
            return {}
        own = {key for field in fields for key in (self._key(field), *self._aliases(tags, field))}
        found = {key: repr(tags[key]) for key in dict.fromkeys(tags.keys()) if key not in own}
        failed = getattr(tags, "_failed_atoms", None)
        return found | ({"<unparsed>": repr(failed)} if failed else {})

    def write(self, file: BinaryIO, values: Mapping[Field, Sequence[str]], id3_version: int | None) -> bool:  # noqa: ARG002
        """Replace the fields."""
        opened = self._open(file)
        if opened.tags is None:
            opened.add_tags()
        for field, own in values.items():
            main, aliases = self._key(field), self._aliases(opened.tags, field)
            spelt_otherwise = any(key.casefold() == main.casefold() for key in aliases)
            for key in aliases if spelt_otherwise else (*aliases, main):
                opened.tags[key] = [text.encode() if key.startswith("----") else text for text in own]
        opened.save(rewound(file))
        return False

    def _open(self, file: BinaryIO) -> Any:
        module, name = _CLASSES[self._kind]
        check_no_front_id3(file, name)
        if self._kind == "mov":
            _check_n_atoms(file)
        return getattr(import_mutagen(f"mutagen.{module}"), name)(rewound(file))

    def _key(self, field: Field) -> str:
        return field.mp4 if self._kind == "mov" else field.asf

    def _aliases(self, tags: Any, field: Field) -> list[str]:
        """Return the keys that players take for the field: freeform items of MP4, attributes of that name in ASF."""
        main = self._key(field)
        return sorted(key for key in set(tags.keys()) if key != main and field.is_name(self._own_name(key)))

    def _own_name(self, key: str) -> str:
        """Return the name of a freeform item or of an attribute; an empty text for other items of MP4."""
        if self._kind == "mov":
            return key.rpartition(":")[2] if key.startswith("----:") else ""
        return key[3:] if key.casefold().startswith("wm/") else key


def _texts(tags: Any, key: str) -> tuple[str, ...]:
    if key not in tags:
        return ()
    values = (value.decode(errors="replace") if isinstance(value, bytes) else str(value) for value in tags[key])
    return tuple(text for text in values if text.strip())


def _atom_places(file: BinaryIO) -> list[Place]:
    """Return the genres in atoms that mutagen does not read."""
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
            texts = _data(_content(file, atom))
            places.append(Place(where if not is_key else "the key 'genre' of moov.meta", texts))
        elif parents[-1:] == [b"udta"] and name in (_GENRE, b"gnre"):
            places.append(Place(where, _text(name, _content(file, atom))))
    return places


def _check_n_atoms(file: BinaryIO) -> None:
    """Raise if a file has more atoms than any real one: mutagen makes an object of each."""
    for number, _ in enumerate(_atoms(file, (), 0, file.seek(0, os.SEEK_END), _CONTAINERS)):
        if number == _MOST_ATOMS:
            raise UntaggableError(f"the MP4 file has more than {_MOST_ATOMS} atoms: it is damaged")


def _atoms(
    file: BinaryIO, path: tuple[bytes, ...], start: int, end: int, parents: frozenset[bytes] = _PARENTS
) -> Iterator[_Atom]:
    """Yield the atoms between two offsets, and those inside atoms named in `parents`."""
    while start + 8 <= end:
        head = read_at(file, start, 16)
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
            # A `meta` atom begins with version and flags, but for QuickTime's.
            skipped = 4 if name == b"meta" and read_at(file, atom.offset + 4, 4) != b"hdlr" else 0
            inner = atom.offset + skipped
            yield from _atoms(file, atom.path, inner, start + size, parents)
        start += size


def _content(file: BinaryIO, atom: _Atom) -> bytes:
    return read_at(file, atom.offset, atom.size) if atom.size <= _MOST_BYTES else b""


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
