"""Answers that are kept in a state file, as `genre classify --state` writes it, so that no file is analysed twice."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

from genre_runtime import GenreClassifier, GenreError, Prediction
from genre_runtime.errors import LASTING, StateError, UnexpectedFailureError

if TYPE_CHECKING:
    from genre_runtime.library.cache import LibraryState

Progress = Callable[[float, float | None], None]
"""Takes the seconds of a whole track that were analysed, and the length that the file claims, None if unknown."""


class StoredAnswers:
    """Looks answers up in a state file before a file is analysed, and stores new ones.

    Parameters
    ----------
    path : Path
        Created if it does not exist.
    classifier : GenreClassifier

    Raises
    ------
    StateError
        The file cannot be used.
    """

    def __init__(self, path: Path, classifier: GenreClassifier) -> None:
        from genre_runtime.library.analysis import plan_of
        from genre_runtime.library.cache import LibraryState

        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StateError(f"the folder of the state file {str(path)!r} cannot be made: {error.strerror}") from error
        self._classifier = classifier
        self._states = {
            whole: LibraryState(path, plan_of(classifier, "all" if whole else None)) for whole in (False, True)
        }

    @property
    def state(self) -> LibraryState:
        """The state file, whatever is analysed of a file."""
        return self._states[False]

    def classify(
        self, path: Path, *, whole: bool, stop: Event, progress: Progress | None = None
    ) -> Prediction | GenreError:
        """Return the stored answer for a file, or analyse it and store the answer.

        Parameters
        ----------
        path : Path
        whole : bool
        stop : threading.Event
        progress : callable, optional
            As for `Backend.classify`.
        """
        digest = self._digest(path, whole=whole)
        found = None if digest is None else self._answer(path, digest, whole=whole)
        if found is not None:
            return found
        result = self._classifier.analyse_or_error(
            path, excerpts="all" if whole else None, stop=stop, progress=progress
        )
        lasting = isinstance(result, Prediction) or (
            isinstance(result, LASTING)
            and not isinstance(result, UnexpectedFailureError)
            and not isinstance(result.__cause__, OSError | MemoryError)
        )
        if digest is not None and lasting and not stop.is_set() and digest == self._digest(path, whole=whole):
            with suppress(StateError):  # the answer is kept as long as the window is open
                self._states[whole].store(digest, result)
        return result

    def recall(self, path: Path, *, whole: bool) -> Prediction | GenreError | None:
        """Return the stored answer for a file; None if there is none or the file has changed.

        Parameters
        ----------
        path : Path
        whole : bool
        """
        digest = self._digest(path, whole=whole)
        return None if digest is None else self._answer(path, digest, whole=whole)

    def _answer(self, path: Path, digest: bytes, *, whole: bool) -> Prediction | GenreError | None:
        from genre_runtime.library.analysis import is_answer_of

        try:
            found = self._states[whole].answer(digest)
        except StateError:
            return None
        if not isinstance(found, Prediction):
            return found
        return replace(found, path=path) if is_answer_of(self._classifier, found) else None  # damaged

    def _digest(self, path: Path, *, whole: bool) -> bytes | None:
        """Return the digest of a file's content, remembered or computed; None if it cannot be read."""
        from genre_runtime.library.cache import content_digest

        state = self._states[whole]
        try:
            status = os.stat(path)  # noqa: PTH116
            if not stat.S_ISREG(status.st_mode) or not status.st_size:
                return None
            digest = state.find(path, status)
            if digest is None:
                digest = content_digest(path)
                state.remember(path, status, digest)
        except (OSError, ValueError):  # a StateError is one, too
            return None
        return digest
