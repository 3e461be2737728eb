"""Which way of tagging a file takes, told by its content and never by its name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, BinaryIO, Protocol

from genre_runtime.containers import may_be_audio
from genre_runtime.errors import MissingDependencyError
from genre_runtime.library.errors import UntaggableError
from genre_runtime.library.payload import sniffed_container
from genre_runtime.library.places import Place

EXPECTED = "expected MP3, FLAC, Ogg, Opus, M4A, WMA, APE, WavPack, Musepack, TTA, AIFF or WAV"

VENDOR = "<vendor>"
"""Key in a `TagAdapter`'s `others` of the program that wrote Vorbis comments: comments that are new name one."""


@dataclass(frozen=True)
class Written:
    """What was written.

    Attributes
    ----------
    genres : tuple of str
        As they read back.
    converted : bool
        Whether all tags were written in another version of their format, so that they may read differently.
    """

    genres: tuple[str, ...]
    converted: bool = False


class TagAdapter(Protocol):
    """Reads and writes one kind of tag. Files are open, binary, seekable; mutagen's errors pass through."""

    def places(self, file: BinaryIO) -> list[Place]:
        """Return the places for a genre, the file's own first."""
        ...

    def check(self, file: BinaryIO) -> None:
        """Raise if the file does not hold such audio, where `payload_sha256` would not notice."""
        ...

    def others(self, file: BinaryIO) -> dict[str, str]:
        """Return everything else in the tags in a form to compare."""
        ...

    def write(self, file: BinaryIO, genres: Sequence[str], id3_version: int | None) -> Written:
        """Make `genres` the genres, in the file itself."""
        ...


def adapter_of(file: BinaryIO) -> TagAdapter:
    """Return the way of tagging that an open file's content asks for.

    Raises
    ------
    UntaggableError
        The container has no place for tags, or none that could be written safely.
    MissingDependencyError
        mutagen is not installed.
    OSError
    """
    import_mutagen()
    name, head = sniffed_container(file)
    if name is None and not may_be_audio(head):
        raise unknown_file(head)
    if name is not None and name not in _ADAPTERS:
        raise UntaggableError(f"{name} files cannot be tagged: {EXPECTED}")
    return _ADAPTERS[name or "mp3"]()


def unknown_file(head: bytes) -> UntaggableError:
    """Make the error for a file in which no audio that can be tagged was found.

    Parameters
    ----------
    head : bytes
        How the file begins behind an ID3v2 tag.
    """
    text = head[:16].decode("ascii", errors="replace")
    if not head:
        found = "holds nothing but an ID3v2 tag, or nothing at all"
    elif head[0] == 0xFF:
        found = "begins like an MP3 file, but the frames of one do not follow: it is damaged or too short"
    elif text.isascii() and all(character.isprintable() or character.isspace() for character in text):
        found = f"begins with the text {text!r}"
    else:
        found = f"begins with the bytes {head[:8].hex(' ')}"
    return UntaggableError(f"the file cannot be tagged, it {found} ({EXPECTED})")


def import_mutagen(name: str = "mutagen") -> Any:
    """Return the module mutagen, or one of its own modules.

    Raises
    ------
    MissingDependencyError
    """
    try:
        return import_module(name)
    except ImportError as error:
        raise MissingDependencyError(
            f"mutagen, which reads and writes tags, cannot be imported ({error}): install genre-runtime[library]"
        ) from error


def _id3_at_front(kind: str) -> Callable[[], TagAdapter]:
    def make() -> TagAdapter:
        from genre_runtime.library.id3_tags import LeadingId3Adapter

        return LeadingId3Adapter(kind)

    return make


def _id3_chunk(kind: str) -> Callable[[], TagAdapter]:
    def make() -> TagAdapter:
        from genre_runtime.library.id3_tags import ChunkId3Adapter

        return ChunkId3Adapter(kind)

    return make


def _mapping(kind: str) -> Callable[[], TagAdapter]:
    def make() -> TagAdapter:
        from genre_runtime.library.mapping_tags import MappingAdapter

        return MappingAdapter(kind)

    return make


def _ape(kind: str) -> Callable[[], TagAdapter]:
    def make() -> TagAdapter:
        from genre_runtime.library.ape_tags import ApeAdapter

        return ApeAdapter(kind)

    return make


def _flac() -> TagAdapter:
    from genre_runtime.library.vorbis_tags import FlacAdapter

    return FlacAdapter()


def _ogg() -> TagAdapter:
    from genre_runtime.library.vorbis_tags import OggAdapter

    return OggAdapter()


_ADAPTERS: dict[str, Callable[[], TagAdapter]] = {
    "mp3": _id3_at_front("mp3"),
    "tta": _id3_at_front("tta"),
    "wav": _id3_chunk("wav"),
    "aiff": _id3_chunk("aiff"),
    "flac": _flac,
    "ogg": _ogg,
    "mov": _mapping("mov"),
    "asf": _mapping("asf"),
    "ape": _ape("ape"),
    "wv": _ape("wv"),
    "mpc": _ape("mpc"),
    "mpc8": _ape("mpc"),
}
"""By FFmpeg's name of the container."""
