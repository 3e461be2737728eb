r"""Tags that map a name to a list of texts: MP4 items and ASF attributes.

Each holds several genres as several values of one name: several data atoms in `\xa9gen`, repeated WM/Genre attributes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, BinaryIO

from genre_runtime.library.adapters import Written, import_mutagen
from genre_runtime.library.ape_tags import check_no_leading_id3
from genre_runtime.library.id3_frames import rewound
from genre_runtime.library.mp4_places import check_atoms, mp4_places
from genre_runtime.library.places import Place

_KEYS = {"mov": "\xa9gen", "asf": "WM/Genre"}
_CLASSES = {"mov": ("mp4", "MP4"), "asf": ("asf", "ASF")}
"""Modules and classes of mutagen."""
_NAMES = {"mov": "MP4", "asf": "ASF"}


class MappingAdapter:
    """A `TagAdapter` over mutagen's dictionaries.

    Parameters
    ----------
    kind : {"mov", "asf"}
        FFmpeg's name of the container.
    """

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._key = _KEYS[kind]

    def places(self, file: BinaryIO) -> list[Place]:
        """Return the item or attribute of the genre, others that are named so, and atoms that mutagen does not read."""
        tags: Any = self._open(file).tags or {}
        places = [Place(self._key, _texts(tags, self._key))]
        for key in sorted(tags.keys()):
            if key != self._key and _is_alias(key):
                places.append(Place(key, _texts(tags, key)))
        return [*places, *(mp4_places(file) if self._kind == "mov" else ())]

    def check(self, file: BinaryIO) -> None:
        """Leave it to FFmpeg, which finds no audio in other files."""

    def others(self, file: BinaryIO) -> dict[str, str]:
        """Return every other item, and what mutagen keeps without reading it."""
        tags: Any = self._open(file).tags
        if tags is None:
            return {}
        keys = [key for key in dict.fromkeys(tags.keys()) if key != self._key and not _is_alias(key)]
        found = {key: repr(tags[key]) for key in keys}
        failed = getattr(tags, "_failed_atoms", None)
        return found | ({"<unparsed>": repr(failed)} if failed else {})

    def write(self, file: BinaryIO, genres: Sequence[str], id3_version: int | None) -> Written:  # noqa: ARG002
        """Replace the genres."""
        opened = self._open(file)
        if opened.tags is None:
            opened.add_tags()
        for key in [key for key in dict.fromkeys(opened.tags.keys()) if key != self._key and _is_alias(key)]:
            make: Callable[[str], Any] = str.encode if self._kind == "mov" else str
            opened.tags[key] = [make(genre) for genre in genres]
        opened.tags[self._key] = list(genres)
        opened.save(rewound(file))
        return Written(tuple(genres))

    def _open(self, file: BinaryIO) -> Any:
        check_no_leading_id3(file, _NAMES[self._kind])
        if self._kind == "mov":
            check_atoms(file)
        module, name = _CLASSES[self._kind]
        return getattr(import_mutagen(f"mutagen.{module}"), name)(rewound(file))


def _is_alias(key: str) -> bool:
    """Return whether players take an item for the genre: a freeform item of MP4, any attribute of that name in ASF."""
    name = key.casefold()
    return name in ("genre", "wm/genre") or (name.startswith("----:") and name.rpartition(":")[2] == "genre")


def _texts(tags: Any, key: str) -> tuple[str, ...]:
    if key not in tags:
        return ()
    values = (value.decode(errors="replace") if isinstance(value, bytes) else str(value) for value in tags[key])
    return tuple(text for text in values if text.strip())
