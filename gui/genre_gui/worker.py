"""Work off the UI thread: one thread that loads the model and classifies, one queue of outcomes."""

from __future__ import annotations

import queue
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from genre_runtime import GenreClassifier, GenreError, Prediction

Outcome = Prediction | GenreError


class Worker:
    """Classifies files in the order given.

    Parameters
    ----------
    load : callable
        Makes the classifier, in the worker's own thread, before the first file.

    Attributes
    ----------
    outcomes : queue of (Path, Prediction or GenreError)
        What is done; the UI thread takes from it without waiting.
    """

    def __init__(self, load: Callable[[], GenreClassifier] = GenreClassifier.load) -> None:
        self.outcomes: queue.SimpleQueue[tuple[Path, Outcome]] = queue.SimpleQueue()
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="genre-gui")
        self._classifier = self._pool.submit(load)

    def submit(self, path: Path) -> None:
        """Classify `path` when its turn comes; the outcome goes into `outcomes`."""
        self._pool.submit(self._classify, path)

    def close(self) -> None:
        """Drop what has not begun and return at once."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _classify(self, path: Path) -> None:
        try:
            outcome: Outcome = self._classifier.result().classify_file(path)
        except GenreError as error:
            outcome = error
        except Exception as error:  # without an outcome the window would wait for ever
            outcome = GenreError(f"an unexpected error, please report it: {type(error).__name__}: {error}")
            outcome.__cause__ = error
        self.outcomes.put((path, outcome))
