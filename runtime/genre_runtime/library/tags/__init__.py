"""Genres in the tags of audio files: read, written, and taken back byte for byte.

>>> from genre_runtime.library.tags import read_genres, undo, write_genres
>>> write_genres("song.mp3", ["Rock", "Pop"], journal=Journal(Path("changes.jsonl"))).new
('Rock', 'Pop')
>>> [undone.error for undone in undo("changes.jsonl")]
[None]

One run over a library: from answers to changed files.
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
from genre_runtime.library.results.read import Answer, Results, read_answers, skipped_words
from genre_runtime.library.tags.audio_payload import payload_sha256
from genre_runtime.library.tags.base import VENDOR
from genre_runtime.library.tags.formats import adapter_of, reading
from genre_runtime.library.tags.journal import Entry, FileState, Journal
from genre_runtime.library.tags.places import JOINT, Place, all_genres, first_genres, names_known
from genre_runtime.library.tags.replace import replace_file, target_of
from genre_runtime.library.tags.restore import Undone, difference, restored_sha256, undo
from genre_runtime.prediction import Prediction

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
    return dataclasses.replace(change, written=True, digests=(digests[0], digests[1]))


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


Outcome = Change | GenreError
Classify = Callable[[Iterable[Path]], Iterator[Prediction | GenreError]]
"""Takes paths as it goes, answers in order."""


@dataclass(frozen=True)
class Tagging:
    """What is to be written, and how.

    Attributes
    ----------
    write : bool
        Whether files are changed; otherwise the outcome is what would be.
    mode : {"empty", "overwrite", "append"}
    unsure : bool
        Whether answers that are not confident count.
    top : int
        Most genres a file.
    min_confidence : float
        Least probability of a genre that is written.
    genre_map : GenreMap
    journal : Journal or None
    id3_version : 3, 4 or None
    keep_mtime : bool
    state : LibraryState or None
        Where answers to files lie, so that they are kept for the changed ones.
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

    def apply(self, path: Path, answer: Answer | GenreError) -> Outcome:
        """Change one file as its answer asks for; an error is returned, not raised."""
        try:
            if isinstance(answer, GenreError):
                return answer
            labels = answer.labels(top=self.top, min_confidence=self.min_confidence)
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
            with suppress(StateError):  # the file is written; at worst it is listened to again
                self.state.carry_over(*change.digests)
        return change

    def _why_not(self, answer: Answer, labels: Sequence[str], names: Sequence[str]) -> str | None:
        if not answer.confident and not self.unsure:
            return answer.reason or "the answer is not confident"
        if not labels:
            return f"no genre reaches {self.min_confidence:.0%}"
        return None if names else f"the map leaves out {', '.join(labels)}"


def tag_classified(
    tagging: Tagging, paths: Iterable[Path], classify: Classify
) -> Generator[tuple[Path, Outcome], None, None]:
    """Classify files and tag them, in order; files whose genre stays anyway are not listened to."""
    settled: deque[tuple[Path, Outcome | None]] = deque()

    def unsettled() -> Iterator[Path]:
        for path in paths:
            outcome = _settled(tagging, path)
            settled.append((path, outcome))
            if outcome is None:
                yield path

    for result in classify(unsettled()):
        while (entry := settled.popleft())[1] is not None:
            yield entry[0], entry[1]
        answer = result if isinstance(result, GenreError) else Answer.of(result)
        yield entry[0], tagging.apply(entry[0], answer)
    for path, outcome in settled:
        if outcome is not None:
            yield path, outcome


def tag_answered(tagging: Tagging, results: Path, paths: Sequence[Path]) -> Generator[tuple[Path, Outcome], None, None]:
    """Tag files by the answers of an earlier run; where `paths` are given, those alone.

    An entry that is no answer is an outcome of the results file. Every name in the results is an outcome. The last
    answer for a file counts, and a file of several names, a link and its target, is tagged once.

    Raises
    ------
    InvalidInputError
        The results cannot be used, or the map names a genre that none of them has.
    """
    answers: dict[str, Answer | GenreError] = {}
    named: dict[Path, None] = {}
    source = Results(str(results))
    for path, answer in read_answers(source):
        answers[_identity(path)] = answer
        named[path] = None
    labels = {label for answer in answers.values() if isinstance(answer, Answer) for label in answer.probabilities}
    if labels:
        tagging.genre_map.check(labels)
    for words in skipped_words(source):
        yield results, InvalidInputError(words)
    missing = InvalidInputError(f"{str(results)!r} has no answer for it")
    yield from _tag_each_once(tagging, list(dict.fromkeys(paths)) or list(named), answers, missing)


def _tag_each_once(
    tagging: Tagging, paths: Sequence[Path], answers: Mapping[str, Answer | GenreError], missing: GenreError
) -> Iterator[tuple[Path, Outcome]]:
    """Yield an outcome for every name; of several names of one file, the one that is not a link counts."""
    firsts: dict[str, Path] = {}
    for path in paths:
        identity = _identity(path)
        if identity not in firsts or (_is_link(firsts[identity]) and not _is_link(path)):
            firsts[identity] = path
    done: dict[str, Outcome] = {}
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


def _settled(tagging: Tagging, path: Path) -> Outcome | None:
    """Return what is clear before anybody listened: the file cannot be tagged, or has a genre that stays."""
    try:
        old = read_genres(path)
    except GenreError as error:
        return error
    return Change(path, old, old, "has a genre") if old and tagging.mode == "empty" else None


def _identity(path: Path) -> str:
    return os.path.normcase(os.path.realpath(path)) if "\0" not in str(path) else str(path)


def _is_link(path: Path) -> bool:
    """Return whether a name leads to its file over a link, at its end or in a folder above."""
    return os.path.normcase(os.path.abspath(path)) != _identity(path)  # noqa: PTH100  # resolve() would follow the link
