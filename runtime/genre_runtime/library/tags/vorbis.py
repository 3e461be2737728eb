"""Vorbis comments: FLAC, and Vorbis, Opus, FLAC and Speex in Ogg.

Several values are repeated comments of one name. Only the first block of a FLAC file and the first stream of an Ogg
file are written. A field in another block is removed, since players join the blocks; in another stream it has to agree.

The comments are also parsed here: mutagen reads the first block or stream only, drops comments whose name is invalid
and replaces bytes that are not UTF-8.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, BinaryIO, NamedTuple

from genre_runtime.errors import UntaggableError
from genre_runtime.library.tags.base import (
    VENDOR,
    Place,
    TagAdapter,
    check_no_front_id3,
    front_end,
    front_size,
    import_mutagen,
    read_at,
    rewound,
)
from genre_runtime.library.tags.fields import GENRE, Field
from genre_runtime.library.tags.id3 import front_others, front_places, write_front
from genre_runtime.library.tags.id3_ape import ape_places
from genre_runtime.library.tags.id3v1 import append_id3v1, cut_id3v1, id3v1_others, id3v1_places

_OGG_CLASSES = (("oggvorbis", "OggVorbis"), ("oggopus", "OggOpus"), ("oggflac", "OggFLAC"), ("oggspeex", "OggSpeex"))
_PADDING = 1
_COMMENTS = 4
"""FLAC's numbers of two kinds of metadata blocks."""
_MOST_BYTES = 2**28
"""Of one packet of comments; covers in them are megabytes."""
_MOST_ENTRIES = 100_000
"""Comments of one block; each takes mutagen a hundred bytes of memory and more."""
_MOST_BLOCKS = 10_000
"""Metadata blocks of one FLAC file."""
_PAGE_HEAD = 27
_PREFIXES = ((b"\x01vorbis", b"\x03vorbis"), (b"OpusHead", b"OpusTags"), (b"\x80theora", b"\x81theora"))
"""How the first packet of a stream begins, and the second, which holds the comments."""
_TAIL_BYTES = 2**17
"""The last page of a file, which has at most 64 KiB, is within these bytes."""


class FlacAdapter(TagAdapter):
    """Adapter for FLAC files; ID3 tags at either end get the same values."""

    def places(self, file: BinaryIO, field: Field) -> list[Place]:
        """Return the places in the comment blocks, ID3v2, APEv2 and ID3v1."""
        _open_flac(file)
        own = [
            Place("the comments" if number == 1 else f"comment block {number}", block.texts(field))
            for number, block in enumerate(_flac_comments(file), start=1)
        ]
        return [*own, *front_places(file, field), *ape_places(file, field), *id3v1_places(file, field)]

    def others(self, file: BinaryIO, fields: Iterable[Field]) -> dict[str, str]:
        """Return all other comments, blocks and frames."""
        opened = _open_flac(file)
        found = id3v1_others(file, fields) | front_others(file, fields)
        for number, comments in enumerate(_flac_comments(file)):
            found[VENDOR if not number else f"<vendor {number}>"] = repr(comments.vendor)
            if others := comments.others(fields):
                found[f"<comments {number}>"] = repr(others)
        kept = [block for block in opened.metadata_blocks if block.code not in (_PADDING, _COMMENTS)]
        return found | {f"<block {number}>": repr((block.code, block.write())) for number, block in enumerate(kept)}

    def write(self, file: BinaryIO, values: Mapping[Field, Sequence[str]], id3_version: int | None) -> bool:  # noqa: ARG002
        """Replace the fields."""
        kept = _flac_comments(file)
        id3v1 = cut_id3v1(file)
        opened = _open_flac(file)
        if opened.tags is None:
            opened.add_tags()
            _replace_comments(opened.tags, None, values)
        blocks = [block for block in opened.metadata_blocks if block.code == _COMMENTS]
        for block, comments in zip(blocks, kept, strict=False):
            _replace_comments(block, comments, values if block is opened.tags else dict.fromkeys(values, ()))
        opened.save(rewound(file))
        write_front(file, values)
        append_id3v1(file, id3v1, values.get(GENRE, ()))
        return False


class OggAdapter(TagAdapter):
    """Adapter for Ogg files."""

    def places(self, file: BinaryIO, field: Field) -> list[Place]:
        """Return the comments of each stream."""
        _open_ogg(file)
        return [
            Place("the comments" if number == 1 else f"the comments of stream {number}", comments.texts(field))
            for number, comments in enumerate(_ogg_comments(file), start=1)
        ]

    def others(self, file: BinaryIO, fields: Iterable[Field]) -> dict[str, str]:
        """Return all other comments."""
        found = {}
        for number, comments in enumerate(_ogg_comments(file)):
            found[f"<vendor {number}>"] = repr(comments.vendor)
            found[f"<comments {number}>"] = repr(comments.others(fields))
        return found

    def write(self, file: BinaryIO, values: Mapping[Field, Sequence[str]], id3_version: int | None) -> bool:  # noqa: ARG002
        """Replace the fields."""
        kept = _ogg_comments(file)
        opened = _open_ogg(file)
        _replace_comments(opened.tags, kept[0] if kept else None, values)
        opened.save(rewound(file))
        return False


def _replace_comments(tags: Any, comments: _Comments | None, values: Mapping[Field, Sequence[str]]) -> None:
    """Replace fields in the comments that mutagen will save.

    mutagen would give comments without a name one, and refuse other names that programs have written; the entries of
    other fields are therefore saved as they were read.
    """
    if comments is None:  # a new block
        for field, own in values.items():
            tags[field.vorbis] = list(own)
        return
    entries = [*comments.others(values)]
    entries += [f"{field.vorbis}={text}".encode() for field, own in values.items() for text in own]
    content = b"".join(struct.pack("<I", len(text)) + text for text in entries)
    block = struct.pack("<I", len(comments.vendor)) + comments.vendor + struct.pack("<I", len(entries)) + content

    def write(framing: bool = not isinstance(tags, import_mutagen("mutagen.flac").VCFLACDict)) -> bytes:
        return block + b"\x01" * framing

    tags.write = write


def _open_flac(file: BinaryIO) -> Any:
    if front_end(file) != front_size(file):
        raise UntaggableError("several ID3v2 tags precede the FLAC file: remove them first")
    if read_at(file, front_end(file), 4) == b"fLaC":  # otherwise mutagen raises
        _flac_comments(file)  # checks sizes and numbers before mutagen creates objects
    return import_mutagen("mutagen.flac").FLAC(rewound(file))


def _open_ogg(file: BinaryIO) -> Any:
    check_no_front_id3(file, "Ogg")
    _ogg_comments(file)  # checks sizes and numbers before mutagen creates objects
    kinds = [getattr(import_mutagen(f"mutagen.{module}"), name) for module, name in _OGG_CLASSES]
    opened = import_mutagen().File(rewound(file), options=kinds)
    if opened is None:
        raise UntaggableError("the Ogg file holds no Vorbis, Opus, FLAC or Speex: its comments are unknown")
    return opened


class _Comments(NamedTuple):
    """One block of comments.

    Attributes
    ----------
    vendor : bytes
    entries : tuple of bytes
        `NAME=text`.
    size : int
        Bytes of the block.
    """

    vendor: bytes
    entries: tuple[bytes, ...]
    size: int

    def texts(self, field: Field) -> tuple[str, ...]:
        """Return the texts of a field.

        Parameters
        ----------
        field : Field
        """
        found = (entry.partition(b"=")[2].decode(errors="replace") for entry in self.entries if _is_of(entry, [field]))
        return tuple(text for text in found if text.strip())

    def others(self, fields: Iterable[Field]) -> tuple[bytes, ...]:
        """Return the entries that do not hold these fields.

        Parameters
        ----------
        fields : iterable of Field
        """
        return tuple(entry for entry in self.entries if not _is_of(entry, fields))


def _parse(content: bytes) -> _Comments:
    """Parse a block or packet of comments without its prefix."""
    position = 0

    def read() -> bytes:
        nonlocal position
        (length,) = struct.unpack_from("<I", content, position)
        text = content[position + 4 : position + 4 + length]
        if len(text) != length:
            raise UntaggableError("the comments end too early: the tags are damaged")
        position += 4 + length
        return text

    try:
        vendor = read()
        (count,) = struct.unpack_from("<I", content, position)
        position += 4
        if count > _MOST_ENTRIES:
            raise UntaggableError(f"the block of comments claims {count} of them: it is damaged")
        return _Comments(vendor, tuple(read() for _ in range(count)), position)
    except struct.error as error:
        raise UntaggableError("the comments end too early: the tags are damaged") from error


def _flac_comments(file: BinaryIO) -> list[_Comments]:
    """Return all comment blocks of a FLAC file."""
    found = []
    size = file.seek(0, os.SEEK_END)
    position, is_last, number = front_end(file) + 4, False, 0
    while not is_last:
        number += 1
        if number > _MOST_BLOCKS:
            raise UntaggableError(f"the FLAC file has more than {_MOST_BLOCKS} metadata blocks: it is damaged")
        head = read_at(file, position, 4)
        length = int.from_bytes(head[1:], "big")
        position += 4 + length
        if len(head) < 4 or position > size:
            raise UntaggableError("a metadata block reaches beyond the end of the FLAC file: it is damaged")
        is_last = bool(head[0] & 0x80)
        if head[0] & 0x7F == _COMMENTS:
            found.append(_parse(file.read(length)))
            if found[-1].size != length:
                raise UntaggableError(
                    f"the FLAC file's block of comments has {found[-1].size} bytes and claims {length}: it is damaged"
                )
    return found


def _ogg_comments(file: BinaryIO) -> list[_Comments]:
    """Return the comments of all streams of an Ogg file, those of each group of streams with audio first."""
    found, serials = _group_comments(file, 0)
    if _last_serial(file) in serials:
        return found
    for offset in _later_groups(file, serials):
        found += _group_comments(file, offset)[0]
    return found


def _group_comments(file: BinaryIO, offset: int) -> tuple[list[_Comments], set[int]]:
    """Return the comments of the streams that begin together at `offset`, and the serial numbers of all of them."""
    ogg = import_mutagen("mutagen.ogg")
    firsts: dict[int, bytes] = {}
    parts: dict[int, bytes] = {}
    done: set[int] = set()
    audio: list[_Comments] = []
    videos: list[_Comments] = []
    file.seek(offset)
    while not firsts or len(done) < len(firsts):
        try:
            page = ogg.OggPage(file)
        except EOFError:
            break
        if page.first and not parts:
            firsts[page.serial] = page.packets[0] if page.packets else b""
            if _prefix(firsts[page.serial]) is None:
                done.add(page.serial)
            continue
        if page.first or page.serial not in firsts or page.serial in done:
            if page.first:
                break
            continue
        # A first page of the stream that holds more than the header is not allowed, so that packet two begins here.
        parts[page.serial] = parts.get(page.serial, b"") + (page.packets[0] if page.packets else b"")
        if len(parts[page.serial]) > _MOST_BYTES:
            raise UntaggableError("the comments of the Ogg file are too long: the tags are damaged")
        if len(page.packets) > 1 or page.complete:
            done.add(page.serial)
            prefix = _prefix(firsts[page.serial]) or b""
            packet = parts[page.serial]
            if packet.startswith(prefix):
                # In FLAC in Ogg, the head of a metadata block precedes the comments.
                skipped = 4 if firsts[page.serial].startswith(b"\x7fFLAC") else len(prefix)
                (videos if prefix == b"\x81theora" else audio).append(_parse(packet[skipped:]))
    return audio + videos, set(firsts)  # the first are written


def _prefix(first: bytes) -> bytes | None:
    """Return the prefix of the packet of comments, given a stream's first packet; None if it has no comments."""
    if first.startswith((b"\x7fFLAC", b"Speex   ")):
        return b""
    return next((second for head, second in _PREFIXES if first.startswith(head)), None)


def _last_serial(file: BinaryIO) -> int | None:
    tail = read_at(file, max(0, file.seek(0, os.SEEK_END) - _TAIL_BYTES), _TAIL_BYTES)
    found = tail.rfind(b"OggS\0")
    if found < 0 or found + 18 > len(tail):
        return None
    return int(struct.unpack_from("<I", tail, found + 14)[0])


def _later_groups(file: BinaryIO, known: set[int]) -> Iterator[int]:
    """Yield where each later group of streams begins."""
    offset, in_group = 0, True
    while True:
        head = read_at(file, offset, _PAGE_HEAD)
        if len(head) < _PAGE_HEAD or not head.startswith(b"OggS"):
            return
        first = bool(head[5] & 2)
        (serial,) = struct.unpack_from("<I", head, 14)
        if first and not in_group and serial not in known:
            yield offset
        in_group = first
        lengths = file.read(head[26])
        file.seek(offset)
        offset += _PAGE_HEAD + len(lengths) + sum(lengths)


def _is_of(entry: bytes, fields: Iterable[Field]) -> bool:
    """Return whether an entry holds one of these fields."""
    name = entry.partition(b"=")[0].lower()
    return any(name == field.vorbis.lower().encode() for field in fields)
