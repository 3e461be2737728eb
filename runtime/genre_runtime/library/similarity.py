"""Similarity of tracks, measured by the network's embeddings."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from genre_runtime.audio.excerpts import FloatArray
from genre_runtime.errors import InvalidInputError
from genre_runtime.prediction import FileResult, Prediction

if TYPE_CHECKING:
    from genre_runtime.classifier import GenreClassifier

ROWS_AT_ONCE = 1_024
"""Tracks compared with all others at once by `EmbeddingIndex.pairs`."""


@dataclass(frozen=True, eq=False)
class EmbeddingIndex:
    """Embeddings of tracks, to find those that sound alike. A look-up compares with every track.

    Attributes
    ----------
    directions : float32 array, shape (n_tracks, n_features)
        Of length 1; zeros for a track without direction.
    """

    directions: FloatArray

    @classmethod
    def of(cls, predictions: Iterable[Prediction]) -> EmbeddingIndex:
        """Build an index of predictions.

        Parameters
        ----------
        predictions : iterable of Prediction
            All with embeddings of the same model.

        Raises
        ------
        InvalidInputError
            One has no embedding, or one of another size.
        """
        rows = [prediction.embedding for prediction in predictions]
        sizes = {None if row is None else row.size for row in rows}
        if None in sizes or len(sizes) > 1:
            raise InvalidInputError("tracks without embeddings of this model cannot be compared: analyse them again")
        return cls(directions_of([row for row in rows if row is not None]))

    def nearest(self, query: int | FloatArray, n_tracks: int) -> list[tuple[int, float]]:
        """Return the tracks that sound most like one, with their cosine similarity, the most similar first.

        Parameters
        ----------
        query : int or float32 array, shape (n_features,)
            A track of the index, which is left out itself, or an embedding.
        n_tracks : int
            How many; fewer if the index has fewer.
        """
        own = query if isinstance(query, int) else None
        direction = self.directions[query] if isinstance(query, int) else directions_of([query])[0]
        similarities = self.directions @ direction
        if own is not None:
            similarities[own] = -np.inf
        n_tracks = max(0, min(n_tracks, len(similarities) - (own is not None)))
        if not n_tracks:
            return []
        best = np.argpartition(-similarities, n_tracks - 1)[:n_tracks]
        best = best[np.lexsort((best, -similarities[best]))]
        return [(int(track), float(similarities[track])) for track in best]

    def pairs(self, least: float) -> Iterator[tuple[int, int, float]]:
        """Yield the pairs of tracks with at least a similarity, the earlier track first.

        Parameters
        ----------
        least : float
            Cosine, -1 to 1.
        """
        for start in range(0, len(self.directions), ROWS_AT_ONCE):
            similarities = self.directions[start : start + ROWS_AT_ONCE] @ self.directions.T
            for row, track in zip(*np.nonzero(similarities >= least), strict=True):
                if start + row < track:
                    yield int(start + row), int(track), float(similarities[row, track])


def directions_of(embeddings: Sequence[FloatArray]) -> FloatArray:
    """Return embeddings as vectors of length 1; zeros stay zeros.

    Parameters
    ----------
    embeddings : sequence of float array, shape (n_features,)

    Returns
    -------
    float32 array, shape (n_tracks, n_features)
    """
    rows = np.asarray(embeddings, np.float32)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    directions: FloatArray = np.divide(rows, lengths, out=np.zeros_like(rows), where=lengths > 0)
    return directions


def with_embedding(result: FileResult, n_features: int | None = None) -> FileResult:
    """Return a result, or an error in its place if it has no usable embedding: a damaged state file may lack it.

    Parameters
    ----------
    result : FileResult
    n_features : int, optional
        Size of the other embeddings.
    """
    if result.prediction is None:
        return result
    embedding = result.prediction.embedding
    if embedding is not None and n_features in (None, embedding.size):
        return result
    words = "the state file holds no usable embedding of it: remove the state file, or name another one"
    return replace(result, outcome=InvalidInputError(words))


class KnownTrack(NamedTuple):
    """A track of a state file.

    Attributes
    ----------
    name : str
        See `KnownTracks.read`.
    digest : bytes
        SHA-256 of the file's bytes.
    label : str
    confident : bool
    duration_seconds : float
    """

    name: str
    digest: bytes
    label: str
    confident: bool
    duration_seconds: float


@dataclass(frozen=True, eq=False)
class KnownTracks:
    """The tracks of a state file, to find those that sound like another track.

    Attributes
    ----------
    tracks : sequence of KnownTrack
    index : EmbeddingIndex
        In the order of `tracks`.
    """

    tracks: Sequence[KnownTrack]
    index: EmbeddingIndex

    @classmethod
    def read(
        cls,
        state: Path,
        classifier: GenreClassifier,
        *,
        name_of: Callable[[Path], str | None] = str,
        stop: Event | None = None,
    ) -> KnownTracks:
        """Read a state file, without changing it. Each track takes four bytes for each number of its embedding.

        Files with the same bytes are one track. Silent tracks, and rows that are damaged or of another model, are left
        out.

        Parameters
        ----------
        state : Path
        classifier : GenreClassifier
            With the model of the answers; its head, if there is one, gives the genres.
        name_of : callable, optional
            Returns the name of a file; None leaves the file out. By default the path.
        stop : Event, optional
            Set from another thread to end the reading early; the result is then meaningless.

        Raises
        ------
        StateError
        """
        from genre_runtime.library.analysis import is_answer_of, plan_of
        from genre_runtime.library.cache import stored_answers  # imports sqlite3

        n_features = _n_features(classifier)
        tracks: list[KnownTrack] = []
        digests: set[bytes] = set()
        rows = np.empty((0, n_features), np.float32)
        for path, digest, stored in stored_answers(state, plan_of(classifier, None)):
            if stop is not None and stop.is_set():
                break
            embedding = stored.embedding
            if digest in digests or embedding is None or embedding.size != n_features or stored.is_silent:
                continue
            name = name_of(path)
            if name is None or not is_answer_of(classifier, stored):
                continue
            if len(tracks) == len(rows):
                _resize(rows, max(ROWS_AT_ONCE, len(rows) + len(rows) // 4))
            rows[len(tracks)] = directions_of([embedding])[0]
            known = classifier.apply_head(stored)
            digests.add(digest)
            tracks.append(KnownTrack(name, digest, known.label, known.confident, known.duration_seconds))
        _resize(rows, len(tracks))
        return cls(tracks, EmbeddingIndex(rows))

    def nearest(self, embedding: FloatArray, n_tracks: int, digest: bytes = b"") -> list[tuple[KnownTrack, float]]:
        """Return the tracks that sound most like an embedding, with their cosine similarity, the most similar first.

        Parameters
        ----------
        embedding : float32 array, shape (n_features,)
        n_tracks : int
            How many; fewer if fewer are known.
        digest : bytes, optional
            SHA-256 of the track itself, which is left out.
        """
        found = [(self.tracks[i], similarity) for i, similarity in self.index.nearest(embedding, n_tracks + 1)]
        return [(track, similarity) for track, similarity in found if track.digest != digest][:n_tracks]


def _n_features(classifier: GenreClassifier) -> int:
    rate = classifier.metadata.audio.sample_rate
    embedding = classifier.classify(np.zeros(rate, np.float32), rate).embedding
    return 0 if embedding is None else embedding.size


def _resize(rows: FloatArray, n_rows: int) -> None:
    """Change the number of rows in place: the system moves memory of this size without a second copy."""
    rows.resize((n_rows, rows.shape[1]), refcheck=False)
