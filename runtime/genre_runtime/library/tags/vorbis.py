"""Vorbis comments as bytes: every block of a FLAC file, every stream of an Ogg file.

mutagen reads the first block or stream alone, drops comments whose name is invalid and replaces what is not UTF-8.

Vorbis comments as a file's own tags: FLAC, and Vorbis, Opus, FLAC and Speex in Ogg.

Several genres are repeated GENRE comments. Only the first block of a FLAC file, the first stream of an Ogg file is
written; a genre in another block is removed, since players join the blocks, and one in another stream has to agree.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO, NamedTuple

from genre_runtime.errors import UntaggableError
from genre_runtime.library.tags.ape import ape_place, check_no_leading_id3
from genre_runtime.library.tags.base import VENDOR, Written, import_mutagen
from genre_runtime.library.tags.id3_frames import front_others, front_places, rewound, write_front
from genre_runtime.library.tags.places import (
    Place,
    Window,
    front_end,
    front_size,
    put_tail,
    tail_places,
    tail_without_genre,
    take_tail,
)

_COMMENT_HEADERS = 4
"""FLAC's number of this kind of block."""
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
"""The last page of a file, which has at most 64 KiB, lies within this."""


class Comments(NamedTuple):
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

    @property
    def genres(self) -> tuple[str, ...]:
        """The texts of GENRE."""
        texts = (entry[6:].decode(errors="replace") for entry in self.entries if _is_genre(entry))
        return tuple(text for text in texts if text.strip())

    @property
    def others(self) -> tuple[bytes, ...]:
        """All other entries."""
        return tuple(entry for entry in self.entries if not _is_genre(entry))

    def check(self) -> None:
        """Raise if mutagen would not write the comments as they are.

        Raises
        ------
        UntaggableError
        """
        for text in (self.vendor, *self.entries):
            try:
                text.decode()
            except UnicodeDecodeError as error:
                raise UntaggableError(
                    "a comment is not UTF-8 and would be damaged: repair it with a tag editor first"
                ) from error


def parse(content: bytes) -> Comments:
    """Return the comments in a block or packet, without its prefix.

    Raises
    ------
    UntaggableError
    """
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
        return Comments(vendor, tuple(read() for _ in range(count)), position)
    except struct.error as error:
        raise UntaggableError("the comments end too early: the tags are damaged") from error


def flac_comments(file: BinaryIO, start: int) -> list[Comments]:
    """Return every block of comments of a FLAC file, whose `fLaC` is at byte `start`.

    Raises
    ------
    UntaggableError
        The blocks cannot be told apart.
    """
    found = []
    size = file.seek(0, os.SEEK_END)
    position, is_last, number = start + 4, False, 0
    while not is_last:
        number += 1
        if number > _MOST_BLOCKS:
            raise UntaggableError(f"the FLAC file has more than {_MOST_BLOCKS} metadata blocks: it is damaged")
        file.seek(position)
        head = file.read(4)
        length = int.from_bytes(head[1:], "big")
        position += 4 + length
        if len(head) < 4 or position > size:
            raise UntaggableError("a metadata block reaches beyond the end of the FLAC file: it is damaged")
        is_last = bool(head[0] & 0x80)
        if head[0] & 0x7F == _COMMENT_HEADERS:
            found.append(parse(file.read(length)))
            if found[-1].size != length:
                raise UntaggableError(
                    f"the FLAC file's block of comments has {found[-1].size} bytes and claims {length}: it is damaged"
                )
    return found


class OggStream(NamedTuple):
    """The comments of one stream of an Ogg file, and whether it is one of pictures."""

    comments: Comments
    is_film: bool


def ogg_comments(file: BinaryIO) -> list[OggStream]:
    """Return the comments of every stream of an Ogg file.

    Raises
    ------
    UntaggableError
        The comments cannot be read.
    """
    found, serials = _link(file, 0)
    if _last_serial(file) in serials:
        return found
    for offset in _later_links(file, serials):
        found += _link(file, offset)[0]
    return found


def _link(file: BinaryIO, offset: int) -> tuple[list[OggStream], set[int]]:
    """Return the comments of the streams that begin together at `offset`, and the serial numbers of all of them."""
    ogg = import_mutagen("mutagen.ogg")
    firsts: dict[int, bytes] = {}
    parts: dict[int, bytes] = {}
    done: set[int] = set()
    streams = []
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
            raise UntaggableError("the comments of the Ogg file are too long to be some: the tags are damaged")
        if len(page.packets) > 1 or page.complete:
            done.add(page.serial)
            prefix = _prefix(firsts[page.serial]) or b""
            packet = parts[page.serial]
            if packet.startswith(prefix):
                # In FLAC in Ogg, the head of a metadata block precedes the comments.
                skipped = 4 if firsts[page.serial].startswith(b"\x7fFLAC") else len(prefix)
                streams.append(OggStream(parse(packet[skipped:]), prefix == b"\x81theora"))
    # The sound's comments first: those are written.
    streams.sort(key=lambda stream: stream.is_film)
    return streams, set(firsts)


def _prefix(first: bytes) -> bytes | None:
    """Return how the packet of comments begins in a stream of which this is the first packet; None: it has none."""
    if first.startswith((b"\x7fFLAC", b"Speex   ")):
        return b""
    return next((second for head, second in _PREFIXES if first.startswith(head)), None)


def _last_serial(file: BinaryIO) -> int | None:
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _TAIL_BYTES))
    tail = file.read()
    found = tail.rfind(b"OggS\0")
    if found < 0 or found + 18 > len(tail):
        return None
    return int(struct.unpack_from("<I", tail, found + 14)[0])


def _later_links(file: BinaryIO, known: set[int]) -> Iterator[int]:
    """Yield where each later group of streams begins."""
    offset, in_group = 0, True
    while True:
        file.seek(offset)
        head = file.read(_PAGE_HEAD)
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


def _is_genre(entry: bytes) -> bool:
    return entry[:6].lower() == b"genre="


_KEY = "GENRE"
_OGG_CLASSES = (("oggvorbis", "OggVorbis"), ("oggopus", "OggOpus"), ("oggflac", "OggFLAC"), ("oggspeex", "OggSpeex"))
_PADDING = 1
_COMMENTS = 4


class FlacAdapter:
    """A `TagAdapter` for FLAC; ID3 tags at either end are kept in step."""

    def places(self, file: BinaryIO) -> list[Place]:
        """Return the blocks of comments, ID3v2 in front, and what some programs append."""
        _open_flac(file)
        blocks = flac_comments(file, front_end(file))
        own = [
            Place("the comments" if not i else f"comment block {i + 1}", block.genres) for i, block in enumerate(blocks)
        ]
        return [*own, *front_places(file), *ape_place(file), *tail_places(file)]

    def check(self, file: BinaryIO) -> None:
        """Leave it to FFmpeg, which finds no audio in other files."""

    def others(self, file: BinaryIO) -> dict[str, str]:
        """Return every other comment, block and frame."""
        opened = _open_flac(file)
        found = {"<id3v1>": tail_without_genre(file)} | front_others(file)
        for number, comments in enumerate(flac_comments(file, front_end(file))):
            found[VENDOR if not number else f"<vendor {number}>"] = repr(comments.vendor)
            if comments.others:
                found[f"<comments {number}>"] = repr(comments.others)
        kept = [block for block in opened.metadata_blocks if block.code not in (_PADDING, _COMMENTS)]
        return found | {f"<block {number}>": repr((block.code, block.write())) for number, block in enumerate(kept)}

    def write(self, file: BinaryIO, genres: Sequence[str], id3_version: int | None) -> Written:  # noqa: ARG002
        """Replace the genres."""
        for comments in flac_comments(file, front_end(file)):
            comments.check()
        tail = take_tail(file)
        opened = _open_flac(file)
        if opened.tags is None:
            opened.add_tags()
        for block in opened.metadata_blocks:
            if block.code == _COMMENTS and block is not opened.tags and _KEY in block:
                del block[_KEY]
        opened.tags[_KEY] = list(genres)
        opened.save(rewound(file))
        write_front(file, genres)
        put_tail(file, tail, genres[0])
        return Written(tuple(genres))


class OggAdapter:
    """A `TagAdapter` for Ogg."""

    def places(self, file: BinaryIO) -> list[Place]:
        """Return the comments of each stream."""
        _open_ogg(file)
        places = []
        for number, stream in enumerate(ogg_comments(file), start=1):
            name = "the comments" if number == 1 else f"the comments of stream {number}"
            places.append(Place(name, stream.comments.genres))
        return places

    def check(self, file: BinaryIO) -> None:
        """Leave it to FFmpeg, which finds no audio in other files."""

    def others(self, file: BinaryIO) -> dict[str, str]:
        """Return every other comment."""
        found = {}
        for number, stream in enumerate(ogg_comments(file)):
            found[f"<vendor {number}>"] = repr(stream.comments.vendor)
            found[f"<comments {number}>"] = repr(stream.comments.others)
        return found

    def write(self, file: BinaryIO, genres: Sequence[str], id3_version: int | None) -> Written:  # noqa: ARG002
        """Replace the genres."""
        for stream in ogg_comments(file):
            stream.comments.check()
        opened = _open_ogg(file)
        opened.tags[_KEY] = list(genres)
        opened.save(rewound(file))
        return Written(tuple(genres))


def _open_flac(file: BinaryIO) -> Any:
    if front_end(file) != front_size(file):
        raise UntaggableError("several ID3v2 tags precede the FLAC file: remove them first")
    if Window(file, front_end(file)).read(4) == b"fLaC":  # otherwise mutagen says what it is
        flac_comments(file, front_end(file))  # checks sizes and numbers before mutagen makes objects of them
    return import_mutagen("mutagen.flac").FLAC(rewound(file))


def _open_ogg(file: BinaryIO) -> Any:
    check_no_leading_id3(file, "Ogg")
    ogg_comments(file)  # checks sizes and numbers before mutagen makes objects of them
    kinds = [getattr(import_mutagen(f"mutagen.{module}"), name) for module, name in _OGG_CLASSES]
    opened = import_mutagen().File(rewound(file), options=kinds)
    if opened is None:
        raise UntaggableError("the Ogg file holds no Vorbis, Opus, FLAC or Speex: its comments are unknown")
    return opened
