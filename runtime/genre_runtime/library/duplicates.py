"""Finds files with the same recording, in whatever codec and bit rate.

Two files are candidates if their embeddings and their durations agree, and duplicates if a second look confirms it: the
log-mel spectrograms of the excerpt in their middle are correlated over a range of lags, since encoders add and cut some
milliseconds.
"""

from __future__ import annotations

import heapq
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from threading import Event

import numpy as np
from numpy.typing import NDArray

from genre_runtime.audio.excerpts import FloatArray
from genre_runtime.classifier import GenreClassifier
from genre_runtime.errors import GenreError
from genre_runtime.library.loading import opened_classifier
from genre_runtime.library.similarity import EmbeddingIndex, directions_of
from genre_runtime.model.features import log_mel_spectrogram
from genre_runtime.model.metadata import FINE_AUDIO
from genre_runtime.parallel import available_cores, ordered_map
from genre_runtime.prediction import Prediction

LEAST_SIMILARITY = 0.9
"""Cosine of the embeddings of candidates. Of 400 pairs of clips and their copies (MP3, Opus, AAC, FLAC) none is below
0.945; of pairs of different clips, one in a thousand is not below 0.9."""

LEAST_CORRELATION = 0.7
"""Correlation of the spectrograms of the same recording: 0.79 or more for copies, at most 0.52 for other recordings."""

LARGEST_DIFFERENCE = 2.0, 0.02
"""Of the durations of candidates: seconds, or as a fraction of the longer one, whichever is more."""

LARGEST_LAG = 2.0
"""Seconds between the excerpts of two files."""

MOST_CANDIDATES = 20
"""The most similar files that one file is compared with."""

LOSSLESS = frozenset(
    (".flac", ".wav", ".wave", ".w64", ".aif", ".aiff", ".aifc", ".wv", ".ape", ".tta", ".tak", ".dsf")
)
"""Suffixes of files that usually lose nothing of a recording."""

N_KEPT = 64
"""Spectrograms kept in memory, about half a megabyte each."""


@dataclass(frozen=True)
class Track:
    """A file that may have duplicates.

    Attributes
    ----------
    path : Path
    duration_seconds : float
    embedding : float32 array, shape (n_features,)
    same_as : Path or None
        An earlier file with the same bytes.
    """

    path: Path
    duration_seconds: float
    embedding: FloatArray
    same_as: Path | None = None


@dataclass(frozen=True)
class Duplicate:
    """A file of a group with the same recording.

    Attributes
    ----------
    track : Track
    similarity : float
        Cosine of its embedding and that of the group's first file, -1 to 1.
    correlation : float
        The highest that the second look found with another file of the group; 1 for the same bytes.
    """

    track: Track
    similarity: float
    correlation: float


@dataclass(frozen=True)
class Comparison:
    """What is known of duplicates among the files of results.

    Attributes
    ----------
    groups : list of list of Duplicate
        Files with the same recording.
    compared : bool
        Whether embeddings were compared; else only files with the same bytes are known.
    n_unknown : int
        Files without an embedding, which are not compared.
    n_failed : int
        Files that could not be decoded again.
    """

    groups: list[list[Duplicate]]
    compared: bool = True
    n_unknown: int = 0
    n_failed: int = 0

    def remarks(self) -> Iterator[str]:
        """Yield what was not compared, and why."""
        if not self.compared:
            yield "copies in other formats were not looked for: name the state file of `genre classify` with --state"
            return
        if self.n_unknown:
            yield f"{_were(self.n_unknown)} not compared: the state file has nothing of them by this model"
        if self.n_failed:
            gone = "it is" if self.n_failed == 1 else "they are"
            yield f"{_were(self.n_failed)} not compared: {gone} not there any more, or cannot be decoded"


def compare_results(
    predictions: Sequence[Prediction],
    same_as: Mapping[Path, Path],
    *,
    state: Path | None = None,
    model: str | None = None,
    jobs: int = 0,
) -> Comparison:
    """Find duplicates among classified files: by the embeddings of a state file, and files with the same bytes.

    Parameters
    ----------
    predictions : sequence of Prediction
        With paths.
    same_as : mapping of Path to Path
        Files, and earlier ones with the same bytes.
    state : Path, optional
        State file; it is only read.
    model : str, optional
        Path of the model of the state file; the default one if None.
    jobs : int
        Files compared at the same time; 0 for one per core.

    Raises
    ------
    StateError, ModelNotFoundError, InvalidModelError, MissingDependencyError
    """
    if state is None:
        return Comparison(_equal_groups(predictions, same_as), compared=len(predictions) < 2)
    failed: set[Path] = set()
    with opened_classifier(max(1, len(predictions)), model=model, device="cpu", jobs=jobs, warm=False) as opened:
        classifier, jobs = opened
        known = _stored_embeddings(state, classifier, (track.path for track in predictions if track.path))
        known |= {path: known[first] for path, first in same_as.items() if path not in known and first in known}
        nothing = np.zeros_like(next(iter(known.values()), np.zeros(1, np.float32)))  # resembles no track
        tracks = [
            Track(track.path, track.duration_seconds, known.get(track.path, nothing), same_as.get(track.path))
            for track in predictions
            if track.path is not None
        ]
        groups = find_duplicates(tracks, classifier, jobs=jobs, failed=lambda path, _: failed.add(path))
    n_unknown = sum(track.path not in known for track in tracks)
    return Comparison(groups, n_unknown=n_unknown, n_failed=len(failed))


def best_copy(copies: Sequence[Prediction]) -> Prediction:
    """Return the file to keep of a recording: whole, then lossless, then with most bytes per second; else the first.

    Parameters
    ----------
    copies : sequence of Prediction
        With paths.
    """

    def worth(track: Prediction) -> tuple[bool, bool, float]:
        path = track.path or Path()
        try:
            size = path.stat().st_size
        except (OSError, ValueError):
            size = 0
        lossless = path.suffix.lower() in LOSSLESS and size > 0
        return track.announced_seconds is None, lossless, size / max(track.duration_seconds, 0.001)

    return max(copies, key=worth)


def _were(n_files: int) -> str:
    return "1 file was" if n_files == 1 else f"{n_files:,} files were"


def _equal_groups(predictions: Iterable[Prediction], same_as: Mapping[Path, Path]) -> list[list[Duplicate]]:
    groups: dict[Path, list[Duplicate]] = {}
    for track in predictions:
        if track.path is not None:
            first = same_as.get(track.path)
            same = Track(track.path, track.duration_seconds, np.zeros(0, np.float32), first)
            groups.setdefault(first or track.path, []).append(Duplicate(same, 1.0, 1.0))
    return [group for group in groups.values() if len(group) > 1]


def _stored_embeddings(state: Path, classifier: GenreClassifier, paths: Iterable[Path]) -> dict[Path, FloatArray]:
    from genre_runtime.library.cache import stored_answers  # imports sqlite3

    wanted: dict[Path, list[Path]] = {}
    for path in paths:  # two names may lead to one file
        wanted.setdefault(Path(os.path.abspath(path)), []).append(path)  # noqa: PTH100  # as the state file has it
    sha256 = classifier.model_metadata.graphs["waveform"].sha256
    found = {
        path: stored.embedding
        for known, _, stored in stored_answers(state, sha256)
        if stored.embedding is not None
        for path in wanted.get(known, ())
    }
    ((size, _),) = Counter(row.size for row in found.values()).most_common(1) or [(0, 0)]
    return {path: row for path, row in found.items() if row.size == size}  # others are damaged


def find_duplicates(
    tracks: Sequence[Track],
    classifier: GenreClassifier,
    *,
    jobs: int = 0,
    failed: Callable[[Path, GenreError], object] = lambda _path, _error: None,
) -> list[list[Duplicate]]:
    """Return groups of files with the same recording, in the order of the tracks.

    Parameters
    ----------
    tracks : sequence of Track
    classifier : GenreClassifier
        Decodes the excerpts.
    jobs : int
        Files compared at the same time; 0 for one per core.
    failed : callable
        Called with each file that cannot be decoded again; it is not compared further.
    """
    places = {track.path: place for place, track in enumerate(tracks)}
    leader = list(range(len(tracks)))
    correlations = [0.0] * len(tracks)

    def join(first: int, second: int, correlation: float) -> None:
        for place in (first, second):
            correlations[place] = max(correlations[place], correlation)
        low, high = sorted((_root(leader, first), _root(leader, second)))
        leader[high] = low

    unique = []
    for place, track in enumerate(tracks):
        earlier = None if track.same_as is None else places.get(track.same_as)
        if earlier is None:
            unique.append(place)
        else:
            join(earlier, place, 1.0)
    look = SecondLook(classifier, failed)

    def compare(found: tuple[int, list[int]], stop: Event) -> list[tuple[int, int, float]]:
        place, others = found
        return [(place, other, look.correlation(tracks[place].path, tracks[other].path, stop)) for other in others]

    with closing(ordered_map(compare, _candidates(tracks, unique), jobs or available_cores())) as compared:
        for pairs in compared:
            for first, second, correlation in pairs:
                if correlation >= LEAST_CORRELATION:
                    join(first, second, correlation)
    groups: dict[int, list[int]] = {}
    for place in range(len(tracks)):
        groups.setdefault(_root(leader, place), []).append(place)
    return [_group(tracks, members, correlations) for members in groups.values() if len(members) > 1]


def _candidates(tracks: Sequence[Track], unique: Sequence[int]) -> Iterator[tuple[int, list[int]]]:
    """Yield a track and later ones that may have the same recording."""
    if not unique:
        return
    seconds = [tracks[place].duration_seconds for place in unique]
    index = EmbeddingIndex(directions_of([tracks[place].embedding for place in unique]))
    for first, pairs in groupby(index.pairs(LEAST_SIMILARITY), key=lambda pair: pair[0]):
        near = ((similarity, second) for _, second, similarity in pairs if same_length(seconds[first], seconds[second]))
        best = heapq.nlargest(MOST_CANDIDATES, near)
        if best:
            yield unique[first], [unique[second] for _, second in best]


def same_length(seconds: float, others: float) -> bool:
    """Return whether two durations may be those of one recording.

    Parameters
    ----------
    seconds, others : float
    """
    least, fraction = LARGEST_DIFFERENCE
    return abs(seconds - others) <= max(least, fraction * max(seconds, others))


class SecondLook:
    """Compares the excerpts in the middle of files.

    Parameters
    ----------
    classifier : GenreClassifier
        Decodes the excerpts.
    failed : callable
        Called with each file that cannot be decoded.
    """

    def __init__(self, classifier: GenreClassifier, failed: Callable[[Path, GenreError], object]) -> None:
        self._classifier, self._failed = classifier, failed
        self._spectrogram = lru_cache(maxsize=N_KEPT)(self._decoded)

    def correlation(self, path: Path, other: Path, stop: Event | None = None) -> float:
        """Return the correlation of two files, 0 if one cannot be decoded.

        Parameters
        ----------
        path, other : Path
        stop : Event, optional
            Set from another thread to end the decoding early.
        """
        first, second = self._spectrogram(path, stop), self._spectrogram(other, stop)
        return 0.0 if first is None or second is None else correlation(first, second)

    def _decoded(self, path: Path, stop: Event | None) -> FloatArray | None:
        try:
            with closing(self._classifier.open_stream(path, excerpts=1, stop=stop)) as stream:
                for excerpt in stream:
                    return log_mel_spectrogram(excerpt.waveform, FINE_AUDIO)
        except GenreError as error:
            if stop is None or not stop.is_set():  # an interrupted file did not fail
                self._failed(path, error)
        return None


def correlation(log_mel: FloatArray, other: FloatArray) -> float:
    """Return the highest correlation of two spectrograms over lags up to `LARGEST_LAG`.

    Parameters
    ----------
    log_mel, other : float32 array, shape (n_mels, n_frames)
        With the constants `FINE_AUDIO`; the numbers of frames may differ.

    Returns
    -------
    float
        -1 to 1; 0 if one does not change over time.
    """
    first, second = (rows - rows.mean(axis=1, keepdims=True, dtype=np.float64) for rows in (log_mel, other))
    n_first, n_second = first.shape[1], second.shape[1]
    n_fft = 1 << (n_first + n_second - 1).bit_length()
    spectrum = (np.fft.rfft(first, n_fft).conj() * np.fft.rfft(second, n_fft)).sum(axis=0)
    products = np.fft.irfft(spectrum, n_fft)  # at lag: sum over t of first[t] * second[t + lag]
    largest = min(round(LARGEST_LAG / FINE_AUDIO.frame_seconds), min(n_first, n_second) // 2)
    lags = np.arange(-largest, largest + 1)
    starts, ends = np.maximum(0, -lags), np.minimum(n_first, n_second - lags)
    energies = _energy(first, starts, ends) * _energy(second, starts + lags, ends + lags)
    values = np.divide(products[lags], np.sqrt(energies), out=np.zeros(len(lags)), where=energies > 0)
    return float(values.max())


def _energy(rows: FloatArray, starts: NDArray[np.intp], ends: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return the sums of squares between frames."""
    sums: NDArray[np.float64] = np.concatenate([[0.0], np.cumsum(np.square(rows, dtype=np.float64).sum(axis=0))])
    between: NDArray[np.float64] = sums[ends] - sums[starts]
    return between


def _root(leader: list[int], place: int) -> int:
    """Return the first track of a track's group, and shorten the way to it."""
    while leader[place] != place:
        leader[place] = place = leader[leader[place]]
    return place


def _group(tracks: Sequence[Track], members: Iterable[int], correlations: Sequence[float]) -> list[Duplicate]:
    places = list(members)
    directions = directions_of([tracks[place].embedding for place in places])
    similarities = (directions @ directions[0]).tolist()
    return [
        Duplicate(tracks[place], similarity, correlations[place])
        for place, similarity in zip(places, similarities, strict=True)
    ]
