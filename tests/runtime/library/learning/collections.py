"""Collections of invented tracks: genres are directions, artists are smaller directions of their own."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from genre_runtime import AudioConfig, ExcerptPrediction, GraphFile, ModelMetadata, Prediction
from genre_runtime.library.learning.examples import Example
from genre_runtime.library.learning.heads import Collection

N_FEATURES = 24
MODEL_LABELS = ("rock", "jazz")
SHA256 = "a" * 64


def metadata() -> ModelMetadata:
    """The sidecar of an invented model."""
    graphs = {"waveform": GraphFile("m.onnx", SHA256), "log_mel": GraphFile("m.logmel.onnx", "b" * 64)}
    return ModelMetadata(MODEL_LABELS, AudioConfig(), graphs)


def prediction(embeddings: np.ndarray, path: Path, shares: dict[str, float] | None = None) -> Prediction:
    """A prediction of excerpts with these embeddings."""
    shares = shares or dict.fromkeys(MODEL_LABELS, 0.5)
    rows = embeddings.astype(np.float16).astype(np.float32)
    excerpts = tuple(ExcerptPrediction(10.0 * i, 10.0 * i + 10, shares, embedding=row) for i, row in enumerate(rows))
    best = max(shares, key=lambda name: shares[name])
    mean = rows.mean(axis=0)
    return Prediction(best, shares[best], True, None, shares, excerpts, 30.0, "cpu", path, embedding=mean)


def collection(
    genres: tuple[str, ...] = ("Dub", "Ska", "Polka"),
    *,
    n_artists: int = 12,
    n_tracks: int = 4,
    of_genre: float = 1.0,
    of_artist: float = 0.5,
    seed: int = 0,
) -> Collection:
    """Tracks of `n_artists` artists a genre, `n_tracks` each, with noise of 0.3 a feature."""
    rng = np.random.default_rng(seed)
    made = Collection()
    directions = np.random.default_rng(99).normal(size=(len(genres), N_FEATURES))
    for genre, direction in zip(genres, directions, strict=True):
        for artist in range(n_artists):
            own = rng.normal(size=N_FEATURES)
            for track in range(n_tracks):
                mean = of_genre * direction + of_artist * own
                rows = mean + 0.3 * rng.normal(size=(3, N_FEATURES))
                rows /= np.linalg.norm(rows, axis=1, keepdims=True)
                path = Path(f"{genre}/{artist}/{track}.mp3")
                made.add(Example(path, (genre,), f"artist {genre} {artist}"), prediction(rows, path))
    return made
