"""One run over a library: from answers to changed files."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from genre_runtime.errors import GenreError, InvalidInputError
from genre_runtime.library.answers import Answer, read_answers
from genre_runtime.library.genre_map import GenreMap
from genre_runtime.library.journal import Journal
from genre_runtime.library.results import Results, skipped_words
from genre_runtime.library.state import LibraryState, StateError
from genre_runtime.library.tags import Change, Mode, plan_genres, read_genres, write_genres
from genre_runtime.prediction import Prediction

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
