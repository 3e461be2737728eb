"""A library classified: what is known from earlier runs is not listened to again."""

from __future__ import annotations

import os
import stat
from collections import defaultdict
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event, Lock
from typing import TYPE_CHECKING

from genre_runtime.classifier import ExcerptCount, GenreClassifier
from genre_runtime.errors import LASTING, GenreError, UnexpectedFailureError
from genre_runtime.parallel import available_cores, ordered_map
from genre_runtime.prediction import Prediction

if TYPE_CHECKING:
    from genre_runtime.library.cache import LibraryState


N_LOCKS = 256
END_BYTES = 4096
"""Of each end of a file. Tags lie there, which tell even tracks of one length and bit rate apart."""

DECODER_VERSION = 2
"""Counts changes of decoding that alter answers: those of an older decoder are not used any more."""


@dataclass(frozen=True)
class Outcome:
    """What came out for one file.

    Attributes
    ----------
    path : Path
    result : Prediction or GenreError
    known : bool
        Whether nobody had to listen: the answer is from an earlier run, or of an equal file.
    same_as : Path or None
        The first file of this run, in the order of the paths, if it has the same bytes.
    digest : bytes or None
        Of the file's bytes, where it was needed.
    """

    path: Path
    result: Prediction | GenreError
    known: bool = False
    same_as: Path | None = None
    digest: bytes | None = None


def plan_of(classifier: GenreClassifier, excerpts: ExcerptCount) -> str:
    """Return what answers depend on besides the file: the model, the decoder, and how much of a file is used."""
    metadata = classifier.metadata
    count = metadata.n_excerpts if excerpts is None else excerpts
    return f"{metadata.graphs['waveform'].sha256} {metadata.confidence_threshold} {count} decoder {DECODER_VERSION}"


class Library:
    """Classifies files, with or without a state file. Of equal files, one is listened to.

    Parameters
    ----------
    classifier : GenreClassifier
    excerpts : int or None, optional
    state : LibraryState, optional
        Without one, answers last as long as the run, and only files of one size with the same ends are compared.
    """

    def __init__(
        self, classifier: GenreClassifier, excerpts: ExcerptCount = None, state: LibraryState | None = None
    ) -> None:
        self._classifier, self._excerpts, self._state = classifier, excerpts, state
        self._locks = [Lock() for _ in range(N_LOCKS)]

    def classify(self, paths: Iterable[Path], jobs: int = 0) -> Generator[Outcome, None, None]:
        """Yield the outcome of each path, in order, `jobs` at a time (0: one a core).

        Raises
        ------
        StateError
            The state file fails; what was answered until then is in it.
        """
        if self._state is not None:
            yield from self._in_order(paths, jobs, self._state, None)
            return
        every = list(paths)
        alike = _alike(every)
        if not alike:  # none can be equal to another
            yield from ordered_map(self._listen, every, jobs or available_cores())
            return
        from genre_runtime.library.cache import IN_MEMORY, LibraryState

        with closing(LibraryState(IN_MEMORY, "")) as state:
            yield from self._in_order(every, jobs, state, alike)

    def _in_order(
        self, paths: Iterable[Path], jobs: int, state: LibraryState, alike: frozenset[Path] | None
    ) -> Generator[Outcome, None, None]:
        def look_up(path: Path, stop: Event) -> Outcome:
            return self._look_up(path, stop, state, alike)

        seen: dict[bytes, Path] = {}
        with closing(ordered_map(look_up, paths, jobs or available_cores())) as outcomes:
            for outcome in outcomes:
                first = outcome.path if outcome.digest is None else seen.setdefault(outcome.digest, outcome.path)
                yield outcome if first == outcome.path else replace(outcome, same_as=first)

    def _listen(self, path: Path, stop: Event) -> Outcome:
        return Outcome(path, self._classifier.classify_or_error(path, excerpts=self._excerpts, stop=stop))

    def _look_up(self, path: Path, stop: Event, state: LibraryState, alike: frozenset[Path] | None) -> Outcome:
        from genre_runtime.library.cache import content_digest  # SQLite's code, where bytes are compared alone

        try:
            status = path.stat()
            if not stat.S_ISREG(status.st_mode) or not status.st_size:
                return self._listen(path, stop)
            if alike is not None and path not in alike:
                return self._listen(path, stop)
        except (OSError, ValueError):  # listening says in words what is wrong
            return self._listen(path, stop)
        digest = state.find(path, status)  # its StateError is also a ValueError, and must not pass for the file's
        changed = digest is None
        if digest is None:
            try:
                digest = content_digest(path)
            except (OSError, ValueError):
                return self._listen(path, stop)
        with self._locks[digest[0] % N_LOCKS]:  # of equal files at the same time, one is listened to
            result = state.answer(digest)
            if isinstance(result, Prediction) and set(result.probabilities) != set(self._classifier.labels):
                result = None  # damaged: this model does not give such answers
            known = result is not None
            if result is None:
                result = self._classifier.classify_or_error(path, excerpts=self._excerpts, stop=stop)
                lasting = isinstance(result, Prediction) or _lasts(result)
                if stop.is_set() or not lasting or _changed(path, status):
                    return Outcome(path, result)
                state.store(digest, result)
        if changed:
            state.remember(path, status, digest)
        if isinstance(result, Prediction):
            result = replace(result, path=path)
        return Outcome(path, result, known, digest=digest)


def _lasts(result: GenreError) -> bool:
    """Tell whether the same bytes would give this again: what the system refused, it may grant another time."""
    passing = isinstance(result, UnexpectedFailureError) or isinstance(result.__cause__, OSError | MemoryError)
    return isinstance(result, LASTING) and not passing


def _alike(paths: Sequence[Path]) -> frozenset[Path]:
    """Return the files that may be equal to another: of one size, with the same bytes at both ends."""
    of_size = _groups(paths, lambda path: path.stat().st_size)
    return frozenset(path for group in of_size for alike in _groups(group, _ends) for path in alike)


def _groups(paths: Sequence[Path], key: Callable[[Path], int]) -> list[list[Path]]:
    """Return the groups of several paths that share a key; a path without one is in none."""
    groups: defaultdict[int, list[Path]] = defaultdict(list)
    for path in paths:
        with suppress(OSError, ValueError):  # that path's error will say so
            groups[key(path)].append(path)
    return [group for group in groups.values() if len(group) > 1]


def _ends(path: Path) -> int:
    """Return a hash of a file's first and last bytes.

    Raises
    ------
    ValueError
        It is no regular file: opening a pipe would wait.
    """
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise ValueError(f"{path} is no regular file")
    with path.open("rb") as file:
        first = file.read(END_BYTES)
        file.seek(max(0, status.st_size - END_BYTES))
        return hash((first, file.read(END_BYTES)))


def _changed(path: Path, status: os.stat_result) -> bool:
    try:
        now = path.stat()
    except OSError:
        return True
    return (now.st_size, now.st_mtime_ns) != (status.st_size, status.st_mtime_ns)
