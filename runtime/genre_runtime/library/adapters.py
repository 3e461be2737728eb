"""Which way of tagging a file takes, told by its content and never by its name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from genre_runtime.errors import MissingDependencyError
from genre_runtime.library.errors import UntaggableError
from genre_runtime.library.payload import container_of


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

    def read(self, file: BinaryIO) -> tuple[str, ...]:
        """Return the genres, none if there are none."""
        ...

    def others(self, file: BinaryIO) -> dict[str, str]:
        """Return everything else in the tags in a form to compare."""
        ...

    def write(self, file: BinaryIO, genres: Sequence[str], id3_version: int | None) -> Written:
        """Make `genres` the genres, in the file itself."""
        ...


def adapter_of(path: Path) -> TagAdapter:
    """Return the way of tagging that the file's content asks for.

    Raises
    ------
    UntaggableError
        The container has no place for tags, or none that could be written safely.
    MissingDependencyError
        mutagen is not installed.
    OSError
    """
    import_mutagen()
    name = container_of(path)
    if name not in _ADAPTERS:
        raise UntaggableError(
            f"{name} files cannot be tagged: expected MP3, FLAC, Ogg, Opus, M4A, WMA, APE, WavPack, Musepack, TTA, "
            "AIFF or WAV"
        )
    return _ADAPTERS[name]()


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


_ADAPTERS: dict[str, Callable[[], TagAdapter]] = {
    "mp3": _id3_at_front("mp3"),
    "tta": _id3_at_front("tta"),
    "wav": _id3_chunk("wav"),
    "aiff": _id3_chunk("aiff"),
    "flac": _mapping("flac"),
    "ogg": _mapping("ogg"),
    "mov": _mapping("mov"),
    "asf": _mapping("asf"),
    "ape": _mapping("ape"),
    "wv": _mapping("wv"),
    "mpc": _mapping("mpc"),
    "mpc8": _mapping("mpc"),
}
"""By FFmpeg's name of the container."""
