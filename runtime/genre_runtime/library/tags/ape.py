"""APEv2 tags: the own tags of APE, WavPack and Musepack files, and second ones of MP3 and TTA files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, BinaryIO

from genre_runtime.errors import UntaggableError
from genre_runtime.library.tags.base import Written, import_mutagen
from genre_runtime.library.tags.id3_frames import front_others, front_places, rewound, write_front
from genre_runtime.library.tags.places import (
    Place,
    Window,
    front_end,
    put_tail,
    read_tail,
    refuse_lyrics3,
    tail_places,
    tail_without_genre,
    take_tail,
)

_KEY = "Genre"
_CLASSES = {
    "ape": ("monkeysaudio", "MonkeysAudio"),
    "wv": ("wavpack", "WavPack"),
    "mpc": ("musepack", "Musepack"),
}
"""Modules and classes of mutagen."""


class ApeAdapter:
    """A `TagAdapter` for APEv2 at the end; ID3 tags at either end are kept in step.

    Parameters
    ----------
    kind : {"ape", "wv", "mpc"}
    """

    def __init__(self, kind: str) -> None:
        self._kind = kind

    def places(self, file: BinaryIO) -> list[Place]:
        """Return APEv2, ID3v2 in front, ID3v1."""
        self.check(file)
        return [*ape_place(file), *front_places(file), *tail_places(file)]

    def check(self, file: BinaryIO) -> None:
        """Raise if mutagen finds no such audio behind the ID3v2 tags."""
        module, name = _CLASSES[self._kind]
        getattr(import_mutagen(f"mutagen.{module}"), name)(Window(file, front_end(file)))

    def others(self, file: BinaryIO) -> dict[str, str]:
        """Return every other item and frame."""
        return ape_others(file) | front_others(file) | {"<id3v1>": tail_without_genre(file)}

    def write(self, file: BinaryIO, genres: Sequence[str], id3_version: int | None) -> Written:  # noqa: ARG002
        """Replace the genres."""
        self.check(file)
        tail = take_tail(file)
        write_ape(file, load_ape(file), genres)
        write_front(file, genres)
        put_tail(file, tail, genres[0])
        return Written(tuple(genres))


def load_ape(file: BinaryIO) -> Any:
    """Return the APEv2 tag of a file, an empty one if it has none."""
    apev2 = import_mutagen("mutagen.apev2")
    try:
        return apev2.APEv2(rewound(file))
    except apev2.APENoHeaderError:
        return apev2.APEv2()


def ape_place(file: BinaryIO) -> list[Place]:
    """Return what the APEv2 tag says of the genre."""
    value = _loaded(file).get(_KEY)
    if value is None:
        return []
    texts = tuple(value) if hasattr(value, "__iter__") else (str(value),)
    return [Place("the APEv2 tag", tuple(text for text in map(str, texts) if text.strip()))]


def ape_others(file: BinaryIO) -> dict[str, str]:
    """Return every other item in a form to compare."""
    ape = _loaded(file)
    return {f"<ape> {key.casefold()}": repr(ape[key]) for key in ape if key.casefold() != _KEY.casefold()}


def write_ape(file: BinaryIO, ape: Any, genres: Sequence[str]) -> None:
    """Save a tag with its genre changed, in a file that ends in no ID3v1 tag.

    Raises
    ------
    UntaggableError
        Something would be lost.
    """
    refuse_lyrics3(file)
    ape[_KEY] = list(genres)
    ape.save(rewound(file))


def _loaded(file: BinaryIO) -> Any:
    """Return the tag wherever mutagen finds it: it does not look in front of an extended ID3v1 tag."""
    ape = load_ape(file)
    tail = read_tail(file)
    if len(ape) or len(tail) <= 128:
        return ape
    return load_ape(Window(file, 0, file.seek(0, 2) - len(tail)))  # type: ignore[arg-type]


def check_no_leading_id3(file: BinaryIO, kind: str) -> None:
    """Raise if ID3v2 tags precede a container that has tags of its own.

    Raises
    ------
    UntaggableError
    """
    if front_end(file):
        raise UntaggableError(
            f"an ID3v2 tag precedes the {kind} container, so that its place for tags cannot be written: remove it first"
        )
