"""The genre in a WAV file's lists of INFO texts, which mutagen neither reads nor writes.

A file may have several lists, before and behind the audio, and a list several texts IGNR. A list that has the genre is
kept in step with the ID3 chunk; one that has none stays as it is.

ID3v2 tags as a file's own: at the front of MP3 and TTA files, in a chunk of WAV and AIFF files.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO, NamedTuple

from genre_runtime.errors import UntaggableError
from genre_runtime.library.tags.ape import ape_others, ape_place, check_no_leading_id3, load_ape, write_ape
from genre_runtime.library.tags.base import Written, import_mutagen
from genre_runtime.library.tags.id3_frames import (
    RAW,
    frame_places,
    front_places,
    loaded,
    other_frames,
    refuse_bombs,
    refuse_lost_frames,
    replace_genres,
    rewound,
)
from genre_runtime.library.tags.places import (
    JOINT,
    Place,
    Window,
    front_end,
    put_tail,
    tail_places,
    tail_without_genre,
    take_tail,
    xmp_places,
)

_MAX_LIST_BYTES = 2**24
"""A list of texts, or a block of XMP, beyond this is damage."""
_MOST_CHUNKS = 10_000
"""Files have ten; each takes mutagen half a kilobyte of memory."""
_SHIFT_BYTES = 2**20
_GENRE = b"IGNR"


class _Chunk(NamedTuple):
    name: bytes
    offset: int
    """Of the content, bytes."""
    size: int


def riff_places(file: BinaryIO) -> list[Place]:
    """Return what INFO lists and XMP chunks say of the genre."""
    places = []
    for chunk in _chunks(file):
        if chunk.name == b"_PMX":
            places += xmp_places("the XMP chunk", _content(file, chunk))
        elif _is_info(file, chunk):
            texts = [_decoded(text) for name, text in _texts(_content(file, chunk)[4:]) if name == _GENRE]
            places.append(Place("IGNR of the INFO list", tuple(text for text in texts if text.strip())))
    return places


def riff_others(file: BinaryIO) -> dict[str, str]:
    """Return the other texts of INFO lists and the names of all chunks but the ID3 chunk, in a form to compare."""
    found, names = {}, []
    for chunk in _chunks(file):
        if chunk.name.lower() == b"id3 ":
            continue
        names.append(chunk.name)
        if _is_info(file, chunk):
            texts = [entry for entry in _texts(_content(file, chunk)[4:]) if entry[0] != _GENRE]
            found[f"<info {len(names)}>"] = repr(texts)
    return found | {"<chunks>": repr(names)}


def count_id3_chunks(file: BinaryIO, *, big_endian: bool = False) -> int:
    """Return the number of ID3 chunks; AIFF files count their bytes the other way."""
    return sum(chunk.name.lower() == b"id3 " for chunk in _chunks(file, ">4sI" if big_endian else "<4sI"))


def check_data_size(file: BinaryIO) -> None:
    """Raise if the audio's chunk names no bytes and some follow: chunks behind them would not be found.

    Raises
    ------
    UntaggableError
    """
    for chunk in _chunks(file):
        if chunk.name == b"data" and not chunk.size and file.seek(0, os.SEEK_END) > chunk.offset + 8:
            raise UntaggableError(
                "the WAV file's data chunk claims to be empty, so that a tag behind it would not be found: repair the "
                "header first, for instance by copying the audio with `ffmpeg -c copy`"
            )


def write_info_genres(file: BinaryIO, genres: Sequence[str]) -> None:
    """Change the genre in every INFO list that has one."""
    for number in range(len(list(_chunks(file)))):  # a change moves all that follows
        chunk = list(_chunks(file))[number]
        if not _is_info(file, chunk):
            continue
        texts = list(_texts(_content(file, chunk)[4:]))
        if not any(name == _GENRE for name, _ in texts):
            continue
        changed, done = b"INFO", False
        for name, text in texts:
            if name == _GENRE:
                if done:
                    continue
                text, done = JOINT.join(genres).encode() + b"\0", True
            changed += struct.pack("<4sI", name, len(text)) + text + bytes(len(text) % 2)
        _replace(file, chunk, changed)


def _replace(file: BinaryIO, chunk: _Chunk, content: bytes) -> None:
    """Put content of even length in a chunk's place, and correct its size and the file's."""
    end = min(chunk.offset + chunk.size + chunk.size % 2, file.seek(0, os.SEEK_END))
    delta = chunk.offset + len(content) - end
    _shift(file, end, delta)
    file.seek(chunk.offset - 4)
    file.write(struct.pack("<I", len(content)) + content)
    file.seek(4)
    (size,) = struct.unpack("<I", file.read(4))
    file.seek(4)
    file.write(struct.pack("<I", size + delta))


def _shift(file: BinaryIO, start: int, delta: int) -> None:
    """Move everything from `start` on by `delta` bytes, which may be negative."""
    size = file.seek(0, os.SEEK_END)
    offsets = range(start, size, _SHIFT_BYTES)
    for offset in reversed(offsets) if delta > 0 else offsets:
        block = _read(file, offset, min(_SHIFT_BYTES, size - offset))
        file.seek(offset + delta)
        file.write(block)
    file.truncate(size + delta)


def _chunks(file: BinaryIO, form: str = "<4sI") -> Iterator[_Chunk]:
    offset, number = 12, 0
    while len(head := _read(file, offset, 8)) == 8:
        name, size = struct.unpack(form, head)
        if not all(0x20 <= byte < 0x7F for byte in name):  # damage, or what follows the last chunk
            return
        number += 1
        if number > _MOST_CHUNKS:
            raise UntaggableError(f"the file has more than {_MOST_CHUNKS} chunks: it is damaged")
        yield _Chunk(name, offset + 8, size)
        offset += 8 + size + size % 2


def _is_info(file: BinaryIO, chunk: _Chunk) -> bool:
    return chunk.name == b"LIST" and chunk.size >= 4 and _read(file, chunk.offset, 4) == b"INFO"


def _content(file: BinaryIO, chunk: _Chunk) -> bytes:
    return _read(file, chunk.offset, chunk.size) if chunk.size <= _MAX_LIST_BYTES else b""


def _texts(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield (name, text with the zero byte that ends it)."""
    position = 0
    while position + 8 <= len(content):
        name, size = struct.unpack_from("<4sI", content, position)
        yield name, content[position + 8 : position + 8 + size]
        position += 8 + size + size % 2


def _decoded(text: bytes) -> str:
    text = text.split(b"\0")[0]
    try:
        return text.decode()
    except UnicodeDecodeError:
        return text.decode("latin-1")


def _read(file: BinaryIO, offset: int, n_bytes: int) -> bytes:
    file.seek(offset)
    return file.read(n_bytes)


class LeadingId3Adapter:
    """A `TagAdapter` for ID3v2 at the front; APEv2 and ID3v1 tags at the end are kept in step.

    Parameters
    ----------
    kind : {"mp3", "tta"}
    """

    def __init__(self, kind: str) -> None:
        self._kind = kind

    def places(self, file: BinaryIO) -> list[Place]:
        """Return ID3v2, APEv2, ID3v1, and further ID3v2 tags."""
        tags = self._load(file)
        own = frame_places(tags) if tags.size else []  # without one, mutagen takes up an ID3v1 tag
        return [*own, *ape_place(file), *front_places(file, first=1), *tail_places(file)]

    def check(self, file: BinaryIO) -> None:
        """Raise if mutagen finds no such audio."""
        module, name = ("mp3", "MP3") if self._kind == "mp3" else ("trueaudio", "TrueAudio")
        getattr(import_mutagen(f"mutagen.{module}"), name)(
            Window(file, front_end(file))
        )  # not to load the ID3 tag, too

    def others(self, file: BinaryIO) -> dict[str, str]:
        """Return every other frame and item."""
        return other_frames(self._load(file)) | ape_others(file) | {"<id3v1>": tail_without_genre(file)}

    def write(self, file: BinaryIO, genres: Sequence[str], id3_version: int | None) -> Written:
        """Replace the genres in every tag that has them."""
        tags = self._load(file)  # takes up what an ID3v1 tag says where there is no other
        if tags.size:
            refuse_lost_frames(tags, import_mutagen("mutagen.id3").ID3(rewound(file), **RAW))
        written, version = replace_genres(tags, genres, id3_version)
        tail = take_tail(file)
        ape = load_ape(file)
        # Where a TTA file has APEv2 items, players pass its ID3 tag over.
        if "Genre" in ape or (self._kind == "tta" and len(ape)):
            write_ape(file, ape, genres)
        tags.save(rewound(file), v1=0, v2_version=version, v23_sep=None)
        put_tail(file, tail, genres[0])
        return written

    def _load(self, file: BinaryIO) -> Any:
        id3 = import_mutagen("mutagen.id3")
        self.check(file)
        try:
            return loaded(file)
        except id3.ID3NoHeaderError:
            pass
        try:
            return id3.ID3(rewound(file), translate=False)  # an ID3v1 tag's texts
        except id3.ID3NoHeaderError:
            return id3.ID3()


class ChunkId3Adapter:
    """A `TagAdapter` for ID3v2 in a chunk; the INFO lists of a WAV file are kept in step.

    Parameters
    ----------
    kind : {"wav", "aiff"}
    """

    def __init__(self, kind: str) -> None:
        self._kind = kind

    def places(self, file: BinaryIO) -> list[Place]:
        """Return the ID3 chunk and INFO lists."""
        own = frame_places(self._load(file).tags, "the ID3 chunk")
        return [*own, *(riff_places(file) if self._kind == "wav" else ())]

    def check(self, file: BinaryIO) -> None:
        """Leave it to FFmpeg, which finds no audio in other files."""

    def others(self, file: BinaryIO) -> dict[str, str]:
        """Return every other frame and text."""
        return other_frames(self._load(file).tags) | (riff_others(file) if self._kind == "wav" else {})

    def write(self, file: BinaryIO, genres: Sequence[str], id3_version: int | None) -> Written:
        """Replace the genres."""
        if self._kind == "wav":
            check_data_size(file)
            write_info_genres(file, genres)
        opened = self._load(file)
        if opened.tags is None:
            opened.add_tags()
        else:
            refuse_lost_frames(opened.tags, self._raw(file))
        written, version = replace_genres(opened.tags, genres, id3_version)
        opened.tags.save(rewound(file), v2_version=version, v23_sep=None)
        return written

    def _load(self, file: BinaryIO) -> Any:
        check_no_leading_id3(file, self._kind.upper())
        if rewound(file).read(4) == b"RF64":
            raise UntaggableError("RF64 files, WAV beyond 4 GB, cannot be tagged: convert it to FLAC first")
        if count_id3_chunks(file, big_endian=self._kind == "aiff") > 1:
            raise UntaggableError("the file has several ID3 chunks, which may disagree: remove all but one first")
        raw = self._raw(file)
        if raw is not None:
            refuse_bombs(raw)
        return self._class()(rewound(file), translate=False, load_v1=False)

    def _raw(self, file: BinaryIO) -> Any:
        return self._class()(rewound(file), **RAW).tags

    def _class(self) -> Any:
        module, name = ("wave", "WAVE") if self._kind == "wav" else ("aiff", "AIFF")
        return getattr(import_mutagen(f"mutagen.{module}"), name)
