"""Classifies a library; files with a stored answer, and copies of other files, are not analysed again."""

from __future__ import annotations

import hashlib
import os
import stat
from collections import defaultdict
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Event, Lock
from typing import TYPE_CHECKING

from genre_runtime.classifier import ExcerptCount, GenreClassifier
from genre_runtime.errors import LASTING, GenreError, UnexpectedFailureError
from genre_runtime.parallel import available_cores, ordered_map
from genre_runtime.prediction import FileResult, Prediction

if TYPE_CHECKING:
    from genre_runtime.library.cache import LibraryState

N_LOCKS = 256

END_BYTES = 4096
"""Bytes compared at each end of a file. The tags there differ even between tracks of the same length and bit rate."""

DECODER_VERSION = 2
"""Incremented when a change to decoding alters answers, so that older answers are not used any more."""

ANSWER_VERSION = 3
"""Incremented when stored answers get a part that older ones lack: since 2, the embedding of every excerpt,
since 3 its tags."""

FileProgress = Callable[[Path, float, float | None], None]
"""Takes a path, the seconds of it that were analysed, and its length as far as it is known."""

Found = tuple[FileResult, bytes | None]
"""A result, and the digest of the file's bytes if it was computed."""


def plan_of(classifier: GenreClassifier, excerpts: ExcerptCount) -> str:
    """Return what answers depend on besides the file: model, thresholds, decoder, and number of excerpts.

    Parameters
    ----------
    classifier : GenreClassifier
    excerpts : int, "all" or None
        Excerpts per file; None for the model's default.
    """
    metadata = classifier.model_metadata
    count = metadata.n_excerpts if excerpts is None else excerpts
    rules = repr((metadata.confidence_threshold, metadata.genre_set_threshold, metadata.tags))
    digest = hashlib.sha256(rules.encode()).hexdigest()[:12]
    return f"{metadata.graphs['waveform'].sha256} {digest} {count} decoder {DECODER_VERSION} answer {ANSWER_VERSION}"


def is_answer_of(classifier: GenreClassifier, answer: Prediction) -> bool:
    """Return whether a stored answer can be one of a classifier's model, and its head be applied to it.

    Parameters
    ----------
    classifier : GenreClassifier
    answer : Prediction
        Without a head.
    """
    model, head = classifier.model_metadata, classifier.head
    tags = {0 if one.tags is None else one.tags.size for one in answer.excerpts}
    features = {0 if one.embedding is None else one.embedding.size for one in answer.excerpts}
    return (
        answer.probabilities.keys() == set(model.labels)
        and tags == {len(model.tags)}
        and (head is None or features == {head.weights.shape[1]})
    )


class Library:
    """Classifies files, with or without a state file. Files with the same bytes are analysed once.

    Parameters
    ----------
    classifier : GenreClassifier
    excerpts : int, "all" or None
        Excerpts per file; None for the model's default.
    state : LibraryState, optional
        Without one, answers are kept until the run ends, and files are compared only if they have the same size and
        the same bytes at both ends.
    progress : callable, optional
        Called while a whole track is analysed, with its path, the seconds analysed and its length, None if unknown.
    """

    def __init__(
        self,
        classifier: GenreClassifier,
        excerpts: ExcerptCount = None,
        state: LibraryState | None = None,
        progress: FileProgress | None = None,
    ) -> None:
        self._progress = progress
        self._classifier, self._excerpts, self._state = classifier, excerpts, state
        self._locks = [Lock() for _ in range(N_LOCKS)]

    def classify(self, paths: Iterable[Path], jobs: int = 0) -> Generator[FileResult, None, None]:
        """Yield the result of each path, in order.

        Parameters
        ----------
        paths : iterable of Path
        jobs : int
            Files analysed at the same time; 0 for one per core.

        Raises
        ------
        StateError
            The state file failed; it contains the answers stored before.
        """
        if self._state is not None:
            yield from self._in_order(paths, jobs, self._state, None)
            return
        every = list(paths)
        alike = _alike(every)
        if not alike:
            yield from (result for result, _ in ordered_map(self._analyse, every, jobs or available_cores()))
            return
        from genre_runtime.library.cache import IN_MEMORY, LibraryState

        with closing(LibraryState(IN_MEMORY, "")) as state:
            yield from self._in_order(every, jobs, state, alike)

    def _in_order(
        self, paths: Iterable[Path], jobs: int, state: LibraryState, alike: frozenset[Path] | None
    ) -> Generator[FileResult, None, None]:
        def look_up(path: Path, stop: Event) -> Found:
            return self._look_up(path, stop, state, alike)

        seen: dict[bytes, Path] = {}
        with closing(ordered_map(look_up, paths, jobs or available_cores())) as found:
            for result, digest in found:
                path = Path(result.path)
                first = path if digest is None else seen.setdefault(digest, path)
                yield result if first == path else replace(result, same_as=first)

    def _analyse(self, path: Path, stop: Event) -> Found:
        return FileResult(path, self._by_head(self._outcome(path, stop))), None

    def _outcome(self, path: Path, stop: Event) -> Prediction | GenreError:
        progress = None if self._progress is None else partial(self._progress, path)
        return self._classifier.analyse_or_error(path, excerpts=self._excerpts, stop=stop, progress=progress)

    def _look_up(self, path: Path, stop: Event, state: LibraryState, alike: frozenset[Path] | None) -> Found:
        """Return the stored answer for a file, or analyse it. `alike` are the files to compare, None for all."""
        from genre_runtime.library.cache import content_digest  # imports sqlite3

        status = _regular(path)
        if status is None or not status.st_size or (alike is not None and path not in alike):
            return self._analyse(path, stop)
        digest = remembered = state.find(path, status)  # not in the try: StateError is also a ValueError
        if digest is None:
            try:
                digest = content_digest(path)
            except (OSError, ValueError):
                return self._analyse(path, stop)
        with self._locks[digest[0] % N_LOCKS]:  # the same bytes are analysed once, even at the same time
            outcome = state.answer(digest)
            if isinstance(outcome, Prediction) and not is_answer_of(self._classifier, outcome):
                outcome = None  # damaged
            known = outcome is not None
            if outcome is None:
                outcome = self._outcome(path, stop)
                lasting = isinstance(outcome, Prediction) or _lasts(outcome)
                if stop.is_set() or not lasting or _changed(path, status):
                    return FileResult(path, self._by_head(outcome)), None
                state.store(digest, outcome)
        if remembered is None:
            state.remember(path, status, digest)
        if isinstance(outcome, Prediction):
            outcome = replace(outcome, path=path)
        return FileResult(path, self._by_head(outcome), known), digest

    def _by_head(self, outcome: Prediction | GenreError) -> Prediction | GenreError:
        return self._classifier.apply_head(outcome) if isinstance(outcome, Prediction) else outcome


def _lasts(result: GenreError) -> bool:
    """Return whether the same bytes would give this error again; an error of the system may pass."""
    passing = isinstance(result, UnexpectedFailureError) or isinstance(result.__cause__, OSError | MemoryError)
    return isinstance(result, LASTING) and not passing


def _alike(paths: Sequence[Path]) -> frozenset[Path]:
    """Return the files that may equal another one: they have the same size, and the same bytes at both ends."""
    of_size = _groups(paths, lambda path: path.stat().st_size)
    return frozenset(path for group in of_size for alike in _groups(group, _ends) for path in alike)


def _groups(paths: Sequence[Path], key: Callable[[Path], int]) -> list[list[Path]]:
    """Return the groups of two or more paths with the same key; paths whose key cannot be computed are left out."""
    groups: defaultdict[int, list[Path]] = defaultdict(list)
    for path in paths:
        with suppress(OSError, ValueError):  # classifying the path gives the error
            groups[key(path)].append(path)
    return [group for group in groups.values() if len(group) > 1]


def _ends(path: Path) -> int:
    """Return a hash of the first and last bytes of a regular file; opening a pipe would wait."""
    status = _regular(path)
    if status is None:
        raise ValueError(f"{path} is not a regular file")
    with path.open("rb") as file:
        first = file.read(END_BYTES)
        file.seek(max(0, status.st_size - END_BYTES))
        return hash((first, file.read(END_BYTES)))


def _regular(path: Path) -> os.stat_result | None:
    """Return the status of a regular file; None for any other path, whose error the classifier gives."""
    with suppress(OSError, ValueError):
        status = path.stat()
        return status if stat.S_ISREG(status.st_mode) else None
    return None


def _changed(path: Path, status: os.stat_result) -> bool:
    try:
        now = path.stat()
    except OSError:
        return True
    return (now.st_size, now.st_mtime_ns) != (status.st_size, status.st_mtime_ns)
