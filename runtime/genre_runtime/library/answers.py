"""What the classifier said about files, now or in an earlier run, and which genres of that are worth writing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from genre_runtime.errors import GenreError, InvalidInputError, UnreadableAudioError
from genre_runtime.formats import printable
from genre_runtime.library.result_entry import Failure
from genre_runtime.library.results import Results
from genre_runtime.prediction import Prediction

SHARE = 1 / 3
"""A further genre is written when it is at least this probable, compared with the first."""


@dataclass(frozen=True)
class Answer:
    """An answer for one file.

    Attributes
    ----------
    probabilities : mapping of str to float
        Most probable first.
    confident : bool
    reason : str or None
        Why it is not confident.
    """

    probabilities: Mapping[str, float]
    confident: bool
    reason: str | None = None

    @classmethod
    def of(cls, prediction: Prediction) -> Answer:
        """Take what matters from a prediction."""
        reason = None if prediction.reason is None else printable(prediction.reason)
        return cls(prediction.probabilities, prediction.confident, reason)

    def labels(self, *, top: int, min_confidence: float) -> tuple[str, ...]:
        """Return at most `top` labels, each at least `min_confidence` and `SHARE` of the first one probable."""
        best = max(self.probabilities.values())
        enough = [label for label, p in self.probabilities.items() if p >= max(min_confidence, SHARE * best)]
        return tuple(enough[:top])


def read_answers(results: Results) -> Iterator[tuple[Path, Answer | GenreError]]:
    """Yield what results say of each file: the answer, or what is wrong.

    Raises
    ------
    InvalidInputError
        The results cannot be used.
    """
    for result in results:
        yield result.path or Path(), _answer(result)  # what was read back has a path


def _answer(result: Prediction | Failure) -> Answer | GenreError:
    if isinstance(result, Failure):
        return UnreadableAudioError(f"was not classified: {printable(result.message)}")
    for label in result.probabilities:
        if not label.strip() or not label.isprintable():  # it would go into a tag
            return InvalidInputError(f"{label!r} is no name of a genre")
    return Answer.of(result)
