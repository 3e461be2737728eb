"""Writes results one at a time, as each is ready: a table for people; jsonl, json and csv for programs."""

from __future__ import annotations

import csv
import json
import re
import unicodedata
from collections.abc import Callable, Iterable
from typing import Any, Protocol, TextIO

from genre_runtime.prediction import FileResult, Prediction

_NO_TEXT = ("Cc", "Cs", "Zl", "Zp")
"""Unicode's categories of control characters, bytes that are not UTF-8, and line and paragraph separators."""

_OTHERS_WIDTH, _ALSO_WIDTH = 37, 34
"""Widths of two columns of a table, with the space behind them."""

_FORMULA = re.compile(r"'*[=+\-@\t\r\n]")


class Writer(Protocol):
    """Writes results one at a time."""

    def write(self, result: FileResult) -> None:
        """Write one result.

        Parameters
        ----------
        result : FileResult
        """

    def close(self) -> None:
        """Write the end of the output."""


class TableWriter:
    """Writes one line per file: genre, confidence, the next best genres, styles, moods and voice, path.

    A track that is not music has the name of its sound instead of a genre. Failed files are left out.

    Parameters
    ----------
    stream : text file
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._started = False

    def write(self, result: FileResult) -> None:
        """Write one row, and the heading before the first.

        Parameters
        ----------
        result : FileResult
        """
        prediction = result.prediction
        if prediction is None:
            return
        if not self._started:
            self._row("genre", "sure", "", "otherwise", "also", "file")
            self._started = True
        genre, sure = printable(prediction.label), f"{prediction.confidence:.0%}"
        others = ", ".join(f"{label} {value:.0%}" for label, value in list(prediction.probabilities.items())[1:3])
        if not prediction.is_music:  # the genres of silence or speech mean nothing
            genre, sure, others = prediction.music or "silence", "", prediction.reason or ""
        elif not prediction.confident and len(prediction.genre_set) > 1:
            words = " or ".join(prediction.genre_set)
            others = words if len(words) < _OTHERS_WIDTH else others
        mark = "" if prediction.confident else "?"
        equal = "" if result.same_as is None else f"  (the same bytes as {printable(result.same_as)})"
        remark = "" if prediction.remark is None else f"  ({prediction.remark})"
        path = printable(result.path) + remark + equal
        self._row(genre, sure, mark, printable(others), _also(prediction), path)

    def _row(self, genre: str, sure: str, mark: str, others: str, also: str, path: str) -> None:
        others, also = f"{others:<{_OTHERS_WIDTH}}", f"{also:<{_ALSO_WIDTH}}"
        self._stream.write(f"{genre:<14}{sure:>4} {mark:<2} {others}{also}{path}\n")
        self._stream.flush()

    def close(self) -> None:
        """Write nothing more."""


def _also(prediction: Prediction) -> str:
    """Return up to two styles, a mood and a voice, as many as fit into the column."""
    styles = [style for style in prediction.styles if style != prediction.label][:2]
    also = ""
    for name in (*styles, *prediction.moods[:1], *prediction.voice[:1]):
        longer = f"{also}, {printable(name)}".removeprefix(", ")
        also = longer if len(longer) < _ALSO_WIDTH else also
    return also


class JsonLinesWriter:
    """Writes one JSON object per line.

    Parameters
    ----------
    stream : text file
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, result: FileResult) -> None:
        """Write one line.

        Parameters
        ----------
        result : FileResult
        """
        self._stream.write(json.dumps(result.to_dict()) + "\n")
        self._stream.flush()

    def close(self) -> None:
        """Write nothing more."""


class JsonWriter:
    """Writes one JSON array of the same objects.

    Parameters
    ----------
    stream : text file
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._separator = "[\n"

    def write(self, result: FileResult) -> None:
        """Write one element.

        Parameters
        ----------
        result : FileResult
        """
        self._stream.write(self._separator + json.dumps(result.to_dict()))
        self._separator = ",\n"

    def close(self) -> None:
        """Close the array."""
        self._stream.write("[]\n" if self._separator == "[\n" else "\n]\n")


class CsvWriter:
    """Writes one row per file: the columns of `COLUMNS`, then the probability of each genre.

    Lists are joined by "; ", truth values are `true` and `false`, and text is quoted, see `quoted_cell`. The page of
    the service writes the same columns.

    Parameters
    ----------
    stream : text file
    labels : iterable of str
        The genres.
    """

    COLUMNS = (
        *("path", "label", "confidence", "confident", "reason", "duration_seconds", "device", "error", "same_as"),
        *("announced_seconds", "music", "genre_set", "styles", "moods", "instruments", "voice"),
    )

    def __init__(self, stream: TextIO, labels: Iterable[str] = ()) -> None:
        self._writer = csv.writer(stream, lineterminator="\n")
        self._labels = sorted(labels)
        self._writer.writerow([*self.COLUMNS, *(_one_line(f"probability of {label}") for label in self._labels)])

    def write(self, result: FileResult) -> None:
        """Write one row.

        Parameters
        ----------
        result : FileResult
        """
        row = result.to_dict()
        if "error" in row:
            row["error"] = row["error"]["message"]
        shares = row.get("probabilities", {})
        self._writer.writerow([_cell(row.get(name)) for name in self.COLUMNS] + [shares.get(x) for x in self._labels])

    def close(self) -> None:
        """Write nothing more."""


WRITERS: dict[str, Callable[[TextIO], Writer]] = {
    "table": TableWriter,
    "jsonl": JsonLinesWriter,
    "json": JsonWriter,
    "csv": CsvWriter,
}


def opened_writer(form: str, stream: TextIO, labels: Iterable[str]) -> Writer:
    """Return a writer of results.

    Parameters
    ----------
    form : str
        One of `WRITERS`.
    stream : text file
    labels : iterable of str
        The genres that results may have.
    """
    return CsvWriter(stream, labels) if form == "csv" else WRITERS[form](stream)


def printable(path: object) -> str:
    """Return text as one line for any terminal: control and undecodable characters are escaped.

    Parameters
    ----------
    path : object
        A path, or anything else; its `str` is shown.
    """
    return "".join(c if is_visible(c) else _escaped(c) for c in str(path))


def is_visible(character: str) -> bool:
    """Return whether a character is printable or a space of any width.

    Parameters
    ----------
    character : str
    """
    return character.isprintable() or unicodedata.category(character) == "Zs"


def quoted_cell(text: str) -> str:
    """Put an apostrophe before text that a spreadsheet would run as a formula; `unquoted_cell` removes it.

    Such text that begins with apostrophes already gets one more, so that every text can be restored.

    Parameters
    ----------
    text : str
    """
    return f"'{text}" if _FORMULA.match(text) else text


def unquoted_cell(text: str) -> str:
    """Return the text that was given to `quoted_cell`.

    Parameters
    ----------
    text : str
    """
    return text[1:] if text.startswith("'") and _FORMULA.match(text) else text


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return str(value).lower()
    text = "; ".join(value) if isinstance(value, list) else value
    return quoted_cell(_one_line(text)) if isinstance(text, str) else text


def _one_line(text: str) -> str:
    """Return text as one line for programs; invisible characters that belong to names, such as joiners, are kept."""
    return "".join(_escaped(c) if unicodedata.category(c) in _NO_TEXT else c for c in text)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode()
