r"""Atoms of MP4 files that name a genre outside the list of items that mutagen reads.

QuickTime stores `\xa9gen` directly in `udta`, 3GPP `gnre`; some programs write lists of a track, keys of a `mdta` list
or XMP. They are read so that a file with a genre is known for one; where they would disagree with a new genre, the file
is refused.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from genre_runtime.library.errors import UntaggableError
from genre_runtime.library.places import Place, xmp_places

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
