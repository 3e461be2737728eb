"""Reads results once, keeps a few values of each file, and computes the figures of a report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from genre_runtime.errors import InvalidInputError
from genre_runtime.library.duplicates import Duplicate, compare_results
from genre_runtime.library.report.plots import Parts
from genre_runtime.library.results.read import Results
from genre_runtime.prediction import FileResult, Prediction

N_BINS = 20
"""Bins of the confidence histogram, 5 % each."""

FEW_EXCERPTS = 3
"""Excerpts that a model analyses by default; a timeline needs more."""


@dataclass
class Report:
    """The content of a report.

    Attributes
    ----------
    results : list of FileResult
        One per file, in the order of the results; predictions are brief.
    timeline : Prediction or None
        The track whose excerpts are drawn.
    devices : set of str
        Where the model ran.
    same_as : mapping of Path to Path
        Files, and earlier ones with the same bytes.
    duplicates : list of list of Duplicate
        Files with the same recording.
    """

    results: list[FileResult] = field(default_factory=list)
    timeline: Prediction | None = None
    devices: set[str] = field(default_factory=set)
    same_as: dict[Path, Path] = field(default_factory=dict)
    duplicates: Sequence[Sequence[Duplicate]] = ()

    @property
    def predictions(self) -> list[Prediction]:
        """The files that were classified."""
        return [result.prediction for result in self.results if result.prediction]

    @property
    def music(self) -> list[Prediction]:
        """Predictions for files with music; the genres of the others mean nothing."""
        return [found for found in self.predictions if found.is_music]

    @property
    def not_music(self) -> list[Prediction]:
        """Predictions for files with silence, speech, noise or a tone, by this kind."""
        return sorted((found for found in self.predictions if not found.is_music), key=lambda found: found.music or "")

    @property
    def unsure(self) -> list[Prediction]:
        """Predictions for music that are not confident, the least sure first."""
        return sorted((found for found in self.music if not found.confident), key=lambda found: found.confidence)

    @property
    def doubtful(self) -> list[FileResult]:
        """Files whose tags `genre audit` doubts, in its order: the most certain first."""
        return [result for result in self.results if result.doubt and result.prediction]

    @property
    def partly_read(self) -> list[Prediction]:
        """Predictions for files that are shorter than they claim, the least readable first."""
        partly = [found for found in self.predictions if found.announced_seconds is not None]
        return sorted(partly, key=lambda found: found.duration_seconds / (found.announced_seconds or 1))

    @property
    def failures_by_code(self) -> dict[str, list[FileResult]]:
        """Failed files by the code of the error, the most frequent first."""
        groups: dict[str, list[FileResult]] = {}
        for result in self.results:
            if result.error is not None:
                groups.setdefault(result.error.code, []).append(result)
        return dict(sorted(groups.items(), key=lambda item: -len(item[1])))


def read_report(results: Results, track: str | None = None) -> Report:
    """Read results; the last result of each file counts.

    Parameters
    ----------
    results : Results
    track : str or None
        Path of the file whose timeline is drawn, or the end of the path (`song.mp3`, `artist/song.mp3`). By default the
        longest file with music and more than three excerpts, if any.

    Raises
    ------
    InvalidInputError
        The results cannot be used, or the track is not among them, or several have that name.
    """
    found: dict[str, FileResult] = {}
    wanted: dict[str, Prediction] = {}
    longest: Prediction | None = None
    devices = set()
    for result in results:
        path, prediction = str(result.path), result.prediction
        if prediction is None:
            found[path] = result
            wanted.pop(path, None)
            continue
        found[path] = replace(result, outcome=replace(prediction.brief(), path=Path(path)))
        devices.add(prediction.device)
        if track is not None and _is_named(Path(path), track):
            wanted[path] = prediction
        if (
            len(prediction.excerpts) > FEW_EXCERPTS
            and prediction.is_music
            and (longest is None or prediction.duration_seconds > longest.duration_seconds)
        ):
            longest = prediction
    timeline = longest if track is None else _the_one(wanted, track)
    rows = list(found.values())
    same_as = {Path(row.path): row.same_as for row in rows if row.same_as is not None}
    return Report(rows, timeline, devices, same_as)


def compare(report: Report, *, state: Path | None = None, model: str | None = None, jobs: int = 0) -> Iterator[str]:
    """Find the duplicates among the music of a report, and return remarks on what was not compared.

    Parameters
    ----------
    report : Report
        Gets the duplicates.
    state, model, jobs
        As for `compare_results`.

    Raises
    ------
    StateError, ModelNotFoundError, InvalidModelError, MissingDependencyError
    """
    found = compare_results(report.music, report.same_as, state=state, model=model, jobs=jobs)
    report.duplicates = found.groups
    return found.remarks() if found.compared else iter(())


def by_tag(rows: Iterable[Prediction], kind: str) -> dict[str, int]:
    """Count rows by the tags of a kind, the most frequent first.

    Parameters
    ----------
    rows : iterable of Prediction
    kind : {"styles", "moods", "instruments", "voice"}
    """
    counts = Counter(name for row in rows for name in getattr(row, kind))
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def by_genre(rows: Iterable[Prediction], amount: Callable[[Prediction], float]) -> dict[str, Parts]:
    """Sum an amount of each row by genre, the largest total first.

    Parameters
    ----------
    rows : iterable of Prediction
    amount : callable
        Returns the amount of a row.
    """
    sums: dict[str, list[float]] = {}
    for row in rows:
        sums.setdefault(row.label, [0.0, 0.0])[not row.confident] += amount(row)
    parts = {label: Parts(*pair) for label, pair in sums.items()}
    return dict(sorted(parts.items(), key=lambda item: (-item[1].total, item[0])))


def confidence_bins(rows: Iterable[Prediction]) -> list[Parts]:
    """Count rows by confidence in `N_BINS` equal bins from 0 to 1; as in numpy.histogram, the last bin is closed.

    Parameters
    ----------
    rows : iterable of Prediction
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
