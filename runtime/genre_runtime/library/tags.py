"""Genres in the tags of audio files: read, written, and taken back byte for byte.

>>> from genre_runtime.library.tags import read_genres, undo, write_genres
>>> write_genres("song.mp3", ["Rock", "Pop"], journal=Journal(Path("changes.jsonl"))).new
('Rock', 'Pop')
>>> [undone.error for undone in undo("changes.jsonl")]
[None]
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, Literal

from genre_runtime.errors import AudioNotFoundError, InvalidInputError, UnreadableAudioError
from genre_runtime.library.adapters import VENDOR, adapter_of
from genre_runtime.library.errors import ChangedFileError, TagWriteError, UntaggableError
from genre_runtime.library.journal import Entry, FileState, Journal
from genre_runtime.library.patches import difference, restored_sha256
from genre_runtime.library.payload import payload_sha256
from genre_runtime.library.places import JOINT, Place, all_genres, first_genres, names_known
from genre_runtime.library.reading import reading
from genre_runtime.library.replacing import replace_file, target_of
from genre_runtime.library.undoing import Undone, undo

__all__ = ["Change", "Mode", "Undone", "plan_genres", "read_genres", "undo", "write_genres"]

Mode = Literal["empty", "overwrite", "append"]
"""What happens to a file that has a genre: it stays as it is, loses it to the new ones, or keeps it before them."""


@dataclass(frozen=True)
class Change:
    """What is to be done, or was done, to one file.

    Attributes
    ----------
    path : Path
        As it was named.
    old, new : tuple of str
        Genres before and after.
    reason : str or None
        Why they are the same, in words; None where they differ.
    written : bool
    digests : (bytes, bytes) or None
        Of a file that was written: sha256 before and after.
    """

    path: Path
    old: tuple[str, ...]
    new: tuple[str, ...]
    reason: str | None = None
    written: bool = False
    digests: tuple[bytes, bytes] | None = None


def read_genres(path: Path | str) -> tuple[str, ...]:
    """Return the genres in a file's tags, none if there are none.

    Raises
    ------
    AudioNotFoundError, UnreadableAudioError, UntaggableError, MissingDependencyError
    """
    return first_genres(_read_places(Path(path)))


def plan_genres(path: Path | str, genres: Sequence[str], mode: Mode = "empty") -> Change:
    """Return what `write_genres` would do; nothing is written.

    Raises
    ------
    AudioNotFoundError, UnreadableAudioError, UntaggableError, MissingDependencyError, InvalidInputError
    """
    return _planned(Path(path), _read_places(Path(path)), _checked(genres), mode)


def write_genres(
    path: Path | str,
    genres: Sequence[str],
    mode: Mode = "empty",
    *,
    journal: Journal | Path | str | None,
    id3_version: Literal[3, 4] | None = None,
    keep_mtime: bool = False,
) -> Change:
    """Write genres into a file's tags; the audio and all other tags stay the same.

    Parameters
    ----------
    path : path
        Where it is a link, its target is changed.
    genres : sequence of str
        The most important first; doubles count once.
    mode : {"empty", "overwrite", "append"}
    journal : Journal or path or None
        Where the change is recorded before it is made; None: it cannot be undone.
    id3_version : 3 or 4, optional
        Minor version of ID3v2 tags: by default that of the tag there is, 4 for a new one.
    keep_mtime : bool
        Whether the modification time stays.

    Raises
    ------
    AudioNotFoundError, UnreadableAudioError, UntaggableError, TagWriteError, ChangedFileError, InvalidInputError,
    MissingDependencyError
        The file is as it was.
    """
    change = plan_genres(path, genres, mode)
    if change.reason is not None:
        return change
    target = target_of(Path(path))
    book = journal if isinstance(journal, Journal) or journal is None else Journal(Path(journal))

    def edit(original: BinaryIO, copy: BinaryIO) -> None:
        with reading(target, original):
            _write_and_check(original, copy, change.new, id3_version)

    digests: list[bytes] = []

    def record(old: FileState, new: FileState, original: BinaryIO, copy: BinaryIO) -> None:
        digests[:] = map(bytes.fromhex, (old.sha256, new.sha256))
        if book is None:
            return
        patch = difference(original, copy)
        if restored_sha256(patch, copy, old.size) != old.sha256:  # by now the file is another one than was copied
            raise ChangedFileError("another program changed the file meanwhile: nothing was written, try again")
        try:
            book.record(Entry(target, old, new, change.old, change.new, patch))
        except OSError as error:
            words = error.strerror or str(error)
            raise TagWriteError(target, f"the journal {str(book.path)!r} cannot be written ({words})") from error

    replace_file(target, edit, record, lambda status: status.st_mtime_ns if keep_mtime else None)
    return replace(change, written=True, digests=(digests[0], digests[1]))


def _read_places(path: Path) -> list[Place]:
    target = target_of(path)
    with _opened(target) as file, reading(target, file):
        return adapter_of(file).places(file)


def _planned(path: Path, places: Sequence[Place], genres: tuple[str, ...], mode: Mode) -> Change:
    old = first_genres(places)
    if not genres:
        return Change(path, old, old, "no genre to write")
    if old and mode == "empty":
        return Change(path, old, old, "has a genre")
    new = genres
    if mode == "append":
        kept = all_genres(places)
        known = names_known(kept)
        new = (*kept, *(genre for genre in genres if genre.casefold() not in known))
    if new == old and all(place.agrees_with(new) for place in places):
        return Change(path, old, old, "has these genres")
    return Change(path, old, new)


def _checked(genres: Sequence[str]) -> tuple[str, ...]:
    for genre in genres:
        if not genre.strip() or not genre.isprintable():
            raise InvalidInputError(f"{genre!r} is no name of a genre: expected text without control characters")
    return tuple({genre.strip().casefold(): genre.strip() for genre in reversed(genres)}.values())[::-1]


def _write_and_check(original: BinaryIO, copy: BinaryIO, genres: Sequence[str], id3_version: int | None) -> None:
    adapter = adapter_of(copy)
    others = adapter.others(copy)
    written = adapter.write(copy, genres, id3_version)
    copy.flush()
    places = adapter.places(copy)
    kept = adapter.others(copy)
    if (found := first_genres(places)) != written.genres:
        raise UntaggableError(f"{written.genres} were written but read back as {found}: nothing was changed")
    for place in places:
        if not place.agrees_with(genres):
            raise UntaggableError(
                f"{place.name} names the genre {JOINT.join(place.genres)!r}, too, and cannot be changed: remove it "
                "there with another program first"
            )
    # Comments that are new name the program that wrote them.
    changed = sorted(
        key for key in kept | others if kept.get(key) != others.get(key) and (key in others or key != VENDOR)
    )
    if changed and not written.converted:
        raise UntaggableError(f"other tags would not stay the same ({', '.join(changed)}): nothing was changed")
    if payload_sha256(copy) != payload_sha256(original):
        raise UntaggableError("the audio would not stay the same: nothing was changed")


def _opened(path: Path) -> BinaryIO:
    try:
        return open(path, "rb")
    except FileNotFoundError as error:
        raise AudioNotFoundError(path) from error
    except OSError as error:
        raise UnreadableAudioError(f"{error.strerror or error}: check the permissions") from error
