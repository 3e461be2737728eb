"""The user's own names for the model's genres.

A `.toml` file has `label = "name"`, a `.csv` file rows of `label,name`, any other file lines `label = name`. An empty
name means that the genre is not written; a TOML value may be a list of names. Other labels are written as they are.
"""

from __future__ import annotations

import csv
import io
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from genre_runtime.errors import InvalidInputError


@dataclass(frozen=True)
class GenreMap:
    """Names to write instead of labels.

    Parameters
    ----------
    names : mapping of str to tuple of str
        Names by case-folded label; a label with an empty tuple is not written.
    """

    names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def rename(self, labels: Sequence[str]) -> tuple[str, ...]:
        """Return the names of labels in order, without duplicates.

        Parameters
        ----------
        labels : sequence of str
        """
        return tuple(dict.fromkeys(name for label in labels for name in self.names.get(label.casefold(), (label,))))

    def check(self, labels: Iterable[str]) -> None:
        """Check that the model has every label of the map.

        Parameters
        ----------
        labels : iterable of str
            The model's labels.

        Raises
        ------
        InvalidInputError
            A label is unknown.
        """
        known = sorted(labels)
        unknown = sorted(set(self.names) - {label.casefold() for label in known})
        if unknown:
            raise InvalidInputError(f"the map names unknown genres {', '.join(unknown)}: known are {', '.join(known)}")


def read_map(path: Path) -> GenreMap:
    """Read a map from a file.

    Parameters
    ----------
    path : Path
        The suffix decides the format.

    Raises
    ------
    InvalidInputError
        The file cannot be read, a line is not a pair, or a label is repeated.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        names: dict[str, tuple[str, ...]] = {}
        for label, values in _PARSERS.get(path.suffix.lower(), _lines)(text):
            if label.casefold() in names:
                raise ValueError(f"{label!r} is named twice")
            for value in values:
                if not value.isprintable():
                    raise ValueError(f"{value!r} is not a genre's name: it has control characters")
            names[label.casefold()] = values
    except OSError as error:
        raise InvalidInputError(f"the map {str(path)!r} cannot be read: {error.strerror}") from error
    except ValueError as error:  # also raised by tomllib, and for text that is not UTF-8
        raise InvalidInputError(f"the map {str(path)!r} cannot be used ({error}): expected `label = name`") from error
    return GenreMap(names)


def _toml(text: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    for label, value in tomllib.loads(text).items():
        values = value if isinstance(value, list) else [value]
        if not all(isinstance(item, str) for item in values):
            raise ValueError(f"{label} is {value!r}, expected text or a list of texts")
        yield label, tuple(item.strip() for item in values if item.strip())


def _csv(text: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    for number, row in enumerate(csv.reader(io.StringIO(text), strict=True)):
        cells = [cell.strip() for cell in row]
        if not any(cells) or (number == 0 and cells[:1] == ["label"]):
            continue
        if len(cells) != 2 or not cells[0]:
            raise ValueError(f"row {number + 1} is {row!r}, expected label,name")
        yield cells[0], tuple(filter(None, cells[1:]))


def _lines(text: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        label, equals, name = (part.strip() for part in line.partition("="))
        if not equals or not label:
            raise ValueError(f"line {number} is {line!r}, expected label = name")
        yield label, tuple(filter(None, [name]))


_PARSERS = {".toml": _toml, ".csv": _csv}
