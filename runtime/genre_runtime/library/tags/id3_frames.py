"""ID3v2 frames that mutagen passes over or joins while it reads a tag: saved again, the tag would lack them.

The genre among the frames of an ID3v2 tag, and the tags in front of a file's audio.

Version 2.4 holds several genres as texts separated by NUL in one TCON frame. Version 2.3 has no agreed way: "/" is
what taggers write and players show, and references "(n)" know 192 names only; so one text joined by "/" is written.
The version of a tag that is there stays, and its other frames with it, unless a version is asked for.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Sequence
from typing import Any, BinaryIO

from genre_runtime.errors import UntaggableError
from genre_runtime.library.tags.base import Written, import_mutagen
from genre_runtime.library.tags.places import JOINT, Place, Window, front_size, front_tags, has_footer, xmp_places


class _NoneKnown(dict[str, Any]):
    """Frame classes by name, of which none is at hand, so that mutagen keeps the bytes of every frame.

    It is asked whether there is a name, too, to tell by known names which way a tag counts its bytes.
    """

    def __contains__(self, name: object) -> bool:
        return name in import_mutagen("mutagen.id3").Frames


_MOST_EXPANDED = 2**26
"""Bytes of all compressed frames of a tag."""
_MOST_COPIED = 2**31
"""Bytes that are copied while one frame of texts is taken apart: a second's work."""

RAW: dict[str, Any] = {"translate": False, "load_v1": False, "known_frames": _NoneKnown()}
"""Options to load a tag's frames as they are."""


def refuse_lost_frames(tags: Any, raw: Any) -> None:
    """Raise if a tag has frames that would be lost with its next saving.

    Texts of one name (T...) are joined to one frame of several texts, which loses nothing; of two ratings, comments or
    lyrics that ought to be one, mutagen keeps one or makes another; damaged frames are dropped, and so are empty
    ones, which loses nothing.

    Parameters
    ----------
    tags, raw : mutagen.id3.ID3
        The same tag, loaded to be saved again and with `RAW`.

    Raises
    ------
    UntaggableError
    """
    kept = Counter(frame.FrameID for frame in tags.values()) + Counter(map(_name, tags.unknown_frames))
    found = Counter(_name(frame) for frame in raw.unknown_frames if not _is_empty_frame(frame))
    lost = sorted(
        name for name, count in found.items() if name != "TCON" and kept[name] < (1 if name.startswith("T") else count)
    )
    if lost:
        raise UntaggableError(
            f"the ID3 tag has frames that are damaged or double and would be lost ({', '.join(lost)}): save it with a "
            "tag editor first"
        )


def refuse_bombs(raw: Any) -> None:
    """Raise if frames would take mutagen gigabytes of memory or minutes: compressed ones, and those of many texts.

    Parameters
    ----------
    raw : mutagen.id3.ID3
        The tag, loaded with `RAW`.

    Raises
    ------
    UntaggableError
    """
    left = _MOST_EXPANDED
    for frame in raw.unknown_frames:
        name = frame[:4].decode("ascii", errors="replace")
        body = frame[10:]
        if len(frame) >= 10 and raw.version[1] > 2 and frame[9] & (0x08 if raw.version[1] == 4 else 0x80):
            bodies = (body, body[4:], body[4:].replace(b"\xff\0", b"\xff"))
            body = max(map(_expanded, bodies), key=len)
            left -= len(body)
        if left < 0:
            raise UntaggableError(
                f"the ID3 tag's frame {name!r} expands to more than {_MOST_EXPANDED} bytes: remove it"
            )
        # mutagen copies the rest of a frame for every text in it.
        separator = b"\0\0" if body[:1] in (b"\1", b"\2") else b"\0"
        if name.startswith(("T", "IPL")) and len(body) * body.count(separator) > _MOST_COPIED:
            raise UntaggableError(f"the ID3 tag's frame {name!r} holds {body.count(separator)} texts: it is damaged")


def _expanded(body: bytes) -> bytes:
    try:
        return zlib.decompressobj().decompress(body, _MOST_EXPANDED + 1)
    except zlib.error:
        return b""


def _is_empty_frame(frame: bytes) -> bool:
    """Return whether a frame of text or of a link holds an encoding and nothing else: mutagen drops it."""
    size_of_head = 10 if frame[:4].decode("ascii", errors="replace") in import_mutagen("mutagen.id3").Frames else 6
    return frame[:1] in (b"T", b"W") and not frame[size_of_head:].strip(b"\0\1\2\3\xff\xfe")


def _name(frame: bytes) -> str:
    """Return the name of a frame, by version 2.3: the older have three letters."""
    id3 = import_mutagen("mutagen.id3")
    name = frame[:4].rstrip(b"\0").decode("ascii", errors="replace")
    old = id3.Frames_2_2.get(frame[:3].decode("ascii", errors="replace"))
    if name in id3.Frames or old is None:
        return name
    return str(old.__base__.__name__)


NEW_VERSION = 4
"""Minor version of a tag where there was none."""


def rewound(file: BinaryIO) -> BinaryIO:
    """Return the file at its beginning, where mutagen expects it."""
    file.seek(0)
    return file


def loaded(file: BinaryIO) -> Any:
    """Return the ID3v2 tag at the beginning of a file.

    Raises
    ------
    UntaggableError
        Its frames are compressed to a tiny share of their size.
    mutagen.MutagenError
        There is none, or it cannot be read.
    """
    id3 = import_mutagen("mutagen.id3")
    refuse_bombs(id3.ID3(rewound(file), **RAW))
    return id3.ID3(rewound(file), translate=False, load_v1=False)


def frame_places(tags: Any, name: str = "the ID3v2 tag") -> list[Place]:
    """Return what the frames of a tag say of the genre: TCON, TXXX frames named so, XMP."""
    if tags is None:
        return []
    genres = tuple(genre for frame in tags.getall("TCON") for genre in frame.genres if genre.strip())
    places = [Place(name, genres)]
    for frame in _own_texts(tags):
        texts = tuple(str(text) for text in frame.text)
        places.append(Place(f"TXXX:{frame.desc} of {name}", tuple(text for text in texts if text.strip())))
    for frame in tags.getall("PRIV"):
        places += xmp_places(f"the XMP in {name}", frame.data)
    return places


def other_frames(tags: Any) -> dict[str, str]:
    """Return every other frame in a form to compare."""
    if tags is None:
        return {}
    own = {frame.HashKey for frame in _own_texts(tags)}
    found = {
        key: repr(frame)
        for key, frame in tags.items()
        if not key.startswith("TCON") and key not in own and not _is_empty(frame)
    }
    return found | ({"<unknown>": repr(sorted(tags.unknown_frames))} if tags.unknown_frames else {})


def replace_genres(tags: Any, genres: Sequence[str], id3_version: int | None) -> tuple[Written, int]:
    """Change the genre frames; return what will read back and the minor version to save with."""
    id3 = import_mutagen("mutagen.id3")
    has = tags.version[1] if tags.version[0] == 2 and tags.size else None
    version: int = id3_version or (NEW_VERSION if has is None else max(has, 3))  # programs do not write 2.2 any more
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
    for frame in _own_texts(tags):
        if not frame.desc.isascii() and encoding == id3.Encoding.LATIN1:
            continue
        frame.encoding, frame.text = encoding, texts
    return Written(tuple(texts), converted), version


def front_places(file: BinaryIO, first: int = 0) -> list[Place]:
    """Return what the ID3v2 tags in front of the audio say, from the one of number `first` on."""
    id3 = import_mutagen("mutagen.id3")
    places = []
    for number, (offset, _) in enumerate(front_tags(file)):
        if number >= first:
            name = "the ID3v2 tag" if number == 0 else f"ID3v2 tag {number + 1}"
            try:
                tags = loaded(Window(file, offset))  # type: ignore[arg-type]
            except (id3.ID3NoHeaderError, id3.ID3UnsupportedVersionError):
                continue
            places += frame_places(tags, f"{name} in front of the audio")
    return places


def front_others(file: BinaryIO) -> dict[str, str]:
    """Return the other frames of the first ID3v2 tag in front of the audio in a form to compare."""
    if not front_size(file):
        return {}
    return {f"<id3> {key}": value for key, value in other_frames(loaded(file)).items()}


def write_front(file: BinaryIO, genres: Sequence[str]) -> None:
    """Change the genre of the first ID3v2 tag in front of the audio, if it has one.

    The file ends in no ID3v1 tag, which mutagen would remove.
    """
    if not front_size(file):
        return
    tags = loaded(file)
    if any(place.genres for place in frame_places(tags)):
        if has_footer(file):
            raise UntaggableError(
                "the ID3v2 tag in front of the audio has a footer, which cannot be written: remove it"
            )
        refuse_lost_frames(tags, import_mutagen("mutagen.id3").ID3(rewound(file), **RAW))
        _, version = replace_genres(tags, genres, None)
        tags.save(rewound(file), v1=0, v2_version=version, v23_sep=None)


def _is_empty(frame: Any) -> bool:
    """Return whether a frame of texts says nothing: mutagen does not write it again."""
    return frame.FrameID.startswith("T") and frame.FrameID != "TXXX" and not any(map(str, getattr(frame, "text", "x")))


def _own_texts(tags: Any) -> list[Any]:
    """Return the TXXX frames that are named for the genre: some players show them in the place of TCON."""
    return [frame for frame in tags.getall("TXXX") if frame.desc.casefold() == "genre"]
