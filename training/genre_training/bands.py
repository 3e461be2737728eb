"""Which mel bands are shared by every source: one rule for the pictures that hold them and the network that looks."""

from __future__ import annotations


def picked_bands(n_bands: int, n_mels: int) -> list[int]:
    """Return `n_bands` of `n_mels` bands, each floor((i + 1) / n_bands * n_mels), at most the last; all if as many."""
    if n_bands == n_mels:
        return list(range(n_mels))
    return [min((i + 1) * n_mels // n_bands, n_mels - 1) for i in range(n_bands)]
