"""ID3v2 tags as a file's own: at the front of MP3 and TTA files, in a chunk of WAV and AIFF files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, BinaryIO

from genre_runtime.library.adapters import Written, import_mutagen
from genre_runtime.library.ape_tags import ape_others, ape_place, check_no_leading_id3, load_ape, write_ape
from genre_runtime.library.errors import UntaggableError
from genre_runtime.library.front import front_end
from genre_runtime.library.id3_frames import frame_places, front_places, loaded, other_frames, replace_genres, rewound
from genre_runtime.library.places import Place
from genre_runtime.library.raw_frames import RAW, refuse_bombs, refuse_lost_frames
from genre_runtime.library.riff_info import (
    check_data_size,
    count_id3_chunks,
    riff_others,
    riff_places,
    write_info_genres,
)
from genre_runtime.library.trailing import put_tail, tail_places, tail_without_genre, take_tail
from genre_runtime.library.window import Window


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
