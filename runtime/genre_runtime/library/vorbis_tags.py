"""Vorbis comments as a file's own tags: FLAC, and Vorbis, Opus, FLAC and Speex in Ogg.

Several genres are repeated GENRE comments. Only the first block of a FLAC file, the first stream of an Ogg file is
written; a genre in another block is removed, since players join the blocks, and one in another stream has to agree.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, BinaryIO

from genre_runtime.library.adapters import VENDOR, Written, import_mutagen
from genre_runtime.library.ape_tags import ape_place, check_no_leading_id3
from genre_runtime.library.errors import UntaggableError
from genre_runtime.library.front import front_end, front_size
from genre_runtime.library.id3_frames import front_others, front_places, rewound, write_front
from genre_runtime.library.places import Place
from genre_runtime.library.trailing import put_tail, tail_places, tail_without_genre, take_tail
from genre_runtime.library.vorbis_comments import flac_comments, ogg_comments
from genre_runtime.library.window import Window

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
