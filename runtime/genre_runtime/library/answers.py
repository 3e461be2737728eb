"""What the classifier said about files, now or in an earlier run, and which genres of that are worth writing."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genre_runtime.errors import GenreError, InvalidInputError, UnreadableAudioError
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
        return cls(prediction.probabilities, prediction.confident, prediction.reason)

    def labels(self, *, top: int, min_confidence: float) -> tuple[str, ...]:
        """Return at most `top` labels, each at least `min_confidence` and `SHARE` of the first one probable."""
        best = max(self.probabilities.values())
        enough = [label for label, p in self.probabilities.items() if p >= max(min_confidence, SHARE * best)]
        return tuple(enough[:top])


def read_answers(path: Path) -> Iterator[tuple[int, Path | None, Answer | GenreError]]:
    """Read what `genre classify --format jsonl` wrote.

    Yields
    ------
    tuple
        The line's number, its file if it names one, and the answer, or what is wrong.

    Raises
    ------
    InvalidInputError
        The file cannot be read.
    """
    try:
        with open(path, "rb") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield number, *_parsed(line.removeprefix(b"\xef\xbb\xbf"))
    except OSError as error:
        raise InvalidInputError(f"the results {str(path)!r} cannot be read: {error.strerror}") from error


def _parsed(line: bytes) -> tuple[Path | None, Answer | GenreError]:
    path = None
    try:
        values = json.loads(line)
        if not isinstance(values["path"], str) or not values["path"]:
            raise ValueError("path is no name")
        path = Path(values["path"])
        if "error" in values:
            return path, UnreadableAudioError(f"was not classified: {values['error']['message']}")
        return path, _answer(values)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        words = f"{error} is missing" if isinstance(error, KeyError) else str(error) or type(error).__name__
        return path, InvalidInputError(f"no result of `genre classify --format jsonl` ({words})")


def _answer(values: Mapping[str, Any]) -> Answer:
    probabilities, confident, reason = values["probabilities"], values["confident"], values.get("reason")
    if not isinstance(probabilities, dict) or not probabilities:
        raise ValueError("probabilities are no object")
    for label, probability in probabilities.items():
        number = isinstance(probability, int | float) and not isinstance(probability, bool)
        if not number or not 0 <= probability <= 1:
            raise ValueError(f"the probability of {label!r} is {probability!r}")
        if not label.strip() or not label.isprintable():
            raise ValueError(f"{label!r} is no name of a genre")
    if not isinstance(confident, bool):
        raise ValueError(f"confident is {confident!r}")
    ordered = dict(sorted(probabilities.items(), key=lambda item: -item[1]))
    return Answer(ordered, confident, reason if isinstance(reason, str) else None)
