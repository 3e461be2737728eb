"""APEv2 tags, and the adapters for files with ID3v2 in front or APEv2 behind: MP3, TTA, APE, WavPack and Musepack."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, BinaryIO

from genre_runtime.errors import UntaggableError
from genre_runtime.library.tags.base import (
    FileSlice,
    Place,
    TagAdapter,
    front_end,
    import_mutagen,
    read_at,
    rewound,
)
from genre_runtime.library.tags.fields import GENRE, Field
from genre_runtime.library.tags.id3 import (
    RAW,
    frame_places,
    front_others,
    front_places,
    load_id3,
    other_frames,
    refuse_lost_frames,
    replace_frames,
    write_front,
)
from genre_runtime.library.tags.id3v1 import append_id3v1, cut_id3v1, id3v1_others, id3v1_places, read_id3v1

_CLASSES = {
    "mp3": ("mp3", "MP3"),
    "tta": ("trueaudio", "TrueAudio"),
    "ape": ("monkeysaudio", "MonkeysAudio"),
    "wv": ("wavpack", "WavPack"),
    "mpc": ("musepack", "Musepack"),
}
"""Modules and classes of mutagen."""


class Id3Adapter(TagAdapter):
    """Adapter for ID3v2 in front of the audio; APEv2 and ID3v1 tags behind it get the same values.

    Parameters
    ----------
    kind : {"mp3", "tta"}
    """

    def __init__(self, kind: str) -> None:
        self._kind = kind

    def places(self, file: BinaryIO, field: Field) -> list[Place]:
        """Return the places in ID3v2, APEv2, ID3v1, and further ID3v2 tags."""
        tags = self._load(file)
        own = frame_places(tags, field) if tags.size else []  # without an ID3v2 tag, mutagen reads ID3v1
        return [*own, *ape_places(file, field), *front_places(file, field, first=1), *id3v1_places(file, field)]

    def others(self, file: BinaryIO, fields: Iterable[Field]) -> dict[str, str]:
        """Return all other frames and items."""
        return other_frames(self._load(file), fields) | _ape_others(file, fields) | id3v1_others(file, fields)

    def write(self, file: BinaryIO, values: Mapping[Field, Sequence[str]], id3_version: int | None) -> bool:
        """Replace the fields in every tag that has them."""
        tags = self._load(file)  # holds the values of an ID3v1 tag if there is no other
        if tags.size:
            refuse_lost_frames(tags, import_mutagen("mutagen.id3").ID3(rewound(file), **RAW), values)
        converted, version = replace_frames(tags, values, id3_version)
        id3v1 = cut_id3v1(file)
        ape = _load_ape(file)
        # Players ignore the ID3 tag of a TTA file that has APEv2 items.
        everything = self._kind == "tta" and len(ape)
        _write_ape(file, ape, {field: own for field, own in values.items() if everything or field.ape in ape})
        tags.save(rewound(file), v1=0, v2_version=version, v23_sep=None)
        append_id3v1(file, id3v1, values.get(GENRE, ()))
        return converted

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
    """Adapter for APEv2 behind the audio; ID3 tags at either end get the same values.

    Parameters
    ----------
    kind : {"ape", "wv", "mpc"}
    """

    def __init__(self, kind: str) -> None:
        self._kind = kind

    def places(self, file: BinaryIO, field: Field) -> list[Place]:
        """Return the places in APEv2, ID3v2 in front, ID3v1."""
        self.check(file)
        return [*ape_places(file, field), *front_places(file, field), *id3v1_places(file, field)]

    def others(self, file: BinaryIO, fields: Iterable[Field]) -> dict[str, str]:
        """Return all other items and frames."""
        return _ape_others(file, fields) | front_others(file, fields) | id3v1_others(file, fields)

    def write(self, file: BinaryIO, values: Mapping[Field, Sequence[str]], id3_version: int | None) -> bool:  # noqa: ARG002
        """Replace the fields."""
        self.check(file)
        id3v1 = cut_id3v1(file)
        _write_ape(file, _load_ape(file), values)
        write_front(file, values)
        append_id3v1(file, id3v1, values.get(GENRE, ()))
        return False

    def check(self, file: BinaryIO) -> None:
        """Raise if mutagen finds no such audio behind the ID3v2 tags."""
        _check_audio(file, self._kind)


def _check_audio(file: BinaryIO, kind: str) -> None:
    module, name = _CLASSES[kind]
    getattr(import_mutagen(f"mutagen.{module}"), name)(FileSlice(file, front_end(file)))  # without the ID3v2 tag


def ape_places(file: BinaryIO, field: Field) -> list[Place]:
    """Return the item of a field in the APEv2 tag as one place, or none.

    Parameters
    ----------
    file : binary file object
    field : Field
    """
    value = _find_ape(file).get(field.ape)
    if value is None:
        return []
    texts = tuple(value) if hasattr(value, "__iter__") else (str(value),)
    return [Place("the APEv2 tag", tuple(text for text in map(str, texts) if text.strip()))]


def _ape_others(file: BinaryIO, fields: Iterable[Field]) -> dict[str, str]:
    ape = _find_ape(file)
    own = {field.ape.casefold() for field in fields}
    return {f"<ape> {key.casefold()}": repr(ape[key]) for key in ape if key.casefold() not in own}


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


def _write_ape(file: BinaryIO, ape: Any, values: Mapping[Field, Sequence[str]]) -> None:
    """Save an APEv2 tag with other values, if there are any. The ID3v1 tag has been cut off."""
    if not values:
        return
    if read_at(file, max(0, file.seek(0, os.SEEK_END) - 9), 9) in (b"LYRICS200", b"LYRICSEND"):  # mutagen drops them
        raise UntaggableError("the file ends in a Lyrics3 block, which would be lost: remove it or tag by hand")
    for field, own in values.items():
        ape[field.ape] = list(own)
    ape.save(rewound(file))
