"""Reads the results of `genre classify --format jsonl` or `--format json`, one at a time.

An interrupted run leaves a torn last line: such lines are named and skipped. File names that are not UTF-8 are
restored, since JSON carries their bytes as lone surrogates.
"""

from __future__ import annotations

import io
import json
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from genre_runtime.errors import InvalidInputError
from genre_runtime.library.scan import encoding_by_mark
from genre_runtime.prediction import FileResult

UNFIT = (ValueError, KeyError, TypeError, AttributeError, ArithmeticError, RecursionError)
"""What `FileResult.from_dict` raises."""


def unfit_words(error: Exception) -> str:
    """Return what is wrong with an entry, in words."""
    if isinstance(error, KeyError):
        return f"{error} is missing"
    if isinstance(error, json.JSONDecodeError):
        return "not a JSON object"
    return str(error) or type(error).__name__


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

    def __iter__(self) -> Iterator[FileResult]:
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
                        result = FileResult.from_dict(json.loads(entry) if isinstance(entry, str) else entry)
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
