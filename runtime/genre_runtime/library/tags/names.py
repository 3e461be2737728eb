"""Artist, album and title in the tags of a file, whatever its container."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

from genre_runtime.library.tags.base import import_mutagen


class TrackNames(NamedTuple):
    """What the tags of a file call it; an empty text for what they do not have.

    Attributes
    ----------
    artist, album_artist, album, title : str
    """

    artist: str = ""
    album_artist: str = ""
    album: str = ""
    title: str = ""


_KEYS = {
    "artist": ("TPE1", "artist", "\xa9ART", "Author"),
    "album_artist": ("TPE2", "albumartist", "album artist", "aART", "WM/AlbumArtist"),
    "album": ("TALB", "album", "\xa9alb", "WM/AlbumTitle"),
    "title": ("TIT2", "title", "\xa9nam", "Title"),
}
"""Keys of ID3, of Vorbis comments and APE, of MP4 and of ASF. Those that a container does not have are not found."""


def read_names(path: Path | str) -> TrackNames:
    """Return artist, album and title of a file; empty if it has no tags or they cannot be read.

    Parameters
    ----------
    path : path

    Raises
    ------
    MissingDependencyError
        mutagen is not installed.
    """
    mutagen = import_mutagen()
    if not os.path.isfile(path):  # noqa: PTH113  # opening a named pipe would wait for a writer
        return TrackNames()
    try:
        tags = getattr(mutagen.File(path), "tags", None)
    except Exception:  # damaged tags raise whatever their parser meets; such a file has no names
        return TrackNames()
    if tags is None:
        return TrackNames()
    return TrackNames(**{name: _first(tags, keys) for name, keys in _KEYS.items()})


def _first(tags: Any, keys: tuple[str, ...]) -> str:
    for key in keys:
        try:
            value = tags.get(key)
        except (KeyError, ValueError, TypeError):  # a key that this container cannot have
            continue
        if isinstance(value, list):
            value = value[0] if value else None
        text = str(value).split("\0")[0].strip() if value is not None else ""
        if text:
            return " ".join(text.split())
    return ""
