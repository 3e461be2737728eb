"""Which way of tagging a file takes, told by its content and never by its name.

What mutagen and the system say of a file, as errors of this package.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from genre_runtime.audio.containers import may_be_audio, read_head
from genre_runtime.errors import (
    GenreError,
    TagWriteError,
    UnreadableAudioError,
    UntaggableError,
)
from genre_runtime.library.tags.audio_payload import sniffed_container
from genre_runtime.library.tags.base import EXPECTED, TagAdapter, import_mutagen, unknown_file


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


def _id3_at_front(kind: str) -> Callable[[], TagAdapter]:
    def make() -> TagAdapter:
        from genre_runtime.library.tags.id3 import LeadingId3Adapter

        return LeadingId3Adapter(kind)

    return make


def _id3_chunk(kind: str) -> Callable[[], TagAdapter]:
    def make() -> TagAdapter:
        from genre_runtime.library.tags.id3 import ChunkId3Adapter

        return ChunkId3Adapter(kind)

    return make


def _mapping(kind: str) -> Callable[[], TagAdapter]:
    def make() -> TagAdapter:
        from genre_runtime.library.tags.mapping import MappingAdapter

        return MappingAdapter(kind)

    return make


def _ape(kind: str) -> Callable[[], TagAdapter]:
    def make() -> TagAdapter:
        from genre_runtime.library.tags.ape import ApeAdapter

        return ApeAdapter(kind)

    return make


def _flac() -> TagAdapter:
    from genre_runtime.library.tags.vorbis import FlacAdapter

    return FlacAdapter()


def _ogg() -> TagAdapter:
    from genre_runtime.library.tags.vorbis import OggAdapter

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


@contextmanager
def reading(path: Path, file: BinaryIO) -> Iterator[None]:
    """Turn what mutagen and the system raise while the tags of an open file are read or written.

    Raises
    ------
    UntaggableError, TagWriteError, UnreadableAudioError, MissingDependencyError
    """
    mutagen = import_mutagen()
    try:
        yield
    except mutagen.MutagenError as error:
        cause = error.__cause__ or error.args[0] if error.args else error
        if isinstance(cause, OSError):
            raise TagWriteError.from_os_error(path, cause) from error
        if type(error).__name__ == "HeaderNotFoundError":  # of what is none of the containers that are known
            file.seek(0)
            raise unknown_file(read_head(file)) from error
        raise UntaggableError(f"the tags cannot be read or written safely ({error or type(error).__name__})") from error
    except PermissionError as error:
        raise UnreadableAudioError(f"{error.strerror}: check the permissions") from error
    except (OSError, GenreError):
        raise
    except Exception as error:  # damage makes mutagen raise what it likes, and ends one file's work, not the run's
        raise UntaggableError(f"the tags are damaged ({type(error).__name__}: {error})") from error
