"""ID3v2 and APEv2 tags: frames and items, and the adapters for MP3, TTA, APE, WavPack and Musepack.

ID3v2.4 holds several genres as texts separated by NUL in one TCON frame. Version 2.3 has no agreed way: taggers write
and players show "/", and references "(n)" know 192 names only, so one text joined by "/" is written. A tag keeps its
version, and with it its other frames, unless another version is asked for.

mutagen skips or joins some frames while it reads a tag, so that saving would lose them. Such tags are refused.
"""

from __future__ import annotations

import os
import zlib
from collections import Counter
from collections.abc import Sequence
from typing import Any, BinaryIO

from genre_runtime.errors import UntaggableError
from genre_runtime.library.tags.base import (
    SEPARATOR,
    FileSlice,
    GenreField,
    TagAdapter,
    Written,
    append_id3v1,
    cut_id3v1,
    front_end,
    front_size,
    front_tags,
    has_footer,
    id3v1_fields,
    id3v1_others,
    import_mutagen,
    read_at,
    read_id3v1,
    rewound,
    xmp_fields,
)

_CLASSES = {
    "mp3": ("mp3", "MP3"),
    "tta": ("trueaudio", "TrueAudio"),
    "ape": ("monkeysaudio", "MonkeysAudio"),
    "wv": ("wavpack", "WavPack"),
    "mpc": ("musepack", "Musepack"),
}
"""Modules and classes of mutagen."""
_APE_KEY = "Genre"
_NEW_VERSION = 4
"""Minor version of a new tag."""
_MOST_EXPANDED_BYTES = 2**26
"""Of all compressed frames of a tag."""
_MOST_COPIED_BYTES = 2**31
"""That mutagen copies while it splits one frame into texts: a second of work."""


class _NoFrameClasses(dict[str, Any]):
    """Frame classes by name, for mutagen: empty, so that it keeps the bytes of every frame.

    mutagen also looks names up in it, to tell how a tag counts its bytes.
    """

    def __contains__(self, name: object) -> bool:
        return name in import_mutagen("mutagen.id3").Frames


RAW: dict[str, Any] = {"translate": False, "load_v1": False, "known_frames": _NoFrameClasses()}
"""Options of mutagen to load the bytes of all frames."""


class Id3Adapter(TagAdapter):
    """Adapter for ID3v2 in front of the audio; APEv2 and ID3v1 tags behind it get the same genre.

    Parameters
    ----------
    kind : {"mp3", "tta"}
    """

    def __init__(self, kind: str) -> None:
        self._kind = kind

    def genre_fields(self, file: BinaryIO) -> list[GenreField]:
        """Return the fields of ID3v2, APEv2, ID3v1, and further ID3v2 tags."""
        tags = self._load(file)
        own = frame_fields(tags) if tags.size else []  # without an ID3v2 tag, mutagen reads ID3v1
        return [*own, *ape_fields(file), *front_fields(file, first=1), *id3v1_fields(file)]

    def other_fields(self, file: BinaryIO) -> dict[str, str]:
        """Return all other frames and items."""
        return other_frames(self._load(file)) | _ape_others(file) | id3v1_others(file)

    def write(self, file: BinaryIO, genres: Sequence[str], id3_version: int | None) -> Written:
        """Replace the genres in every tag that has them."""
        tags = self._load(file)  # holds the values of an ID3v1 tag if there is no other
        if tags.size:
            refuse_lost_frames(tags, import_mutagen("mutagen.id3").ID3(rewound(file), **RAW))
        written, version = replace_genres(tags, genres, id3_version)
        id3v1 = cut_id3v1(file)
        ape = _load_ape(file)
        # Players ignore the ID3 tag of a TTA file that has APEv2 items.
        if _APE_KEY in ape or (self._kind == "tta" and len(ape)):
            _write_ape(file, ape, genres)
        tags.save(rewound(file), v1=0, v2_version=version, v23_sep=None)
        append_id3v1(file, id3v1, genres[0])
        return written

    def check(self, file: BinaryIO) -> None:
        """Raise if mutagen finds no such audio."""
        _check_audio(file, self._kind)

    def _load(self, file: BinaryIO) -> Any:
        id3 = import_mutagen("mutagen.id3")
        self.check(file)
        try:
            return load_id3(file)
        except id3.ID3NoHeaderError:
            pass
        try:
            return id3.ID3(rewound(file), translate=False)  # reads ID3v1
        except id3.ID3NoHeaderError:
            return id3.ID3()


class ApeAdapter(TagAdapter):
    """Adapter for APEv2 behind the audio; ID3 tags at either end get the same genre.

    Parameters
    ----------
    kind : {"ape", "wv", "mpc"}
    """

    def __init__(self, kind: str) -> None:
        self._kind = kind

    def genre_fields(self, file: BinaryIO) -> list[GenreField]:
        """Return the fields of APEv2, ID3v2 in front, ID3v1."""
        self.check(file)
        return [*ape_fields(file), *front_fields(file), *id3v1_fields(file)]

    def other_fields(self, file: BinaryIO) -> dict[str, str]:
        """Return all other items and frames."""
        return _ape_others(file) | front_others(file) | id3v1_others(file)

    def write(self, file: BinaryIO, genres: Sequence[str], id3_version: int | None) -> Written:  # noqa: ARG002
        """Replace the genres."""
        self.check(file)
        id3v1 = cut_id3v1(file)
        _write_ape(file, _load_ape(file), genres)
        write_front(file, genres)
        append_id3v1(file, id3v1, genres[0])
        return Written(tuple(genres))

    def check(self, file: BinaryIO) -> None:
        """Raise if mutagen finds no such audio behind the ID3v2 tags."""
        _check_audio(file, self._kind)


def _check_audio(file: BinaryIO, kind: str) -> None:
    module, name = _CLASSES[kind]
    getattr(import_mutagen(f"mutagen.{module}"), name)(FileSlice(file, front_end(file)))  # without the ID3v2 tag


def ape_fields(file: BinaryIO) -> list[GenreField]:
    """Return the genre of the APEv2 tag as one field, or none.

    Parameters
    ----------
    file : binary file object
    """
    value = _find_ape(file).get(_APE_KEY)
    if value is None:
        return []
    texts = tuple(value) if hasattr(value, "__iter__") else (str(value),)
    return [GenreField("the APEv2 tag", tuple(text for text in map(str, texts) if text.strip()))]


def _ape_others(file: BinaryIO) -> dict[str, str]:
    ape = _find_ape(file)
    return {f"<ape> {key.casefold()}": repr(ape[key]) for key in ape if key.casefold() != _APE_KEY.casefold()}


def _load_ape(file: BinaryIO) -> Any:
    """Return the APEv2 tag, empty if there is none."""
    apev2 = import_mutagen("mutagen.apev2")
    try:
        return apev2.APEv2(rewound(file))
    except apev2.APENoHeaderError:
        return apev2.APEv2()


def _find_ape(file: BinaryIO) -> Any:
    """Return the APEv2 tag, also in front of an extended ID3v1 tag, where mutagen does not look."""
    ape = _load_ape(file)
    id3v1 = read_id3v1(file)
    if len(ape) or len(id3v1) <= 128:
        return ape
    return _load_ape(FileSlice(file, 0, file.seek(0, os.SEEK_END) - len(id3v1)))  # type: ignore[arg-type]


def _write_ape(file: BinaryIO, ape: Any, genres: Sequence[str]) -> None:
    """Save an APEv2 tag with another genre. The ID3v1 tag has been cut off."""
    if read_at(file, max(0, file.seek(0, os.SEEK_END) - 9), 9) in (b"LYRICS200", b"LYRICSEND"):  # mutagen drops them
        raise UntaggableError("the file ends in a Lyrics3 block, which would be lost: remove it or tag by hand")
    ape[_APE_KEY] = list(genres)
    ape.save(rewound(file))


def load_id3(file: BinaryIO) -> Any:
    """Return the ID3v2 tag at the beginning of a file.

    Parameters
    ----------
    file : binary file object

    Raises
    ------
    UntaggableError
        Its frames would take too much memory or time.
    mutagen.MutagenError
        There is none, or it cannot be read.
    """
    id3 = import_mutagen("mutagen.id3")
    refuse_oversized_frames(id3.ID3(rewound(file), **RAW))
    return id3.ID3(rewound(file), translate=False, load_v1=False)


def frame_fields(tags: Any, name: str = "the ID3v2 tag") -> list[GenreField]:
    """Return the genres of the frames TCON, TXXX:genre and of XMP.

    Parameters
    ----------
    tags : mutagen.id3.ID3 or None
    name : str
        Of the tag, for messages.
    """
    if tags is None:
        return []
    genres = tuple(genre for frame in tags.getall("TCON") for genre in frame.genres if genre.strip())
    fields = [GenreField(name, genres)]
    for frame in _genre_txxx(tags):
        texts = tuple(str(text) for text in frame.text)
        fields.append(GenreField(f"TXXX:{frame.desc} of {name}", tuple(text for text in texts if text.strip())))
    for frame in tags.getall("PRIV"):
        fields += xmp_fields(f"the XMP in {name}", frame.data)
    return fields


def other_frames(tags: Any) -> dict[str, str]:
    """Return all other frames in a form that can be compared.

    Parameters
    ----------
    tags : mutagen.id3.ID3 or None
    """
    if tags is None:
        return {}
    own = {frame.HashKey for frame in _genre_txxx(tags)}
    found = {
        key: repr(frame)
        for key, frame in tags.items()
        if not key.startswith("TCON") and key not in own and not _is_empty(frame)
    }
    return found | ({"<unknown>": repr(sorted(tags.unknown_frames))} if tags.unknown_frames else {})


def replace_genres(tags: Any, genres: Sequence[str], id3_version: int | None) -> tuple[Written, int]:
    """Replace the genre frames of a loaded tag.

    Parameters
    ----------
    tags : mutagen.id3.ID3
        Changed, not saved.
    genres : sequence of str
    id3_version : 3, 4 or None
        Minor version; None keeps the tag's own.

    Returns
    -------
    (Written, int)
        The int is the minor version to save with.

    Raises
    ------
    UntaggableError
        Frames cannot be converted.
    """
    id3 = import_mutagen("mutagen.id3")
    present = tags.version[1] if tags.version[0] == 2 and tags.size else None
    version: int = id3_version or (_NEW_VERSION if present is None else max(present, 3))  # 2.2 is not written any more
    if tags.unknown_frames and present != version:
        raise UntaggableError(
            f"the ID3v2.{present} tag holds frames that cannot be carried over to 2.{version}: keep its version"
        )
    converted = present != version and len(tags) > 0
    if converted:
        (tags.update_to_v23 if version == 3 else tags.update_to_v24)()
    texts = list(genres) if version == 4 else [SEPARATOR.join(genres)]
    latin = all(character <= "\xff" for text in texts for character in text)
    encoding = id3.Encoding.LATIN1 if latin else id3.Encoding.UTF8 if version == 4 else id3.Encoding.UTF16
    tags.setall("TCON", [id3.TCON(encoding=encoding, text=texts)])
    for frame in _genre_txxx(tags):
        if not frame.desc.isascii() and encoding == id3.Encoding.LATIN1:
            continue
        frame.encoding, frame.text = encoding, texts
    return Written(tuple(texts), converted), version


def front_fields(file: BinaryIO, first: int = 0) -> list[GenreField]:
    """Return the genres of the ID3v2 tags in front of the audio.

    Parameters
    ----------
    file : binary file object
    first : int
        Number of the first tag to read, from 0.
    """
    id3 = import_mutagen("mutagen.id3")
    fields = []
    for number, (offset, _) in list(enumerate(front_tags(file)))[first:]:
        name = "the ID3v2 tag" if number == 0 else f"ID3v2 tag {number + 1}"
        try:
            tags = load_id3(FileSlice(file, offset))  # type: ignore[arg-type]
        except (id3.ID3NoHeaderError, id3.ID3UnsupportedVersionError):
            continue
        fields += frame_fields(tags, f"{name} in front of the audio")
    return fields


def front_others(file: BinaryIO) -> dict[str, str]:
    """Return the other frames of the first ID3v2 tag in front of the audio in a form that can be compared.

    Parameters
    ----------
    file : binary file object
    """
    if not front_size(file):
        return {}
    return {f"<id3> {key}": value for key, value in other_frames(load_id3(file)).items()}


def write_front(file: BinaryIO, genres: Sequence[str]) -> None:
    """Replace the genre of the first ID3v2 tag in front of the audio, if it has one.

    Parameters
    ----------
    file : binary file object
        Without an ID3v1 tag, which mutagen would remove.
    genres : sequence of str

    Raises
    ------
    UntaggableError
    """
    if not front_size(file):
        return
    tags = load_id3(file)
    if any(field.genres for field in frame_fields(tags)):
        if has_footer(file):
            raise UntaggableError(
                "the ID3v2 tag in front of the audio has a footer, which cannot be written: remove it"
            )
        refuse_lost_frames(tags, import_mutagen("mutagen.id3").ID3(rewound(file), **RAW))
        _, version = replace_genres(tags, genres, None)
        tags.save(rewound(file), v1=0, v2_version=version, v23_sep=None)


def refuse_lost_frames(tags: Any, raw: Any) -> None:
    """Raise if saving a tag would lose frames.

    mutagen joins text frames (T...) of one name to one frame of several texts, which loses nothing. Of two ratings,
    comments or lyrics with the same key it keeps one. It drops damaged frames, and empty ones, which loses nothing.

    Parameters
    ----------
    tags, raw : mutagen.id3.ID3
        The same tag, loaded to be saved and loaded with `RAW`.

    Raises
    ------
    UntaggableError
    """
    kept = Counter(frame.FrameID for frame in tags.values()) + Counter(map(_frame_id, tags.unknown_frames))
    found = Counter(_frame_id(frame) for frame in raw.unknown_frames if not _is_empty_raw(frame))
    lost = sorted(
        name for name, count in found.items() if name != "TCON" and kept[name] < (1 if name.startswith("T") else count)
    )
    if lost:
        raise UntaggableError(
            f"the ID3 tag has frames that are damaged or double and would be lost ({', '.join(lost)}): save it with a "
            "tag editor first"
        )


def refuse_oversized_frames(raw: Any) -> None:
    """Raise if frames would take mutagen gigabytes of memory or minutes: compressed ones, and ones of many texts.

    Parameters
    ----------
    raw : mutagen.id3.ID3
        The tag, loaded with `RAW`.

    Raises
    ------
    UntaggableError
    """
    left = _MOST_EXPANDED_BYTES
    for frame in raw.unknown_frames:
        name = frame[:4].decode("ascii", errors="replace")
        body = frame[10:]
        if len(frame) >= 10 and raw.version[1] > 2 and frame[9] & (0x08 if raw.version[1] == 4 else 0x80):
            bodies = (body, body[4:], body[4:].replace(b"\xff\0", b"\xff"))
            body = max(map(_expanded, bodies), key=len)
            left -= len(body)
        if left < 0:
            raise UntaggableError(
                f"the ID3 tag's frame {name!r} expands to more than {_MOST_EXPANDED_BYTES} bytes: remove it"
            )
        # mutagen copies the rest of a frame for every text in it.
        separator = b"\0\0" if body[:1] in (b"\1", b"\2") else b"\0"
        if name.startswith(("T", "IPL")) and len(body) * body.count(separator) > _MOST_COPIED_BYTES:
            raise UntaggableError(f"the ID3 tag's frame {name!r} holds {body.count(separator)} texts: it is damaged")


def _expanded(body: bytes) -> bytes:
    try:
        return zlib.decompressobj().decompress(body, _MOST_EXPANDED_BYTES + 1)
    except zlib.error:
        return b""


def _is_empty_raw(frame: bytes) -> bool:
    """Return whether a frame of text or of a link holds only an encoding: mutagen drops it."""
    size_of_head = 10 if frame[:4].decode("ascii", errors="replace") in import_mutagen("mutagen.id3").Frames else 6
    return frame[:1] in (b"T", b"W") and not frame[size_of_head:].strip(b"\0\1\2\3\xff\xfe")


def _frame_id(frame: bytes) -> str:
    """Return the name of a frame; those of version 2.2, three letters, by their name in 2.3."""
    id3 = import_mutagen("mutagen.id3")
    name = frame[:4].rstrip(b"\0").decode("ascii", errors="replace")
    old = id3.Frames_2_2.get(frame[:3].decode("ascii", errors="replace"))
    if name in id3.Frames or old is None:
        return name
    return str(old.__base__.__name__)


def _is_empty(frame: Any) -> bool:
    """Return whether a frame of texts is empty: mutagen does not write it."""
    return frame.FrameID.startswith("T") and frame.FrameID != "TXXX" and not any(map(str, getattr(frame, "text", "x")))


def _genre_txxx(tags: Any) -> list[Any]:
    """Return the TXXX frames named "genre": some players show them instead of TCON."""
    return [frame for frame in tags.getall("TXXX") if frame.desc.casefold() == "genre"]
