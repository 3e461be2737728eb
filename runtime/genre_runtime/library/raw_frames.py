"""ID3v2 frames that mutagen passes over or joins while it reads a tag: saved again, the tag would lack them."""

from __future__ import annotations

import zlib
from collections import Counter
from typing import Any

from genre_runtime.library.adapters import import_mutagen
from genre_runtime.library.errors import UntaggableError


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
    found = Counter(_name(frame) for frame in raw.unknown_frames if not _is_empty(frame))
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


def _is_empty(frame: bytes) -> bool:
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
