"""Tracks that sound alike: near each other in the network's embedding."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from genre_runtime.audio.excerpts import FloatArray


def cosine_similarities(query: FloatArray, embeddings: Sequence[FloatArray]) -> NDArray[np.float64]:
    """Cosine of the angle between a track's embedding (n_features,) and each of (n_tracks, n_features), -1 to 1.

    An embedding of length zero is similar to nothing: 0.
    """
    if not embeddings:
        return np.zeros(0)
    tracks = np.asarray(embeddings, np.float64)
    lengths = np.linalg.norm(tracks, axis=1) * np.linalg.norm(query.astype(np.float64))
    products = tracks @ query
    cosines: NDArray[np.float64] = np.divide(products, lengths, out=np.zeros_like(products), where=lengths > 0)
    return cosines
