"""How results are written: a table for people, jsonl, json and csv for programs.

Each writer takes one result at a time, so output streams out as the work goes on.
"""

from __future__ import annotations

import csv
import json
import re
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TextIO

from genre_runtime.prediction import FileResult

_NO_TEXT = ("Cc", "Cs", "Zl", "Zp")
"""Unicode's categories of control characters, bytes that are no UTF-8, and ends of lines and paragraphs."""


_FORMULA = re.compile(r"'*[=+\-@\t\r\n]")


class Writer(Protocol):
    """Writes results one by one."""

    def write(self, result: FileResult) -> None:
        """Write one result.

        Parameters
        ----------
        result : FileResult
        """
        ...

    def close(self) -> None:
        """Write what belongs at the end."""
        ...


class TableWriter:
    """One line a file: genre, confidence, the next best, path. Errors go to the error stream instead."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._started = False

    def write(self, result: FileResult) -> None:
        """Write one row; the heading goes before the first."""
        prediction = result.prediction
        if prediction is None:
            return
        if not self._started:
            self._row("genre", "sure", "", "otherwise", "file")
            self._started = True
        others = ", ".join(f"{label} {value:.0%}" for label, value in list(prediction.probabilities.items())[1:3])
        if all(excerpt.silent for excerpt in prediction.excerpts):  # the next best genres of silence say nothing
            others = prediction.reason or others
        others = printable(others)
        mark = "" if prediction.confident else "?"
        equal = "" if result.same_as is None else f"  (the same bytes as {printable(result.same_as)})"
        remark = "" if prediction.remark is None else f"  ({prediction.remark})"
        self._row(
            printable(prediction.label),
            f"{prediction.confidence:.0%}",
            mark,
            others,
            printable(result.path) + remark + equal,
        )

    def _row(self, genre: str, sure: str, mark: str, others: str, path: str) -> None:
        self._stream.write(f"{genre:<14}{sure:>4} {mark:<2} {others:<37}{path}\n")
        self._stream.flush()

    def close(self) -> None:
        """Write nothing more."""


class JsonLinesWriter:
    """One JSON object a line."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, result: FileResult) -> None:
        """Write one line."""
        self._stream.write(json.dumps(result.to_dict()) + "\n")
        self._stream.flush()

    def close(self) -> None:
        """Write nothing more."""


class JsonWriter:
    """One JSON array of the same objects."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._separator = "[\n"

    def write(self, result: FileResult) -> None:
        """Write one element."""
        self._stream.write(self._separator + json.dumps(result.to_dict()))
        self._separator = ",\n"

    def close(self) -> None:
        """Close the array."""
        self._stream.write("[]\n" if self._separator == "[\n" else "\n]\n")


class CsvWriter:
    """One row a file, in the columns of `COLUMNS`; `announced_seconds` is empty where the file is whole.

    Text that a spreadsheet would take for a formula is quoted, see `quoted_cell`.
    """

    COLUMNS = (
        *("path", "label", "confidence", "confident", "reason", "duration_seconds", "device", "error", "same_as"),
        "announced_seconds",
    )

    def __init__(self, stream: TextIO) -> None:
        self._writer = csv.DictWriter(stream, self.COLUMNS, lineterminator="\n")
        self._writer.writeheader()

    def write(self, result: FileResult) -> None:
        """Write one row."""
        row = result.to_dict()
        if "error" in row:
            row["error"] = row["error"]["message"]
        cells = {name: row.get(name) for name in self.COLUMNS}
        self._writer.writerow({k: quoted_cell(_one_line(v)) if isinstance(v, str) else v for k, v in cells.items()})

    def close(self) -> None:
        """Write nothing more."""


WRITERS: dict[str, Callable[[TextIO], Writer]] = {
    "table": TableWriter,
    "jsonl": JsonLinesWriter,
    "json": JsonWriter,
    "csv": CsvWriter,
}


def printable(path: object) -> str:
    """Return a path or other text as one line for any terminal: control and undecodable characters are escaped."""
    return "".join(c if is_visible(c) else _escaped(c) for c in str(path))


def is_visible(character: str) -> bool:
    """Tell whether a character may stand in a line for people: it shows, or is a space of any width."""
    return character.isprintable() or unicodedata.category(character) == "Zs"


def quoted_cell(text: str) -> str:
    """Put an apostrophe in front of text that a spreadsheet would run as a formula; `unquoted_cell` takes it away.

    Text that has apostrophes in front of such a beginning gets one more, so that every text comes back as it was.
    """
    return f"'{text}" if _FORMULA.match(text) else text


def unquoted_cell(text: str) -> str:
    """Return the text that `quoted_cell` was given."""
    return text[1:] if text.startswith("'") and _FORMULA.match(text) else text


def _one_line(path: Path | str) -> str:
    """Return a path or other text for a program that reads lines: joiners and the like stay, they are part of names."""
    return "".join(_escaped(c) if unicodedata.category(c) in _NO_TEXT else c for c in str(path))


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode()
