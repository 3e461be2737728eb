"""What `genre classify --format jsonl` or `--format json` wrote, read back one result at a time.

A run that was interrupted leaves a last line that is torn: such lines are named and passed over. Names that are no
UTF-8 come back as they were, since JSON carries their bytes as lone surrogates.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, TextIO

from genre_runtime.errors import InvalidInputError
from genre_runtime.library.json_array import array_elements
from genre_runtime.library.result_entry import UNFIT, Failure, parse_result, unfit_words
from genre_runtime.path_lists import encoding_by_mark
from genre_runtime.prediction import Prediction, partly_read

EXPECTED = "expected what `genre classify --format jsonl` writes"

LONGEST_LINE = 1 << 26
"""Characters; a day of ten-second excerpts has some four million."""

MOST_NAMED = 5
"""Lines named one by one before they are only counted."""


class Row(NamedTuple):
    """What is kept of a prediction when there are many: some hundred bytes a file, whatever was listened to.

    Attributes
    ----------
    path : str
    label, confidence, confident, reason, duration_seconds, announced_seconds
        As in `Prediction`.
    next_label : str
        Second best genre, empty if the model knows but one.
    next_confidence : float
        Its probability, 0 to 1.
    """

    path: str
    label: str
    confidence: float
    confident: bool
    reason: str | None
    duration_seconds: float
    next_label: str
    next_confidence: float
    announced_seconds: float | None = None

    @property
    def remark(self) -> str | None:
        """How much of the file could be read, in words; None where the file is whole."""
        return partly_read(self.duration_seconds, self.announced_seconds)

    @classmethod
    def of(cls, prediction: Prediction) -> Row:
        """Keep what lists and sums need of a prediction."""
        others = ((label, p) for label, p in prediction.probabilities.items() if label != prediction.label)
        next_label, next_confidence = next(others, ("", 0.0))
        return cls(
            path=str(prediction.path),
            label=sys.intern(prediction.label),
            confidence=prediction.confidence,
            confident=prediction.confident,
            reason=prediction.reason,
            duration_seconds=prediction.duration_seconds,
            next_label=sys.intern(next_label),
            next_confidence=next_confidence,
            announced_seconds=prediction.announced_seconds,
        )


class Results:
    """The results in a file, or in stdin where the name is `-`; iterate once.

    Attributes
    ----------
    name : str
    n_skipped : int
        Lines passed over so far because they are torn or foreign.
    skipped : list of str
        The first of them in words.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.n_skipped = 0
        self.skipped: list[str] = []

    def __iter__(self) -> Iterator[Prediction | Failure]:
        """Yield each result in the order of the file.

        Raises
        ------
        InvalidInputError
            The file cannot be read, is empty, or its first entry is no result.
        """
        n_results = 0
        try:
            with _opened(self.name) as text:
                for number, entry in _entries(text):
                    try:
                        result = parse_result(entry)
                    except UNFIT as error:
                        if not n_results:
                            words = f"entry {number} is no result ({unfit_words(error)}): {EXPECTED}"
                            raise InvalidInputError(f"{self._shown} cannot be used: {words}") from error
                        self._skip(number, error)
                    else:
                        n_results += 1
                        yield result
        except OSError as error:
            raise InvalidInputError(f"{self._shown} cannot be read: {error.strerror or error}") from error
        if not n_results:
            raise InvalidInputError(f"{self._shown} holds no results: {EXPECTED}")

    @property
    def _shown(self) -> str:
        return "stdin" if self.name == "-" else f"the result file {self.name!r}"

    def _skip(self, number: int, error: Exception) -> None:
        self.n_skipped += 1
        if len(self.skipped) < MOST_NAMED:
            self.skipped.append(f"entry {number} was passed over: torn or no result ({unfit_words(error)})")


@contextmanager
def _opened(name: str) -> Iterator[TextIO]:
    """Open a file or stdin as text: UTF-8, or the UTF-16 that Windows PowerShell makes of redirected output."""
    if name == "-":
        stream: Any = sys.stdin.buffer if sys.stdin else io.BytesIO()
        reader: Any = io.BufferedReader(stream)
        text = _text(reader)
        try:
            yield text
        finally:  # stdin stays open
            text.detach()
            reader.detach()
        return
    with open(name, "rb") as file:
        yield _text(file)


def _text(file: io.BufferedReader) -> io.TextIOWrapper:
    encoding = encoding_by_mark(file.peek(4)[:4]) or "utf-8-sig"
    return io.TextIOWrapper(file, encoding=encoding, errors="replace", newline="\n")


def _entries(text: TextIO) -> Iterator[tuple[int, Any]]:
    """Yield (number, JSON value, or text that is none): of lines, or of one array."""
    number, first = 0, True
    while line := text.readline(LONGEST_LINE):
        number += 1
        if not line.strip():
            continue
        if first and line.lstrip().startswith("["):
            yield from enumerate(array_elements(line.lstrip()[1:], text), start=1)
            return
        first = False
        yield number, line


def skipped_words(results: Results) -> Iterator[str]:
    """Yield a sentence for each entry that was passed over, and one for those too many to name."""
    yield from results.skipped
    if results.n_skipped > len(results.skipped):
        yield f"{results.n_skipped - len(results.skipped)} more entries were passed over"
