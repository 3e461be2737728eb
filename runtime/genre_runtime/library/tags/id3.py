"""ID3v2 tags: their frames, in front of the audio and in chunks.

ID3v2.4 holds several values as texts separated by NUL in one frame. Version 2.3 has no agreed way: taggers write
and players show "/", and references "(n)" know 192 genres only, so one text joined by "/" is written. A tag keeps its
version, and with it its other frames, unless another version is asked for.

mutagen skips or joins some frames while it reads a tag, so that saving would lose them. Such tags are refused.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, BinaryIO

from genre_runtime.errors import UntaggableError
from genre_runtime.library.tags.base import (
    SEPARATOR,
    FileSlice,
    Place,
    front_size,
    front_tags,
    has_footer,
    import_mutagen,
    rewound,
    xmp_places,
)
from genre_runtime.library.tags.fields import GENRE, Field

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


def frame_places(tags: Any, field: Field, name: str = "the ID3v2 tag") -> list[Place]:
    """Return the places of a field in a tag: its frame, TXXX frames of its name and, for the genre, XMP.

    Parameters
    ----------
    tags : mutagen.id3.ID3 or None
    field : Field
    name : str
        Of the tag, for messages.
    """
    if tags is None:
        return []
    joined = tags.version < (2, 4, 0)
    frames = _main_frames(tags, field)
    values = tuple(text for frame in frames for text in _texts(frame))
    places = [Place(name, values, joined=joined)]
    for frame in _alias_frames(tags, field):
        places.append(Place(f"{frame.HashKey} of {name}", _texts(frame), joined=joined))
    if field == GENRE:
        for frame in tags.getall("PRIV"):
            places += xmp_places(f"the XMP in {name}", frame.data)
    return places


def other_frames(tags: Any, fields: Iterable[Field]) -> dict[str, str]:
    """Return the frames that do not hold these fields, in a form that can be compared.

    Parameters
    ----------
    tags : mutagen.id3.ID3 or None
    fields : iterable of Field
    """
    if tags is None:
        return {}
    own = {frame.HashKey for field in fields for frame in (*_main_frames(tags, field), *_alias_frames(tags, field))}
    found = {key: repr(frame) for key, frame in tags.items() if key not in own and not _is_empty(frame)}
    return found | ({"<unknown>": repr(sorted(tags.unknown_frames))} if tags.unknown_frames else {})


def replace_frames(tags: Any, values: Mapping[Field, Sequence[str]], id3_version: int | None) -> tuple[bool, int]:
    """Replace the frames of fields in a loaded tag.

    Parameters
    ----------
    tags : mutagen.id3.ID3
        Changed, not saved.
    values : mapping of Field to sequence of str
    id3_version : 3, 4 or None
        Minor version; None keeps the tag's own.

    Returns
    -------
    (bool, int)
        Whether other frames were converted, and the minor version to save with.

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
    for field, own in values.items():
        texts = list(own) if version == 4 else [SEPARATOR.join(own)]
        aliases = _alias_frames(tags, field)
        main = [] if field.id3 == "TXXX" and aliases else [_new_frame(tags, field)]
        for frame in (*aliases, *main):
            latin = all(character <= "\xff" for text in (*texts, getattr(frame, "desc", "")) for character in text)
            frame.encoding = id3.Encoding.LATIN1 if latin else id3.Encoding.UTF8 if version == 4 else id3.Encoding.UTF16
            frame.text = texts
            tags.add(frame)
    return converted, version


def _new_frame(tags: Any, field: Field) -> Any:
    """Return an empty frame for a field, after the present ones were removed."""
    id3 = import_mutagen("mutagen.id3")
    languages = []
    for frame in _main_frames(tags, field):
        languages.append(getattr(frame, "lang", ""))
        del tags[frame.HashKey]
    names = {"TXXX": {"desc": field.vorbis}}
    if field.id3 == "COMM":
        names["COMM"] = {"desc": "", "lang": next(iter(languages), "eng")}
    return getattr(id3, field.id3)(**names.get(field.id3, {}))


def _main_frames(tags: Any, field: Field) -> list[Any]:
    """Return the frames of a field's own name; of comments those without a description."""
    if field.id3 == "TXXX":  # all such frames are found by their description
        return []
    return [frame for frame in tags.getall(field.id3) if not getattr(frame, "desc", "")]


def _alias_frames(tags: Any, field: Field) -> list[Any]:
    """Return further frames of a field: TXXX frames of its name, which some players show, and those of other names."""
    named = [frame for frame in tags.getall("TXXX") if field.is_name(frame.desc)]
    return [*named, *(frame for name in field.aliases for frame in tags.getall(name))]


def _texts(frame: Any) -> tuple[str, ...]:
    texts = frame.genres if frame.FrameID == "TCON" else map(str, frame.text)
    return tuple(text for text in texts if text.strip())


def front_places(file: BinaryIO, field: Field, first: int = 0) -> list[Place]:
    """Return the places of a field in the ID3v2 tags in front of the audio.

    Parameters
    ----------
    file : binary file object
    field : Field
    first : int
        Number of the first tag to read, from 0.
    """
    id3 = import_mutagen("mutagen.id3")
    places = []
    for number, (offset, _) in list(enumerate(front_tags(file)))[first:]:
        name = "the ID3v2 tag" if number == 0 else f"ID3v2 tag {number + 1}"
        try:
            tags = load_id3(FileSlice(file, offset))  # type: ignore[arg-type]
        except (id3.ID3NoHeaderError, id3.ID3UnsupportedVersionError):
            continue
        places += frame_places(tags, field, f"{name} in front of the audio")
    return places


def front_others(file: BinaryIO, fields: Iterable[Field]) -> dict[str, str]:
    """Return the other frames of the first ID3v2 tag in front of the audio in a form that can be compared.

    Parameters
    ----------
    file : binary file object
    fields : iterable of Field
    """
    if not front_size(file):
        return {}
    return {f"<id3> {key}": value for key, value in other_frames(load_id3(file), fields).items()}


def write_front(file: BinaryIO, values: Mapping[Field, Sequence[str]]) -> None:
    """Replace the fields that the first ID3v2 tag in front of the audio has.

    Parameters
    ----------
    file : binary file object
        Without an ID3v1 tag, which mutagen would remove.
    values : mapping of Field to sequence of str

    Raises
    ------
    UntaggableError
    """
    if not front_size(file):
        return
    tags = load_id3(file)
    present = {field: own for field, own in values.items() if any(place.values for place in frame_places(tags, field))}
    if present:
        if has_footer(file):
            raise UntaggableError(
                "the ID3v2 tag in front of the audio has a footer, which cannot be written: remove it"
            )
        refuse_lost_frames(tags, import_mutagen("mutagen.id3").ID3(rewound(file), **RAW), present)
        _, version = replace_frames(tags, present, None)
        tags.save(rewound(file), v1=0, v2_version=version, v23_sep=None)


def refuse_lost_frames(tags: Any, raw: Any, fields: Iterable[Field]) -> None:
    """Raise if saving a tag would lose frames.

    mutagen joins text frames (T...) of one name to one frame of several texts, which loses nothing. Of two ratings,
    comments or lyrics with the same key it keeps one. It drops damaged frames, and empty ones, which loses nothing.

    Parameters
    ----------
    tags, raw : mutagen.id3.ID3
        The same tag, loaded to be saved and loaded with `RAW`.
    fields : iterable of Field
        Their own text frames are replaced, and may be damaged.

    Raises
    ------
    UntaggableError
    """
    kept = Counter(frame.FrameID for frame in tags.values()) + Counter(map(_frame_id, tags.unknown_frames))
    found = Counter(_frame_id(frame) for frame in raw.unknown_frames if not _is_empty_raw(frame))
    replaced = {field.id3 for field in fields} - {"TXXX", "COMM"}
    lost = sorted(
        name
        for name, count in found.items()
        if name not in replaced and kept[name] < (1 if name.startswith("T") else count)
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
