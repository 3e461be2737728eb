"""What a format of tags provides, and what is shared by all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, BinaryIO, Protocol

from genre_runtime.errors import MissingDependencyError, UntaggableError
from genre_runtime.library.tags.places import Place

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
