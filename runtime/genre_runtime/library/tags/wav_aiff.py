"""Tags in chunks: the ID3 chunk of WAV and AIFF files, and the INFO lists of WAV files.

mutagen neither reads nor writes INFO lists. A file may have several, before and behind the audio, and a list several
texts of one name. A list that has a field gets the same values as the ID3 chunk; other lists are not changed.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, BinaryIO, NamedTuple

from genre_runtime.errors import UntaggableError
from genre_runtime.library.tags.base import (
    SEPARATOR,
    Place,
    TagAdapter,
    check_no_front_id3,
    import_mutagen,
    read_at,
    rewound,
    xmp_places,
)
from genre_runtime.library.tags.fields import GENRE, Field
from genre_runtime.library.tags.id3 import (
    RAW,
    frame_places,
    other_frames,
    refuse_lost_frames,
    refuse_oversized_frames,
    replace_frames,
)

_MOST_LIST_BYTES = 2**24
"""A longer list of texts, or block of XMP, is damaged."""
_MOST_CHUNKS = 10_000
"""Files have ten; each takes mutagen half a kilobyte of memory."""
_SHIFT_BYTES = 2**20


class _Chunk(NamedTuple):
    name: bytes
    offset: int
    """Of the content, bytes."""
    size: int


class WavAiffAdapter(TagAdapter):
    """Adapter for WAV and AIFF files.

    Parameters
    ----------
    kind : {"wav", "aiff"}
    """

    def __init__(self, kind: str) -> None:
        self._kind = kind

    def places(self, file: BinaryIO, field: Field) -> list[Place]:
        """Return the places in the ID3 chunk, INFO lists and XMP chunks."""
        own = frame_places(self._load(file).tags, field, "the ID3 chunk")
        return [*own, *(_info_places(file, field) if self._kind == "wav" else ())]

    def others(self, file: BinaryIO, fields: Iterable[Field]) -> dict[str, str]:
        """Return all other frames and texts, and the names of the chunks."""
        frames = other_frames(self._load(file).tags, fields)
        return frames | (_info_others(file, fields) if self._kind == "wav" else {})

    def write(self, file: BinaryIO, values: Mapping[Field, Sequence[str]], id3_version: int | None) -> bool:
        """Replace the fields."""
        if self._kind == "wav":
            _check_data_size(file)
            for field, own in values.items():
                _write_info(file, field.info, SEPARATOR.join(own))
        opened = self._load(file)
        if opened.tags is None:
            opened.add_tags()
        else:
            refuse_lost_frames(opened.tags, self._raw(file), values)
        converted, version = replace_frames(opened.tags, values, id3_version)
        opened.tags.save(rewound(file), v2_version=version, v23_sep=None)
        return converted

    def _load(self, file: BinaryIO) -> Any:
        check_no_front_id3(file, self._kind.upper())
        if rewound(file).read(4) == b"RF64":
            raise UntaggableError("RF64 files, WAV beyond 4 GB, cannot be tagged: convert it to FLAC first")
        chunks = _chunks(file, "<4sI" if self._kind == "wav" else ">4sI")
        if sum(chunk.name.lower() == b"id3 " for chunk in chunks) > 1:
            raise UntaggableError("the file has several ID3 chunks, which may disagree: remove all but one first")
        raw = self._raw(file)
        if raw is not None:
            refuse_oversized_frames(raw)
        return self._class()(rewound(file), translate=False, load_v1=False)

    def _raw(self, file: BinaryIO) -> Any:
        return self._class()(rewound(file), **RAW).tags

    def _class(self) -> Any:
        module, name = ("wave", "WAVE") if self._kind == "wav" else ("aiff", "AIFF")
        return getattr(import_mutagen(f"mutagen.{module}"), name)


def _info_places(file: BinaryIO, field: Field) -> list[Place]:
    """Return the places of a field in INFO lists and, of the genre, in XMP chunks."""
    places = []
    for chunk in _chunks(file):
        if chunk.name == b"_PMX" and field == GENRE:
            places += xmp_places("the XMP chunk", _content(file, chunk))
        elif field.info and _is_info(file, chunk):
            texts = [_decoded(text) for name, text in _texts(_content(file, chunk)[4:]) if name == field.info]
            name = f"{field.info.decode()} of the INFO list"
            places.append(Place(name, tuple(text for text in texts if text.strip())))
    return places


def _info_others(file: BinaryIO, fields: Iterable[Field]) -> dict[str, str]:
    """Return the other texts of INFO lists and the names of all chunks but the ID3 chunk."""
    found, names = {}, []
    own = {field.info for field in fields}
    for chunk in _chunks(file):
        if chunk.name.lower() == b"id3 ":
            continue
        names.append(chunk.name)
        if _is_info(file, chunk):
            texts = [entry for entry in _texts(_content(file, chunk)[4:]) if entry[0] not in own]
            found[f"<info {len(names)}>"] = repr(texts)
    return found | {"<chunks>": repr(names)}


def _check_data_size(file: BinaryIO) -> None:
    """Raise if the data chunk claims to be empty and is not: chunks behind it would not be found."""
    for chunk in _chunks(file):
        if chunk.name == b"data" and not chunk.size and file.seek(0, os.SEEK_END) > chunk.offset + 8:
            raise UntaggableError(
                "the WAV file's data chunk claims to be empty, so that a tag behind it would not be found: repair the "
                "header first, for instance by copying the audio with `ffmpeg -c copy`"
            )


def _write_info(file: BinaryIO, own: bytes, value: str) -> None:
    """Replace the text of a name in every INFO list that has one."""
    for number in range(len(list(_chunks(file)))):
        chunk = list(_chunks(file))[number]  # every replacement moves all that follows
        if not _is_info(file, chunk):
            continue
        texts = list(_texts(_content(file, chunk)[4:]))
        if not any(name == own for name, _ in texts):
            continue
        changed, done = b"INFO", False
        for name, text in texts:
            if name == own:
                if done:
                    continue
                text, done = value.encode() + b"\0", True
            changed += struct.pack("<4sI", name, len(text)) + text + bytes(len(text) % 2)
        _replace(file, chunk, changed)


def _replace(file: BinaryIO, chunk: _Chunk, content: bytes) -> None:
    """Replace the content of a chunk, of even length, and correct its size and the file's."""
    end = min(chunk.offset + chunk.size + chunk.size % 2, file.seek(0, os.SEEK_END))
    delta = chunk.offset + len(content) - end
    _shift(file, end, delta)
    file.seek(chunk.offset - 4)
    file.write(struct.pack("<I", len(content)) + content)
    (size,) = struct.unpack("<I", read_at(file, 4, 4))
    file.seek(4)
    file.write(struct.pack("<I", size + delta))


def _shift(file: BinaryIO, start: int, delta: int) -> None:
    """Move everything from `start` on by `delta` bytes, which may be negative."""
    size = file.seek(0, os.SEEK_END)
    offsets = range(start, size, _SHIFT_BYTES)
    for offset in reversed(offsets) if delta > 0 else offsets:
        block = read_at(file, offset, min(_SHIFT_BYTES, size - offset))
        file.seek(offset + delta)
        file.write(block)
    file.truncate(size + delta)


def _chunks(file: BinaryIO, form: str = "<4sI") -> Iterator[_Chunk]:
    offset, number = 12, 0
    while len(head := read_at(file, offset, 8)) == 8:
        name, size = struct.unpack(form, head)
        if not all(0x20 <= byte < 0x7F for byte in name):  # damage, or what follows the last chunk
            return
        number += 1
        if number > _MOST_CHUNKS:
            raise UntaggableError(f"the file has more than {_MOST_CHUNKS} chunks: it is damaged")
        yield _Chunk(name, offset + 8, size)
        offset += 8 + size + size % 2


def _is_info(file: BinaryIO, chunk: _Chunk) -> bool:
    return chunk.name == b"LIST" and chunk.size >= 4 and read_at(file, chunk.offset, 4) == b"INFO"


def _content(file: BinaryIO, chunk: _Chunk) -> bytes:
    return read_at(file, chunk.offset, chunk.size) if chunk.size <= _MOST_LIST_BYTES else b""


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
