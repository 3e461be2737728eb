"""Restoring files from a journal, byte for byte."""

from __future__ import annotations

import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from genre_runtime.errors import AudioNotFoundError, GenreError
from genre_runtime.library.adapters import adapter_of
from genre_runtime.library.errors import ChangedFileError, JournalError, TagWriteError
from genre_runtime.library.journal import Entry, FileState, Journal
from genre_runtime.library.patches import restore
from genre_runtime.library.payload import payload_sha256
from genre_runtime.library.reading import reading
from genre_runtime.library.replacing import replace_file, sha256_of


@dataclass(frozen=True)
class Undone:
    """What became of one file of a journal.

    Attributes
    ----------
    path : Path
        The file, or the journal itself where a line of it cannot be read.
    n_restored : int
        Changes taken back; none where the file was already as it had been.
    genres : tuple of str
        What the file says now.
    error : GenreError or None
        Why it could not be restored, or not all the way.
    """

    path: Path
    n_restored: int
    genres: tuple[str, ...] = ()
    error: GenreError | None = None


def undo(journal: Journal | Path | str) -> Iterator[Undone]:
    """Restore every file of a journal, the latest change first, with its modification time.

    A file that is not as the journal left it is named and left alone; doing it twice does no harm.

    Yields
    ------
    Undone
        One a file, and one a line that cannot be read; an error never ends the run.

    Raises
    ------
    JournalError
        There is no journal, or nothing in it.
    """
    book = journal if isinstance(journal, Journal) else Journal(Path(journal))
    changes: dict[Path, list[Entry]] = {}
    lines = list(book.read())
    for _, entry in reversed(lines):
        if isinstance(entry, Entry):
            changes.setdefault(entry.path, []).append(entry)
    if not changes:
        raise JournalError(f"the journal {str(book.path)!r} records no change: name the file that was printed")
    for path, entries in changes.items():
        yield _undo_file(path, entries)
    for number, entry in lines:
        if isinstance(entry, JournalError):
            yield Undone(book.path, 0, error=JournalError(f"line {number}: {entry}"))


def _undo_file(path: Path, entries: Sequence[Entry]) -> Undone:
    """Take back a file's changes, the latest first, from the one that it is in the state of."""
    n_restored, known = 0, False
    unusable: JournalError | None = None
    genres: tuple[str, ...] = ()
    try:
        sha256 = _sha256(path)
        for entry in entries:
            if sha256 == entry.new.sha256:
                try:
                    _restore(path, entry)
                except JournalError as error:  # another record of the same change may do
                    unusable, known = error, True
                    continue
                n_restored, unusable = n_restored + 1, None
            elif sha256 != entry.old.sha256:  # made and taken back before, or never made
                continue
            sha256, known, genres = entry.old.sha256, True, entry.old_genres
        if unusable is not None:
            raise unusable
        if not known:
            raise ChangedFileError("the file was changed since: it is not as the journal left it, and stays as it is")
    except GenreError as error:
        return Undone(path, n_restored, genres, error)
    return Undone(path, n_restored, genres)


def _restore(path: Path, entry: Entry) -> None:
    """Put the earlier file back, if it is audio and differs from the present one in its tags alone.

    A journal is a file like any other: what it says may be forged, and must not be used to write what it likes to any
    file whose content is known.
    """

    def edit(original: BinaryIO, copy: BinaryIO) -> None:
        with reading(path, original):
            before = _audio_sha256(original)
        copy.seek(0)
        copy.truncate()
        restore(entry.patch, original, copy, entry.old.size)
        copy.flush()
        if sha256_of(copy) != entry.old.sha256:
            raise JournalError("the recorded bytes do not give the old file: the file stays as it is")
        with reading(path, copy):
            after = _audio_sha256(copy)
        if before != after:
            raise JournalError("the recorded file has other audio than the present one, which stays as it is")

    def check(old: FileState, new: FileState, original: BinaryIO, copy: BinaryIO) -> None:  # noqa: ARG001
        if old.sha256 != entry.new.sha256:
            raise ChangedFileError("another program changed the file meanwhile: nothing was written, try again")
        if new.sha256 != entry.old.sha256:
            raise JournalError("the recorded bytes do not give the old file: the file stays as it is")

    replace_file(path, edit, check, lambda status: entry.old.mtime_ns)  # noqa: ARG005


def _audio_sha256(file: BinaryIO) -> str:
    adapter_of(file).check(file)
    return payload_sha256(file)


def _sha256(path: Path) -> str:
    try:
        if not stat.S_ISREG(path.lstat().st_mode):  # reading a pipe would wait for ever
            raise ChangedFileError("this is no regular file any more, and stays as it is")
        with open(path, "rb") as file:
            return sha256_of(file)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise AudioNotFoundError(path) from error
    except OSError as error:
        raise TagWriteError.from_os_error(path, error) from error
