"""Genres in the tags of audio files: read, written, and taken back byte for byte.

>>> from genre_runtime.library.tags import read_genres, undo, write_genres
>>> write_genres("song.mp3", ["Rock", "Pop"], journal=Journal(Path("changes.jsonl"))).new
('Rock', 'Pop')
>>> [undone.error for undone in undo("changes.jsonl")]
[None]
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from genre_runtime.containers import head_behind_tags
from genre_runtime.errors import GenreError, InvalidInputError, UnreadableAudioError
from genre_runtime.library.adapters import VENDOR, TagAdapter, adapter_of, import_mutagen, unknown_file
from genre_runtime.library.errors import ChangedFileError, TagWriteError, UntaggableError
from genre_runtime.library.journal import Entry, FileState, Journal
from genre_runtime.library.patches import difference, restored_sha256
from genre_runtime.library.payload import payload_sha256
from genre_runtime.library.places import JOINT, Place, all_genres, first_genres, names_known
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
    adapter = adapter_of(target)
    book = journal if isinstance(journal, Journal) or journal is None else Journal(Path(journal))

    def edit(original: Path, copy: Path) -> None:
        with _reading(original):
            _write_and_check(adapter, original, copy, change.new, id3_version)

    digests: list[bytes] = []

    def record(old: FileState, new: FileState, copy: Path) -> None:
        digests[:] = map(bytes.fromhex, (old.sha256, new.sha256))
        if book is None:
            return
        with open(target, "rb") as earlier, open(copy, "rb") as later:
            patch = difference(earlier, later)
            if restored_sha256(patch, later) != old.sha256:  # by now the file is another one than was copied
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
    with _reading(target):
        adapter = adapter_of(target)
        with open(target, "rb") as file:
            return adapter.places(file)


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


def _write_and_check(
    adapter: TagAdapter, original: Path, copy: Path, genres: Sequence[str], id3_version: int | None
) -> None:
    with open(copy, "rb+") as file:
        others = adapter.others(file)
        written = adapter.write(file, genres, id3_version)
    with open(copy, "rb") as file:
        places = adapter.places(file)
        kept = adapter.others(file)
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


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turn what mutagen and the system say into this package's errors."""
    mutagen = import_mutagen()
    try:
        yield
    except mutagen.MutagenError as error:
        cause = error.__cause__ or error.args[0] if error.args else error
        if isinstance(cause, OSError):
            raise TagWriteError.from_os_error(path, cause) from error
        if type(error).__name__ == "HeaderNotFoundError":  # of what is none of the containers that are known
            with open(path, "rb") as file:
                raise unknown_file(head_behind_tags(file)) from error
        raise UntaggableError(f"the tags cannot be read or written safely ({error or type(error).__name__})") from error
    except PermissionError as error:
        raise UnreadableAudioError(f"{error.strerror}: check the permissions") from error
    except (OSError, GenreError):
        raise
    except Exception as error:  # damage makes mutagen raise what it likes, and ends one file's work, not the run's
        raise UntaggableError(f"the tags are damaged ({type(error).__name__}: {error})") from error
