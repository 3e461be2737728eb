"""Reads the results of `genre classify --format jsonl` or `--format json`, one at a time.

The last line of an interrupted run may be cut short: such lines are skipped and counted. File names that are not UTF-8
are restored, since JSON holds their bytes as lone surrogates.
"""

from __future__ import annotations

import io
import json
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from genre_runtime.errors import InvalidInputError, counted
from genre_runtime.library.scan import encoding_by_mark
from genre_runtime.prediction import FileResult

UNFIT = (ValueError, KeyError, TypeError, AttributeError, ArithmeticError, RecursionError)
"""Errors that `FileResult.from_dict` raises."""

EXPECTED = "expected the output of `genre classify --format jsonl`"

MOST_NAMED = 5
"""Skipped entries that are described; further ones are only counted."""

CHUNK = 1 << 16
"""Characters of an array read at first; more for longer elements."""

LONGEST = 1 << 26
"""Characters of a line or of an element of an array; a day of ten-second excerpts has about four million."""

_BETWEEN = re.compile(r"[\s,]*")


class Results:
    """The results in a file; can be iterated once.

    Parameters
    ----------
    name : str
        Path of the file; `-` for stdin.

    Attributes
    ----------
    n_skipped : int
        Entries skipped so far because they are incomplete or not results.
    skipped : list of str
        Descriptions of the first `MOST_NAMED` of them.
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
            The file cannot be read, is empty, or its first entry is not a result.
        """
        n_results = 0
        try:
            with _opened(self.name) as text:
                for number, entry in _entries(text):
                    try:
                        result = FileResult.from_dict(json.loads(entry) if isinstance(entry, str) else entry)
                    except UNFIT as error:
                        if not n_results:
                            reason = f"entry {number} is not a result ({_reason(error)}): {EXPECTED}"
                            raise InvalidInputError(f"{self._shown} cannot be used: {reason}") from error
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
            self.skipped.append(f"entry {number} was skipped: incomplete or not a result ({_reason(error)})")


def skipped_words(results: Results) -> Iterator[str]:
    """Yield a sentence for each entry that was skipped, up to `MOST_NAMED`, and one with the number of the others.

    Parameters
    ----------
    results : Results
        After they were read.
    """
    yield from results.skipped
    if results.n_skipped > len(results.skipped):
        n = results.n_skipped - len(results.skipped)
        yield f"{counted(n, 'more entry', 'more entries')} {'was' if n == 1 else 'were'} skipped"


def _reason(error: Exception) -> str:
    """Return what is wrong with an entry."""
    if isinstance(error, KeyError):
        return f"{error} is missing"
    if isinstance(error, json.JSONDecodeError):
        return "not a JSON object"
    return str(error) or type(error).__name__


@contextmanager
def _opened(name: str) -> Iterator[TextIO]:
    """Open a file or stdin as text: UTF-8, or UTF-16, which Windows PowerShell writes redirected output in."""
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
    """Yield (number, text of a line), or (number, element) of one array, see `_array_elements`."""
    number, first = 0, True
    while line := text.readline(LONGEST):
        number += 1
        if not line.strip():
            continue
        if first and line.lstrip().startswith("["):
            yield from enumerate(_array_elements(line.lstrip()[1:], text), start=1)
            return
        first = False
        yield number, line


def _array_elements(start: str, rest: TextIO) -> Iterator[Any]:
    """Yield the elements of an array, whose text after the bracket is `start` and then `rest`.

    Text that cannot be decoded is yielded last, cut to some hundred characters. A str is always such text or JSON.
    """
    decoder = json.JSONDecoder()
    buffer, position, more = start, 0, CHUNK
    while True:
        between = _BETWEEN.match(buffer, position)
        position = between.end() if between else position
        try:
            if buffer[position : position + 1] == "]":
                return
            element, position = decoder.raw_decode(buffer, position)
            more = CHUNK
        except (ValueError, RecursionError):  # not complete yet, or not JSON
            text = rest.read(more) if len(buffer) - position < LONGEST else ""
            buffer, position = buffer[position:] + text, 0
            if not text:
                if buffer:
                    yield f"{buffer[:200]} ..."
                return
            more *= 2  # so that a long element is not decoded again and again
            continue
        yield element if not isinstance(element, str) else json.dumps(element)
