r"""Tags that map a name to a list of texts: Vorbis comments, MP4 items, APEv2 items, ASF attributes.

Each holds several genres as several values of one name: repeated GENRE comments, several data atoms in `\xa9gen`,
texts separated by NUL in an APEv2 item, repeated WM/Genre attributes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, BinaryIO

from genre_runtime.library.adapters import Written, import_mutagen
from genre_runtime.library.errors import UntaggableError
from genre_runtime.library.trailing import genre_of_id3v1, put_id3v1, read_id3v1, refuse_lyrics3, take_id3v1

_KEYS = {"flac": "GENRE", "ogg": "GENRE", "mov": "\xa9gen", "asf": "WM/Genre"}
_APE_KEY = "Genre"
_CLASSES = {
    "flac": ("flac", "FLAC"),
    "mov": ("mp4", "MP4"),
    "asf": ("asf", "ASF"),
    "ape": ("monkeysaudio", "MonkeysAudio"),
    "wv": ("wavpack", "WavPack"),
    "mpc": ("musepack", "Musepack"),
}
"""Modules and classes of mutagen."""
_OGG_CLASSES = (("oggvorbis", "OggVorbis"), ("oggopus", "OggOpus"), ("oggflac", "OggFLAC"), ("oggspeex", "OggSpeex"))
_UNDECODABLE = "\ufffd"


class MappingAdapter:
    """A `TagAdapter` over mutagen's dictionaries.

    Parameters
    ----------
    kind : str
        FFmpeg's name of the container.
    """

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._key = _KEYS.get(kind, _APE_KEY)
        self._may_have_id3v1 = kind not in _KEYS

    def read(self, file: BinaryIO) -> tuple[str, ...]:
        """Return the genres."""
        tags = _open(self._kind, file).tags
        genres = () if tags is None else _texts(tags, self._key)
        return genres or (genre_of_id3v1(read_id3v1(file)) if self._may_have_id3v1 else ())

    def others(self, file: BinaryIO) -> dict[str, str]:
        """Return every other item, and what is beside the items."""
        opened = _open(self._kind, file)
        tags: Any = {} if opened.tags is None else opened.tags
        found = {key.casefold(): repr(tags[key]) for key in dict.fromkeys(tags.keys()) if not self._is_genre(key)}
        found["<vendor>"] = repr(getattr(tags, "vendor", None))
        found["<unparsed>"] = repr(getattr(tags, "_failed_atoms", None))
        for number, block in enumerate(getattr(opened, "metadata_blocks", ())):
            if block.code not in (1, 4):  # padding and the comments themselves
                found[f"<block {number}>"] = repr((block.code, block.write()))
        if self._may_have_id3v1:
            found["<id3v1>"] = repr(read_id3v1(file)[:-1])
        return found

    def write(self, file: BinaryIO, genres: Sequence[str], id3_version: int | None) -> Written:  # noqa: ARG002
        """Replace the genres."""
        tail = b""
        if self._may_have_id3v1:
            tail = take_id3v1(file)
            refuse_lyrics3(file)
        opened = _open(self._kind, file)
        if opened.tags is None:
            opened.add_tags()
        if self._key == "GENRE" and any(_UNDECODABLE in text for _, text in opened.tags):
            raise UntaggableError("a comment is not UTF-8 and would be damaged: repair it with a tag editor first")
        opened.tags[self._key] = list(genres)
        file.seek(0)
        opened.save(file)
        put_id3v1(file, tail, genres[0])
        return Written(tuple(genres))

    def _is_genre(self, key: str) -> bool:
        return key.casefold() == self._key.casefold()


def _texts(tags: Any, key: str) -> tuple[str, ...]:
    try:
        values = tags[key]
    except KeyError:
        return ()
    return tuple(text for text in (str(value) for value in values) if text.strip())


def _open(kind: str, file: BinaryIO) -> Any:
    file.seek(0)
    if kind != "ogg":
        module, name = _CLASSES[kind]
        return getattr(import_mutagen(f"mutagen.{module}"), name)(file)
    kinds = [getattr(import_mutagen(f"mutagen.{module}"), name) for module, name in _OGG_CLASSES]
    opened = import_mutagen().File(file, options=kinds)
    if opened is None:
        raise UntaggableError("the Ogg file holds no Vorbis, Opus, FLAC or Speex: its comments are unknown")
    return opened
