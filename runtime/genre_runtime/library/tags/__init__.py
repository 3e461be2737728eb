"""Genres in the tags of audio files: read, write, and undo byte for byte; and tag a library by classification.

>>> from genre_runtime.library.tags import read_genres, undo, write_genres
>>> write_genres("song.mp3", ["Rock", "Pop"], journal="changes.jsonl").new
('Rock', 'Pop')
>>> [undone.error for undone in undo("changes.jsonl")]
[None]

Imports: this module -> restore -> formats -> the adapters (id3_ape, wav_aiff, vorbis, mp4_asf) -> base; restore ->
replace -> journal.
"""

from __future__ import annotations

import dataclasses
import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Literal

from genre_runtime.errors import (
    AudioNotFoundError,
    ChangedFileError,
    GenreError,
    InvalidInputError,
    StateError,
    TagWriteError,
    UnreadableAudioError,
    UntaggableError,
)
from genre_runtime.library.cache import LibraryState
from genre_runtime.library.genre_names import GenreMap
from genre_runtime.library.results.read import Results, skipped_words
from genre_runtime.library.results.write import printable
from genre_runtime.library.tags.base import SEPARATOR, VENDOR, GenreField, all_genres, first_genres, known_names
from genre_runtime.library.tags.formats import adapter_of, audio_sha256, tag_errors
from genre_runtime.library.tags.journal import Entry, FileState, Journal
from genre_runtime.library.tags.replace import replace_file, target_of
from genre_runtime.library.tags.restore import Undone, difference, restored_sha256, undo
from genre_runtime.prediction import FileResult, Prediction

__all__ = ["Change", "Mode", "Undone", "plan_genres", "read_genres", "undo", "write_genres"]

Mode = Literal["empty", "overwrite", "append"]
"""What to do with a file that has a genre: leave it, replace its genres, or append to them."""

Classify = Callable[[Iterable[Path]], Iterator[Prediction | GenreError]]
"""Takes paths lazily and returns the answers in order."""


@dataclass(frozen=True)
class Change:
    """A planned or written change of one file.

    Attributes
    ----------
    path : Path
        As given by the caller.
    old, new : tuple of str
        Genres before and after.
    reason : str or None
        Why the genres stay the same; None if they change.
    written : bool
        Whether the file was changed.
    digests : (bytes, bytes) or None
        sha256 of a written file before and after.
    """

    path: Path
    old: tuple[str, ...]
    new: tuple[str, ...]
    reason: str | None = None
    written: bool = False
    digests: tuple[bytes, bytes] | None = None


def read_genres(path: Path | str) -> tuple[str, ...]:
    """Return the genres in a file's tags, empty if there are none.

    Parameters
    ----------
    path : path

    Raises
    ------
    AudioNotFoundError, UnreadableAudioError, UntaggableError, MissingDependencyError
    """
    return first_genres(_read_fields(Path(path)))


def plan_genres(path: Path | str, genres: Sequence[str], mode: Mode = "empty") -> Change:
    """Return what `write_genres` would do, without writing.

    Parameters
    ----------
    path, genres, mode
        As for `write_genres`.

    Raises
    ------
    AudioNotFoundError, UnreadableAudioError, UntaggableError, MissingDependencyError, InvalidInputError
    """
    return _planned(Path(path), _read_fields(Path(path)), _checked(genres), mode)


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
        The target of a link is changed.
    genres : sequence of str
        The most important first; duplicates are dropped.
    mode : {"empty", "overwrite", "append"}
        What to do with a file that has a genre.
    journal : Journal or path or None
        Records the change before it is made. Without a journal it cannot be undone.
    id3_version : 3 or 4, optional
        Minor version of ID3v2 tags. By default a tag keeps its version, and a new one gets 4.
    keep_mtime : bool
        Keep the modification time.

    Raises
    ------
    AudioNotFoundError, UnreadableAudioError, UntaggableError, TagWriteError, ChangedFileError, InvalidInputError,
    MissingDependencyError
        The file is unchanged.
    """
    change = plan_genres(path, genres, mode)
    if change.reason is not None:
        return change
    target = target_of(Path(path))
    book = journal if isinstance(journal, Journal) or journal is None else Journal(Path(journal))

    def edit(original: BinaryIO, copy: BinaryIO) -> None:
        with tag_errors(target, original):
            _write_and_check(original, copy, change.new, id3_version)

    digests: list[bytes] = []

    def record(old: FileState, new: FileState, original: BinaryIO, copy: BinaryIO) -> None:
        digests[:] = map(bytes.fromhex, (old.sha256, new.sha256))
        if book is None:
            return
        patch = difference(original, copy)
        if restored_sha256(patch, copy, old.size) != old.sha256:  # the file is not the one that was copied
            raise ChangedFileError("another program changed the file meanwhile: nothing was written, try again")
        try:
            book.record(Entry(target, old, new, change.old, change.new, patch))
        except OSError as error:
            words = error.strerror or str(error)
            raise TagWriteError(target, f"the journal {str(book.path)!r} cannot be written ({words})") from error

    replace_file(target, edit, record, "keep" if keep_mtime else None)
    return dataclasses.replace(change, written=True, digests=(digests[0], digests[1]))


def _read_fields(path: Path) -> list[GenreField]:
    target = target_of(path)
    with _opened(target) as file, tag_errors(target, file):
        return adapter_of(file).genre_fields(file)


def _planned(path: Path, fields: Sequence[GenreField], genres: tuple[str, ...], mode: Mode) -> Change:
    old = first_genres(fields)
    if not genres:
        return Change(path, old, old, "no genre to write")
    if old and mode == "empty":
        return Change(path, old, old, "has a genre")
    new = genres
    if mode == "append":
        kept = all_genres(fields)
        known = known_names(kept)
        new = (*kept, *(genre for genre in genres if genre.casefold() not in known))
    if new == old and all(one.agrees_with(new) for one in fields):
        return Change(path, old, old, "has these genres")
    return Change(path, old, new)


def _checked(genres: Sequence[str]) -> tuple[str, ...]:
    for genre in genres:
        if not genre.strip() or not genre.isprintable():
            raise InvalidInputError(f"{genre!r} is not a genre name: expected text without control characters")
    return tuple({genre.strip().casefold(): genre.strip() for genre in reversed(genres)}.values())[::-1]


def _write_and_check(original: BinaryIO, copy: BinaryIO, genres: Sequence[str], id3_version: int | None) -> None:
    adapter = adapter_of(copy)
    others = adapter.other_fields(copy)
    written = adapter.write(copy, genres, id3_version)
    copy.flush()
    fields = adapter.genre_fields(copy)
    kept = adapter.other_fields(copy)
    if (found := first_genres(fields)) != written.genres:
        raise UntaggableError(f"{written.genres} were written but read back as {found}: nothing was changed")
    for one in fields:
        if not one.agrees_with(genres):
            raise UntaggableError(
                f"{one.name} names the genre {SEPARATOR.join(one.genres)!r}, too, and cannot be changed: remove it "
                "there with another program first"
            )
    # New comments add the name of the program that wrote them.
    changed = sorted(
        key for key in kept | others if kept.get(key) != others.get(key) and (key in others or key != VENDOR)
    )
    if changed and not written.converted:
        raise UntaggableError(f"other tags would not stay the same ({', '.join(changed)}): nothing was changed")
    if audio_sha256(copy) != audio_sha256(original):
        raise UntaggableError("the audio would not stay the same: nothing was changed")


def _opened(path: Path) -> BinaryIO:
    try:
        return open(path, "rb")
    except FileNotFoundError as error:
        raise AudioNotFoundError(path) from error
    except OSError as error:
        raise UnreadableAudioError(f"{error.strerror or error}: check the permissions") from error


SHARE = 1 / 3
"""A further genre is written if its probability is at least this share of the best one's."""


def genres_to_write(prediction: Prediction, *, top: int, min_confidence: float) -> tuple[str, ...]:
    """Return the genres of a prediction that are worth writing, the most probable first.

    Parameters
    ----------
    prediction : Prediction
    top : int
        Most genres.
    min_confidence : float
        Least probability of a genre, 0 to 1; each also has at least `SHARE` of the best one's.
    """
    best = max(prediction.probabilities.values())
    least = max(min_confidence, SHARE * best)
    return tuple([label for label, share in prediction.probabilities.items() if share >= least][:top])


@dataclass(frozen=True)
class Tagging:
    """Options of a run, and what it does with one answer.

    Attributes
    ----------
    write : bool
        Change files; otherwise the changes are only planned.
    mode : {"empty", "overwrite", "append"}
        As for `write_genres`.
    unsure : bool
        Use answers below the confidence threshold, too.
    top : int
        Most genres a file.
    min_confidence : float
        Least probability of a genre, 0 to 1.
    genre_map : GenreMap
        Renames genres before they are written.
    journal, id3_version, keep_mtime
        As for `write_genres`.
    state : LibraryState or None
        Stored answers. They are kept for files whose tags change.
    """

    write: bool = False
    mode: Mode = "empty"
    unsure: bool = False
    top: int = 1
    min_confidence: float = 0.0
    genre_map: GenreMap = field(default_factory=GenreMap)
    journal: Journal | None = None
    id3_version: Literal[3, 4] | None = None
    keep_mtime: bool = False
    state: LibraryState | None = None

    def apply(self, path: Path, answer: Prediction | GenreError) -> Change | GenreError:
        """Tag one file by its answer. An error is returned, not raised.

        Parameters
        ----------
        path : Path
        answer : Prediction or GenreError
        """
        try:
            if isinstance(answer, GenreError):
                return answer
            labels = genres_to_write(answer, top=self.top, min_confidence=self.min_confidence)
            names = self.genre_map.rename(labels)
            why = self._why_not(answer, labels, names)
            if why is not None:
                old = read_genres(path)
                return Change(path, old, old, "has a genre" if old and self.mode == "empty" else why)
            if not self.write:
                return plan_genres(path, names, self.mode)
            change = write_genres(
                path,
                names,
                self.mode,
                journal=self.journal,
                id3_version=self.id3_version,
                keep_mtime=self.keep_mtime,
            )
        except GenreError as error:
            return error
        if self.state is not None and change.digests is not None:
            with suppress(StateError):  # the file is written; at worst it is analysed again
                self.state.carry_over(*change.digests)
        return change

    def _why_not(self, answer: Prediction, labels: Sequence[str], names: Sequence[str]) -> str | None:
        if not answer.is_music:
            return printable(answer.reason or "the file is not music")
        if not answer.confident and not self.unsure:
            return printable(answer.reason or "the answer is not confident")
        if not labels:
            return f"no genre reaches {self.min_confidence:.0%}"
        return None if names else f"the map leaves out {', '.join(labels)}"


def tag_classified(
    tagging: Tagging, paths: Iterable[Path], classify: Classify
) -> Generator[tuple[Path, Change | GenreError], None, None]:
    """Classify files and tag them, in order. Files whose genre would not change are not classified.

    Parameters
    ----------
    tagging : Tagging
    paths : iterable of Path
    classify : callable

    Yields
    ------
    (Path, Change or GenreError)
    """
    settled: deque[tuple[Path, Change | GenreError | None]] = deque()

    def unsettled() -> Iterator[Path]:
        for path in paths:
            outcome = _settled(tagging, path)
            settled.append((path, outcome))
            if outcome is None:
                yield path

    for result in classify(unsettled()):
        while (entry := settled.popleft())[1] is not None:
            yield entry[0], entry[1]
        yield entry[0], tagging.apply(entry[0], result)
    for path, outcome in settled:
        if outcome is not None:
            yield path, outcome


def tag_answered(
    tagging: Tagging, results: Path, paths: Sequence[Path]
) -> Generator[tuple[Path, Change | GenreError], None, None]:
    """Tag files by the results of an earlier run.

    The last answer for a file counts. Several names of one file, such as a link and its target, are tagged once, but
    each has an outcome. Entries of the results that cannot be read are outcomes of the results file.

    Parameters
    ----------
    tagging : Tagging
    results : Path
        Written by `genre classify`.
    paths : sequence of Path
        Tag only these files; empty means all files in the results.

    Yields
    ------
    (Path, Change or GenreError)

    Raises
    ------
    InvalidInputError
        The results cannot be read, or the map names a genre that none of them has.
    """
    answers: dict[str, Prediction | GenreError] = {}
    named: dict[Path, None] = {}
    source = Results(str(results))
    for result in source:
        path = Path(result.path)
        answers[_identity(path)] = _answer(result)
        named[path] = None
    labels = {label for answer in answers.values() if isinstance(answer, Prediction) for label in answer.probabilities}
    if labels:
        tagging.genre_map.check(labels)
    for words in skipped_words(source):
        yield results, InvalidInputError(words)
    missing = InvalidInputError(f"{str(results)!r} has no answer for it")
    yield from _tag_each_once(tagging, list(dict.fromkeys(paths)) or list(named), answers, missing)


def _tag_each_once(
    tagging: Tagging, paths: Sequence[Path], answers: Mapping[str, Prediction | GenreError], missing: GenreError
) -> Iterator[tuple[Path, Change | GenreError]]:
    """Yield an outcome for every name. Of several names of one file, the first that is not a link is tagged."""
    firsts: dict[str, Path] = {}
    for path in paths:
        identity = _identity(path)
        if identity not in firsts or (_is_link(firsts[identity]) and not _is_link(path)):
            firsts[identity] = path
    done: dict[str, Change | GenreError] = {}
    for path in paths:
        identity = _identity(path)
        first = firsts[identity]
        if identity not in done:
            done[identity] = tagging.apply(first, answers.get(identity, missing))
        outcome = done[identity]
        if path != first and isinstance(outcome, Change):
            found = outcome.new if outcome.written else outcome.old
            outcome = Change(path, found, found, f"another name of {str(first)!r}")
        yield path, outcome


def _settled(tagging: Tagging, path: Path) -> Change | GenreError | None:
    """Return the outcome that needs no answer: the file cannot be tagged, or has a genre that stays."""
    try:
        old = read_genres(path)
    except GenreError as error:
        return error
    return Change(path, old, old, "has a genre") if old and tagging.mode == "empty" else None


def _answer(result: FileResult) -> Prediction | GenreError:
    """Return the prediction of an earlier run, or why nothing can be written."""
    if not isinstance(result.outcome, Prediction):
        return UnreadableAudioError(f"was not classified: {printable(result.outcome)}")
    for label in result.outcome.probabilities:
        if not label.strip() or not label.isprintable():  # it would be written into a tag
            return InvalidInputError(f"{label!r} is not the name of a genre")
    return result.outcome.brief(None)


def _identity(path: Path) -> str:
    return os.path.normcase(os.path.realpath(path)) if "\0" not in str(path) else str(path)


def _is_link(path: Path) -> bool:
    """Return whether a name or one of its parent folders is a link."""
    return os.path.normcase(os.path.abspath(path)) != _identity(path)  # noqa: PTH100  # resolve() would follow the link
