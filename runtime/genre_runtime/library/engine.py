"""A library classified: what is known from earlier runs is not listened to again."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event, Lock
from typing import TYPE_CHECKING

from genre_runtime.classifier import FROM_MODEL, ExcerptCount, GenreClassifier
from genre_runtime.errors import AudioLimitError, EmptyAudioError, GenreError, UnreadableAudioError
from genre_runtime.parallel import ordered_map
from genre_runtime.prediction import Prediction

if TYPE_CHECKING:
    from genre_runtime.library.state import LibraryState

N_LOCKS = 256

_LASTING = (UnreadableAudioError, EmptyAudioError, AudioLimitError)
"""Errors that lie in a file's bytes: the same bytes would give them again."""


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
        A file of this run, seen before, with the same bytes.
    """

    path: Path
    result: Prediction | GenreError
    known: bool = False
    same_as: Path | None = None


def plan_of(classifier: GenreClassifier, excerpts: ExcerptCount) -> str:
    """Return what answers depend on besides the file: the model, and how much of a file it listens to."""
    metadata = classifier.metadata
    count = metadata.n_excerpts if excerpts is FROM_MODEL else excerpts or "all"
    return f"{metadata.graphs['waveform'].sha256} {metadata.confidence_threshold} {count}"


class Library:
    """Classifies files, with or without a state file.

    Parameters
    ----------
    classifier : GenreClassifier
    excerpts : int or None, optional
    state : LibraryState, optional
        Without one, every file is listened to.
    """

    def __init__(
        self, classifier: GenreClassifier, excerpts: ExcerptCount = FROM_MODEL, state: LibraryState | None = None
    ) -> None:
        self._classifier, self._excerpts, self._state = classifier, excerpts, state
        self._locks = [Lock() for _ in range(N_LOCKS)]
        self._seen: dict[bytes, Path] = {}

    def classify(self, paths: Iterable[Path], jobs: int = 0) -> Iterator[Outcome]:
        """Yield the outcome of each path, in order, `jobs` at a time (0: one a core).

        Raises
        ------
        StateError
            The state file fails; what was answered until then is in it.
        """
        function = self._listen if self._state is None else self._look_up
        return ordered_map(function, paths, jobs or os.cpu_count() or 1)

    def _listen(self, path: Path, stop: Event) -> Outcome:
        return Outcome(path, self._classifier.classify_or_error(path, excerpts=self._excerpts, stop=stop))

    def _look_up(self, path: Path, stop: Event) -> Outcome:
        from genre_runtime.library.state import content_digest  # SQLite's code, where there is a state alone

        assert self._state is not None
        try:
            status = path.stat()
            if not stat.S_ISREG(status.st_mode) or not status.st_size:
                return self._listen(path, stop)
            digest = self._state.find(path, status)
            changed = digest is None
            digest = digest or content_digest(path)
        except (OSError, ValueError):  # listening says in words what is wrong
            return self._listen(path, stop)
        with self._locks[digest[0] % N_LOCKS]:  # of equal files at the same time, one is listened to
            result = self._state.answer(digest)
            known = result is not None
            if result is None:
                result = self._classifier.classify_or_error(path, excerpts=self._excerpts, stop=stop)
                lasting = isinstance(result, (Prediction, *_LASTING))
                if stop.is_set() or not lasting or _changed(path, status):
                    return Outcome(path, result)
                self._state.store(digest, result)
            first = self._seen.setdefault(digest, path)
        if changed:
            self._state.remember(path, status, digest)
        if isinstance(result, Prediction):
            result = replace(result, path=path, device=self._classifier.device)
        return Outcome(path, result, known, None if first == path else first)


def _changed(path: Path, status: os.stat_result) -> bool:
    try:
        now = path.stat()
    except OSError:
        return True
    return (now.st_size, now.st_mtime_ns) != (status.st_size, status.st_mtime_ns)
