"""One entry of a result file: a prediction, or what went wrong, checked before anybody relies on it.

The elements of a JSON array, decoded one at a time, however the array is laid out in lines.

What `genre classify --format jsonl` or `--format json` wrote, read back one result at a time.

A run that was interrupted leaves a last line that is torn: such lines are named and passed over. Names that are no
UTF-8 come back as they were, since JSON carries their bytes as lone surrogates.

What the classifier said about files, now or in an earlier run, and which genres of that are worth writing.
"""

from __future__ import annotations

import io
import json
import math
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from genre_runtime.errors import GenreError, InvalidInputError, UnreadableAudioError
from genre_runtime.library.results.write import printable
from genre_runtime.library.scan import encoding_by_mark
from genre_runtime.prediction import ExcerptPrediction, Prediction, partly_read

UNFIT = (ValueError, KeyError, TypeError, AttributeError, ArithmeticError, RecursionError)
"""What `parse_result` raises of an entry that is no result."""


@dataclass(frozen=True)
class Failure:
    """A file that could not be classified: `code` is the error's, `message` its words."""

    path: Path
    code: str
    message: str


def parse_result(entry: Any) -> Prediction | Failure:
    """Check and return an entry of a result file.

    Parameters
    ----------
    entry : Any
        A JSON value; a str is parsed first.

    Raises
    ------
    Exception
        One of `UNFIT`: it is no result.
    """
    values = json.loads(entry) if isinstance(entry, str) else entry
    if not isinstance(values, dict):
        raise TypeError("this is no JSON object")
    name = values["path"]
    if not isinstance(name, str) or not name:
        raise ValueError("path is no name")
    if "error" not in values:
        return _prediction(Path(name), values)
    code, message = values["error"]["code"], values["error"]["message"]
    if not isinstance(code, str) or not isinstance(message, str):
        raise ValueError("error is not made of code and message")
    return Failure(Path(name), code, message)


def unfit_words(error: Exception) -> str:
    """Return what is wrong with an entry, in words."""
    if isinstance(error, KeyError):
        return f"{error} is missing"
    if isinstance(error, json.JSONDecodeError):
        return "this is no JSON object"
    return str(error) or type(error).__name__


def _prediction(path: Path, values: Mapping[str, Any]) -> Prediction:
    probabilities = _probabilities(values["probabilities"])
    label, confident, reason = values["label"], values["confident"], values.get("reason")
    announced = values.get("announced_seconds")  # results of older versions have none
    if label not in probabilities:
        raise ValueError(f"label {label!r} is none of the genres")
    if not isinstance(confident, bool):
        raise ValueError(f"confident is {confident!r}")
    return Prediction(
        label=label,
        confidence=_number(values["confidence"], "confidence", 1),
        confident=confident,
        reason=reason if isinstance(reason, str) else None,
        probabilities=dict(sorted(probabilities.items(), key=lambda item: -item[1])),
        excerpts=tuple(map(_excerpt, values.get("excerpts", ()))),
        duration_seconds=_number(values["duration_seconds"], "duration_seconds"),
        device=str(values.get("device", "")),
        path=path,
        announced_seconds=None if announced is None else _number(announced, "announced_seconds"),
    )


def _excerpt(values: Mapping[str, Any]) -> ExcerptPrediction:
    start = _number(values["start_seconds"], "start_seconds")
    end = _number(values["end_seconds"], "end_seconds")
    silent = bool(values.get("silent", False))
    return ExcerptPrediction(start, end, _probabilities(values["probabilities"]), silent=silent)


def _probabilities(values: Any) -> dict[str, float]:
    if not isinstance(values, dict) or not values:
        raise ValueError("probabilities are no object")
    return {label: _number(value, f"the probability of {label!r}", 1) for label, value in values.items()}


def _number(value: Any, name: str, most: float = math.inf) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most or math.isinf(value):
        raise ValueError(f"{name} is {value!r}")
    return float(value)


CHUNK = 1 << 16
"""Characters read at first; more for elements that are longer."""

LONGEST = 1 << 26
"""Characters of an element; text that goes on for longer is torn."""

_BETWEEN = re.compile(r"[\s,]*")


def array_elements(start: str, rest: TextIO) -> Iterator[Any]:
    """Yield elements until the array ends; where text is torn or no JSON, that text, and then no more.

    Parameters
    ----------
    start : str
        What was read behind the opening bracket already.
    rest : TextIO
        The text that follows.

    Yields
    ------
    Any
        A JSON value; a str is what could not be decoded, cut to some hundred characters.
    """
    decoder = json.JSONDecoder()
    buffer, position, more = start, 0, CHUNK
    while True:
        position = _end(buffer, position)
        try:
            if buffer[position : position + 1] == "]":
                return
            element, position = decoder.raw_decode(buffer, position)
            more = CHUNK
        except (ValueError, RecursionError):  # cut short as yet, or no JSON
            text = rest.read(more) if len(buffer) - position < LONGEST else ""
            buffer, position = buffer[position:] + text, 0
            if not text:
                if buffer:
                    yield f"{buffer[:200]} ..."
                return
            more *= 2  # so that a long element is not decoded again and again
            continue
        yield element if not isinstance(element, str) else json.dumps(element)


def _end(buffer: str, position: int) -> int:
    between = _BETWEEN.match(buffer, position)
    return between.end() if between else position


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
