"""Similarity of tracks, measured by the network's embeddings."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from genre_runtime.audio.excerpts import FloatArray


def cosine_similarities(query: FloatArray, embeddings: Sequence[FloatArray]) -> NDArray[np.float64]:
    """Return the cosine similarity of a track to others, -1 to 1; 0 if either embedding is all zeros.

    Parameters
    ----------
    query : float32 array, shape (n_features,)
    embeddings : sequence of float32 array, shape (n_features,)

    Returns
    -------
    float64 array, shape (n_tracks,)
    """
    if not embeddings:
        return np.zeros(0)
    tracks = np.asarray(embeddings, np.float64)
    lengths = np.linalg.norm(tracks, axis=1) * np.linalg.norm(query.astype(np.float64))
    products = tracks @ query
    cosines: NDArray[np.float64] = np.divide(products, lengths, out=np.zeros_like(products), where=lengths > 0)
    return cosines
