"""The figures of a report: read the results once, keep a few values of each file, sum them up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from genre_runtime.errors import InvalidInputError
from genre_runtime.library.report.plots import Parts
from genre_runtime.library.results.read import Failure, Results, Row
from genre_runtime.prediction import Prediction

N_BINS = 20
"""Bins of the confidence histogram, 5 % each."""

FEW_EXCERPTS = 3
"""What a model listens to by default: a timeline of more says more."""


@dataclass
class Report:
    """What a report tells.

    Attributes
    ----------
    entries : list of Row or Failure
        One a file, in the order of the results.
    timeline : Prediction or None
        The track whose excerpts are drawn.
    devices : set of str
        Where the model ran.
    """

    entries: list[Row | Failure] = field(default_factory=list)
    timeline: Prediction | None = None
    devices: set[str] = field(default_factory=set)

    @property
    def rows(self) -> list[Row]:
        """The files that were classified."""
        return [entry for entry in self.entries if isinstance(entry, Row)]

    @property
    def failures(self) -> list[Failure]:
        """The files that were not."""
        return [entry for entry in self.entries if isinstance(entry, Failure)]

    @property
    def unsure(self) -> list[Row]:
        """Rows that are not confident, the least sure first."""
        return sorted((row for row in self.rows if not row.confident), key=lambda row: row.confidence)

    @property
    def partly_read(self) -> list[Row]:
        """Rows of files of which less could be read than they claim, the least readable first."""
        rows = [row for row in self.rows if row.announced_seconds is not None]
        return sorted(rows, key=lambda row: row.duration_seconds / (row.announced_seconds or 1))

    @property
    def failures_by_code(self) -> dict[str, list[Failure]]:
        """Failures by what went wrong, the most frequent first."""
        counts = Counter(failure.code for failure in self.failures)
        groups: dict[str, list[Failure]] = {code: [] for code, _ in counts.most_common()}
        for failure in self.failures:
            groups[failure.code].append(failure)
        return groups


def read_report(results: Results, track: str | None = None) -> Report:
    """Read results; of several results of a file the last counts.

    Parameters
    ----------
    results : Results
    track : str or None
        The file whose timeline is wanted, in full or the end of it (`song.mp3`, `artist/song.mp3`). By default the
        longest of those with more than three excerpts, if there is one.

    Raises
    ------
    InvalidInputError
        The results cannot be used, or do not hold that track, or several of that name.
    """
    entries: dict[str, Row | Failure] = {}
    wanted: dict[str, Prediction] = {}
    longest: Prediction | None = None
    devices = set()
    for result in results:
        path = str(result.path)
        if isinstance(result, Failure):
            entries[path] = result
            wanted.pop(path, None)
            continue
        entries[path] = Row.of(result)
        devices.add(result.device)
        if track is not None and _is_named(result.path or Path(), track):
            wanted[path] = result
        if len(result.excerpts) > FEW_EXCERPTS and (
            longest is None or result.duration_seconds > longest.duration_seconds
        ):
            longest = result
    timeline = longest if track is None else _the_one(wanted, track)
    return Report(list(entries.values()), timeline, devices)


def by_genre(rows: Iterable[Row], amount: Callable[[Row], float]) -> dict[str, Parts]:
    """Sum an amount of each row by genre, the largest total first.

    Parameters
    ----------
    rows : iterable of Row
    amount : callable
        Returns the amount of a row.
    """
    sums: dict[str, list[float]] = {}
    for row in rows:
        sums.setdefault(row.label, [0.0, 0.0])[not row.confident] += amount(row)
    parts = {label: Parts(*pair) for label, pair in sums.items()}
    return dict(sorted(parts.items(), key=lambda item: (-item[1].total, item[0])))


def confidence_bins(rows: Iterable[Row]) -> list[Parts]:
    """Count rows by confidence in `N_BINS` equal bins from 0 to 1. A bin includes its lower end, the last one both.

    Parameters
    ----------
    rows : iterable of Row
    """
    counts = [[0, 0] for _ in range(N_BINS)]
    for row in rows:
        counts[min(int(row.confidence * N_BINS), N_BINS - 1)][not row.confident] += 1
    return [Parts(*pair) for pair in counts]


def common_folder(paths: Sequence[str]) -> str:
    """Return the folder that contains all paths, with its last separator; empty if it is a root.

    Parameters
    ----------
    paths : sequence of str
    """
    if not paths:
        return ""
    first, last = min(paths), max(paths)
    n_same = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(min(first, last)))
    cut = max(first.rfind(separator, 0, n_same) for separator in "/\\") + 1
    folder = first[:cut]
    name = folder.rstrip("/\\")
    return folder if name and not name.endswith(":") else ""


def _is_named(path: Path, track: str) -> bool:
    wanted = Path(track)
    return path == wanted or path.parts[-len(wanted.parts) :] == wanted.parts or path.absolute() == wanted.absolute()


def _the_one(found: dict[str, Prediction], track: str) -> Prediction:
    exact = [result for path, result in found.items() if Path(path).absolute() == Path(track).absolute()]
    if exact:
        return exact[0]
    if not found:
        raise InvalidInputError(f"no answer for the track {track!r} in the results: check the path")
    if len(found) > 1:
        raise InvalidInputError(f"{len(found)} tracks in the results end in {track!r}: name one in full")
    return next(iter(found.values()))
