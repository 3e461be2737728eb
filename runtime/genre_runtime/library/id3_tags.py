"""ID3v2 tags: at the front of MP3 and TTA files, in a chunk of WAV and AIFF files.

Version 2.4 holds several genres as texts separated by NUL in one TCON frame. Version 2.3 has no agreed way: "/" is
what taggers write and players show, and references "(n)" know 192 names only; so one text joined by "/" is written.
The version of a tag that is there stays, and its other frames with it, unless a version is asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, BinaryIO

from genre_runtime.library.adapters import Written, import_mutagen
from genre_runtime.library.errors import UntaggableError
from genre_runtime.library.raw_frames import RAW, refuse_lost_frames
from genre_runtime.library.riff_info import riff_info_genres
from genre_runtime.library.trailing import genre_of_id3v1, put_id3v1, read_id3v1, refuse_lyrics3, take_id3v1

NEW_VERSION = 4
"""Minor version of a tag where there was none."""
JOINT = "/"


class LeadingId3Adapter:
    """A `TagAdapter` for ID3v2 at the front; APEv2 and ID3v1 tags at the end are kept in step.

    Parameters
    ----------
    kind : {"mp3", "tta"}
    """

    def __init__(self, kind: str) -> None:
        self._kind = kind

    def read(self, file: BinaryIO) -> tuple[str, ...]:
        """Return the genres of the first tag that has any: ID3v2, APEv2, ID3v1."""
        tags = self._load(file)
        return _genres(tags) or _ape_genres(_load_ape(file)) or genre_of_id3v1(read_id3v1(file))

    def others(self, file: BinaryIO) -> dict[str, str]:
        """Return every other frame and item."""
        ape = _load_ape(file)
        items = {f"<ape> {key}": repr(ape[key]) for key in ape if key.casefold() != "genre"}
        return _other_frames(self._load(file)) | items | {"<id3v1>": repr(read_id3v1(file)[:-1])}

    def write(self, file: BinaryIO, genres: Sequence[str], id3_version: int | None) -> Written:
        """Replace the genres in every tag that has them."""
        tags = self._load(file)  # takes up what an ID3v1 tag says where there is no other
        if tags.size:
            refuse_lost_frames(tags, import_mutagen("mutagen.id3").ID3(_rewound(file), **RAW))
        written, version = _replace(tags, genres, id3_version)
        tail = take_id3v1(file)
        ape = _load_ape(file)
        # Where a TTA file has APEv2 items, players pass its ID3 tag over.
        if "Genre" in ape or (self._kind == "tta" and len(ape)):
            refuse_lyrics3(file)
            ape["Genre"] = list(genres)
            file.seek(0)
            ape.save(file)
        file.seek(0)
        tags.save(file, v1=0, v2_version=version, v23_sep=None)
        put_id3v1(file, tail, genres[0])
        return written

    def _load(self, file: BinaryIO) -> Any:
        id3 = import_mutagen("mutagen.id3")
        file.seek(0)
        if self._kind == "mp3":  # raises where there is no such audio
            import_mutagen("mutagen.mp3").MP3(file)
        else:
            import_mutagen("mutagen.trueaudio").TrueAudio(file)
        for load_v1 in (False, True):
            try:
                file.seek(0)
                return id3.ID3(file, translate=False, load_v1=load_v1)
            except id3.ID3NoHeaderError:
                continue
        return id3.ID3()


class ChunkId3Adapter:
    """A `TagAdapter` for ID3v2 in a chunk.

    Parameters
    ----------
    kind : {"wav", "aiff"}
    """

    def __init__(self, kind: str) -> None:
        self._kind = kind

    def read(self, file: BinaryIO) -> tuple[str, ...]:
        """Return the genres."""
        return _genres(self._load(file).tags) or (riff_info_genres(file) if self._kind == "wav" else ())

    def others(self, file: BinaryIO) -> dict[str, str]:
        """Return every other frame."""
        return _other_frames(self._load(file).tags)

    def write(self, file: BinaryIO, genres: Sequence[str], id3_version: int | None) -> Written:
        """Replace the genres."""
        opened = self._load(file)
        if opened.tags is None:
            opened.add_tags()
        else:
            refuse_lost_frames(opened.tags, self._load(file, **RAW).tags)
        written, version = _replace(opened.tags, genres, id3_version)
        file.seek(0)
        opened.tags.save(file, v2_version=version, v23_sep=None)
        return written

    def _load(self, file: BinaryIO, **options: Any) -> Any:
        module, name = ("wave", "WAVE") if self._kind == "wav" else ("aiff", "AIFF")
        options = {"translate": False, "load_v1": False} | options
        return getattr(import_mutagen(f"mutagen.{module}"), name)(_rewound(file), **options)


def _rewound(file: BinaryIO) -> BinaryIO:
    file.seek(0)
    return file


def _genres(tags: Any) -> tuple[str, ...]:
    if tags is None:
        return ()
    return tuple(genre for frame in tags.getall("TCON") for genre in frame.genres if genre.strip())


def _other_frames(tags: Any) -> dict[str, str]:
    if tags is None:
        return {}
    found = {key: repr(frame) for key, frame in tags.items() if not key.startswith("TCON")}
    return found | ({"<unknown>": repr(sorted(tags.unknown_frames))} if tags.unknown_frames else {})


def _replace(tags: Any, genres: Sequence[str], id3_version: int | None) -> tuple[Written, int]:
    """Change the genre frame; return what will read back and the minor version to save with."""
    id3 = import_mutagen("mutagen.id3")
    has = tags.version[1] if tags.version[0] == 2 and tags.size else None
    version: int = id3_version or (NEW_VERSION if has is None else max(has, 3))  # nobody writes 2.2 any more
    if tags.unknown_frames and has != version:
        raise UntaggableError(
            f"the ID3v2.{has} tag holds frames that cannot be carried over to 2.{version}: keep its version"
        )
    converted = has != version and len(tags) > 0
    if converted:
        (tags.update_to_v23 if version == 3 else tags.update_to_v24)()
    texts = list(genres) if version == 4 else [JOINT.join(genres)]
    latin = all(character <= "\xff" for text in texts for character in text)
    encoding = id3.Encoding.LATIN1 if latin else id3.Encoding.UTF8 if version == 4 else id3.Encoding.UTF16
    tags.setall("TCON", [id3.TCON(encoding=encoding, text=texts)])
    return Written(tuple(texts), converted), version


def _load_ape(file: BinaryIO) -> Any:
    apev2 = import_mutagen("mutagen.apev2")
    file.seek(0)
    try:
        return apev2.APEv2(file)
    except apev2.APENoHeaderError:
        return apev2.APEv2()


def _ape_genres(ape: Any) -> tuple[str, ...]:
    return tuple(ape["Genre"]) if "Genre" in ape else ()
