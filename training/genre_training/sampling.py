"""Which clips an epoch draws, in which order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]


def draw_clips(kinds: NDArray[Any], exponent: float, rng: np.random.Generator) -> Indices:
    """Return as many positions as there are clips, shuffled: each kind gets its share and spreads it evenly.

    Parameters
    ----------
    kinds : array, shape (n_clips,)
        Data set, or genre, of each clip.
    exponent : float
        A kind of n clips is drawn from in proportion to n to this power: 1 takes every clip as often as any
        other, 0 every kind.
    rng : numpy.random.Generator
    """
    found, counts = np.unique(kinds, return_counts=True)
    exact = counts**exponent / (counts**exponent).sum() * len(kinds)
    numbers = np.rint(exact).astype(np.int64)
    # Rounding may leave a few too few, which those get that lost most by it, or a few too many, cut off at the end.
    n_lacking = max(0, len(kinds) - int(numbers.sum()))
    numbers[np.argsort(numbers - exact, kind="stable")[:n_lacking]] += 1
    chosen = []
    for kind, n_drawn in zip(found, numbers.tolist(), strict=True):
        positions = np.flatnonzero(kinds == kind)
        rounds = [rng.permutation(positions) for _ in range(-(-n_drawn // len(positions)))]
        chosen.append(np.concatenate(rounds)[:n_drawn])
    return rng.permutation(np.concatenate(chosen))[: len(kinds)]


def epoch_batches(
    clips: Indices,
    sources: NDArray[np.str_],
    labels: Indices,
    batch_size: int,
    exponents: tuple[float, float],
    rng: np.random.Generator,
) -> Iterator[Indices]:
    """Yield an epoch's full batches; what an incomplete last one would hold waits for another epoch.

    Parameters
    ----------
    clips : int array, shape (n_clips,)
        The training clips.
    sources, labels : array, shape (n_clips,)
        Their data sets and genres.
    batch_size : int
    exponents : tuple of two floats
        `source_exponent` and `label_exponent` of the recipe; genres are balanced within each data set.
    rng : numpy.random.Generator
    """
    source_exponent, label_exponent = exponents
    order = draw_clips(sources, source_exponent, rng)
    if label_exponent < 1:
        for source in np.unique(sources):
            places = np.flatnonzero(sources[order] == source)
            own = np.flatnonzero(sources == source)
            drawn = own[np.resize(draw_clips(labels[own], label_exponent, rng), len(places))]
            order[places] = drawn
    for i in range(n_batches(len(order), batch_size)):
        yield clips[order[i * batch_size : (i + 1) * batch_size]]


def label_shares(
    sources: NDArray[np.str_], labels: Indices, n_labels: int, exponents: tuple[float, float]
) -> NDArray[np.float64]:
    """Share of each genre, shape (n_labels,), in what `epoch_batches` draws."""
    source_exponent, label_exponent = exponents
    names, counts = np.unique(sources, return_counts=True)
    weights = counts**source_exponent / (counts**source_exponent).sum()
    shares = np.zeros(n_labels)
    for name, weight in zip(names, weights, strict=True):
        within = np.bincount(labels[sources == name], minlength=n_labels).astype(np.float64)
        within[within > 0] **= label_exponent
        shares += weight * within / within.sum()
    return shares


def n_batches(n_clips: int, batch_size: int) -> int:
    """Batches of an epoch: full ones, but at least one."""
    return max(1, n_clips // batch_size)
