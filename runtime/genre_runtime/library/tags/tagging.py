"""Tag a library by classification: what is written into which field, file by file."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from genre_runtime.errors import GenreError, InvalidInputError, StateError, UnreadableAudioError
from genre_runtime.library.cache import LibraryState
from genre_runtime.library.genre_names import CONVENTIONAL, GenreMap, conventional, distinct, spelling_key
from genre_runtime.library.results.read import Results, skipped_words
from genre_runtime.library.results.write import printable
from genre_runtime.library.tags.journal import Journal
from genre_runtime.library.tags.write import Change, Mode, plan_fields, read_fields, write_fields
from genre_runtime.prediction import NAME_LISTS, FileResult, Prediction

Classify = Callable[[Iterable[Path]], Iterator[Prediction | GenreError]]
"""Takes paths lazily and returns the answers in order."""

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


def values_to_write(
    contents: Sequence[str], answer: Prediction, genres: Sequence[str], genre_map: GenreMap, *, own_genres: bool = False
) -> tuple[str, ...]:
    """Return the values of a field in the order of its contents, each name once and in its conventional spelling.

    Parameters
    ----------
    contents : sequence of str
        Of `fields.CONTENTS`.
    answer : Prediction
    genres : sequence of str
        Labels for the content `genre`.
    genre_map : GenreMap
        Names that are used instead.
    own_genres : bool
        Whether the genres are the user's own, which keep their spelling.
    """
    found: list[str] = []
    for content in contents:
        if content == "confidence":
            found.append(f"{answer.confidence:.2f}")
            continue
        spell = str if own_genres and content in ("genre", "genres") else conventional
        found += genre_map.rename(_labels(content, answer, genres), spell)
    return distinct(found)


def _labels(content: str, answer: Prediction, genres: Sequence[str]) -> Sequence[str]:
    """Return what an answer says of one content, as the model names it; styles that are genres precede the others."""
    if content == "genre":
        return genres
    if content != "styles":
        names: Sequence[str] = getattr(answer, "genre_set" if content == "genres" else content)
        return names
    labels = set(map(spelling_key, answer.probabilities))
    return tuple(sorted(answer.styles, key=lambda name: spelling_key(name) not in labels))


@dataclass(frozen=True)
class Tagging:
    """Options of a run, and what it does with one answer.

    Attributes
    ----------
    write : bool
        Change files; otherwise the changes are only planned.
    mode : {"empty", "overwrite", "append"}
        As for `write_fields`.
    fields : mapping of str to sequence of str
        Contents of each field to write, as `fields.parse_fields` returns them.
    separator : str or None
        As for `write_fields`.
    unsure : bool
        Use answers below the confidence threshold, too.
    top : int
        Most genres a file.
    min_confidence : float
        Least probability of a genre, 0 to 1.
    genre_map : GenreMap
        Renames genres, styles, moods and instruments before they are written.
    own_genres : bool
        Whether the genres are the user's own: they are written as the user spelt them when they were learnt.
    journal, id3_version, keep_mtime
        As for `write_fields`.
    state : LibraryState or None
        Stored answers. They are kept for files whose tags change.
    """

    write: bool = False
    mode: Mode = "empty"
    fields: Mapping[str, Sequence[str]] = field(default_factory=lambda: {"genre": ("genre",)})
    separator: str | None = None
    unsure: bool = False
    top: int = 1
    min_confidence: float = 0.0
    genre_map: GenreMap = field(default_factory=GenreMap)
    own_genres: bool = False
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
            return self.keep_answers(self._apply(path, answer))
        except GenreError as error:
            return error

    def keep_answers(self, change: Change) -> Change:
        """Keep the stored answers of a file for its changed content; return the change.

        Parameters
        ----------
        change : Change
        """
        if self.state is not None and change.digests is not None:
            with suppress(StateError):  # the file is written; at worst it is analysed again
                self.state.carry_over(*change.digests)
        return change

    def settled(self, path: Path) -> Change | GenreError | None:
        """Return the outcome that needs no answer: the file cannot be tagged, or has values in all fields that stay.

        Parameters
        ----------
        path : Path
        """
        try:
            old = read_fields(path, self.fields)
        except GenreError as error:
            return error
        if self.mode == "empty" and all(old.values()):
            return Change.none(path, old, {name: f"has a {name}" for name in old})
        return None

    def _apply(self, path: Path, answer: Prediction) -> Change:
        genres = genres_to_write(answer, top=self.top, min_confidence=self.min_confidence)
        values, reasons = {}, {}
        for name, contents in self.fields.items():
            values[name] = values_to_write(contents, answer, genres, self.genre_map, own_genres=self.own_genres)
            why = self._why_not(contents, answer, genres, values[name])
            if why is not None:
                values[name], reasons[name] = (), why
        if self.write:
            change = write_fields(
                path,
                values,
                self.mode,
                journal=self.journal,
                separator=self.separator,
                id3_version=self.id3_version,
                keep_mtime=self.keep_mtime,
            )
        else:
            change = plan_fields(path, values, self.mode, separator=self.separator)
        kept = self.mode == "empty"
        fields = {
            name: replace(one, reason=reasons[name]) if name in reasons and not (one.old and kept) else one
            for name, one in change.fields.items()
        }
        return replace(change, fields=fields)

    def _why_not(
        self, contents: Sequence[str], answer: Prediction, genres: Sequence[str], values: Sequence[str]
    ) -> str | None:
        """Return why nothing is written into a field; None if something is."""
        if not answer.is_music:
            return printable(answer.reason or "the file is not music")
        if not answer.confident and not self.unsure and not _NEED_CONFIDENCE.isdisjoint(contents):
            return printable(answer.reason or "the answer is not confident")
        if "genre" in contents and not genres:
            return f"no genre reaches {self.min_confidence:.0%}"
        if values:
            return None
        left_out = [name for content in contents for name in _labels(content, answer, genres)]
        return f"the map leaves out {', '.join(left_out)}" if left_out else f"no {' or '.join(contents)} found"


_NEED_CONFIDENCE = frozenset(("genre", "genres", "confidence"))
"""Contents of which answers that are not confident are left out; tags have reached a threshold of their own."""


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
            outcome = tagging.settled(path)
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
        if result.doubt is not None:  # of `genre audit`, whose genres are those of the user's tags
            tagging = replace(tagging, own_genres=True)
    labels = {label for answer in answers.values() if isinstance(answer, Prediction) for label in answer.probabilities}
    if labels:
        tagging.genre_map.check(labels, CONVENTIONAL)
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
            found = {name: one.new if outcome.written else one.old for name, one in outcome.fields.items()}
            outcome = Change.none(path, found, dict.fromkeys(found, f"another name of {str(first)!r}"))
        yield path, outcome


def _answer(result: FileResult) -> Prediction | GenreError:
    """Return the prediction of an earlier run, or why nothing can be written."""
    if not isinstance(result.outcome, Prediction):
        return UnreadableAudioError(f"was not classified: {printable(result.outcome)}")
    listed = (name for names in NAME_LISTS for name in getattr(result.outcome, names))
    for label in (*result.outcome.probabilities, *listed):
        if not label.strip() or not label.isprintable():  # it would be written into a tag
            return InvalidInputError(f"{label!r} is not the name of a genre")
    return result.outcome.brief(None)


def _identity(path: Path) -> str:
    return os.path.normcase(os.path.realpath(path)) if "\0" not in str(path) else str(path)


def _is_link(path: Path) -> bool:
    """Return whether a name or one of its parent folders is a link."""
    return os.path.normcase(os.path.abspath(path)) != _identity(path)  # noqa: PTH100  # resolve() would follow the link
