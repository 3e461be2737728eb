"""Calibration on tracks by artists that were not learnt from: thresholds, answer sets, and intervals.

Tracks of one artist are right or wrong together, so intervals come from drawing artists, not tracks. `groups` is any
array, (n_tracks,), the artist of each track.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Groups = NDArray[Any]

TARGET_PRECISION = 0.8
"""Share of the confident answers that is right, with a probability of 95 %, on music by other artists."""
FEWEST_ARTISTS = 20
"""A threshold needs confident answers for tracks of that many: fewer say nothing about others."""
FEWEST_DRAWN = 5
"""An interval needs that many artists: drawn with replacement, fewer are too much alike."""
ANSWER_SET_COVERAGE = 0.9
"""Share of the answer sets that contain the right genre."""
SMALLEST_THRESHOLD = 1e-6
N_CONFUSED_PAIRS = 10
N_RESAMPLES = 1000


def softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the probabilities of logits, over the last axis.

    Parameters
    ----------
    logits : float64 array, shape (..., n_labels)
    """
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    probabilities: NDArray[np.float64] = exponentials / exponentials.sum(axis=-1, keepdims=True)
    return probabilities


def draws_of(groups: Groups, seed: int = 0) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Draw as many groups as there are, with replacement, `N_RESAMPLES` times.

    Parameters
    ----------
    groups : array, shape (n_tracks,)
    seed : int

    Returns
    -------
    float64 array, shape (N_RESAMPLES, n_groups)
        How often each draw has each group.
    int64 array, shape (n_tracks,)
        The number of each track's group, in the order in which the groups appear.
    """
    _, first, number = np.unique(groups, return_index=True, return_inverse=True)
    number = np.argsort(np.argsort(first))[number]
    n_groups = len(first)
    drawn = np.random.default_rng(seed).multinomial(n_groups, np.full(n_groups, 1 / n_groups), size=N_RESAMPLES)
    return drawn.astype(np.float64), number


def share_interval(right: NDArray[np.bool_], groups: Groups) -> list[float] | None:
    """Compute the 95 % interval of a share of tracks, by drawing groups.

    Parameters
    ----------
    right : bool array, shape (n_tracks,)
        The tracks that count, at least one.
    groups : array, shape (n_tracks,)

    Returns
    -------
    list of float or None
        [low, high]; None for fewer than `FEWEST_DRAWN` groups.
    """
    draws, group = draws_of(groups)
    if draws.shape[1] < FEWEST_DRAWN:
        return None
    n_right, n_all = np.bincount(group, right), np.bincount(group)
    return interval_of(draws @ n_right / (draws @ n_all))


def interval_of(values: NDArray[np.float64]) -> list[float]:
    """Return the 95 % interval of a figure.

    Parameters
    ----------
    values : float64 array, shape (N_RESAMPLES,)
        The figure in each draw of groups.

    Returns
    -------
    list of float
        [low, high].
    """
    low, high = np.percentile(values, [2.5, 97.5])
    return [float(low), float(high)]


def confidence_threshold(confidence: NDArray[np.float64], right: NDArray[np.bool_], groups: Groups) -> float:
    """Return the smallest confidence whose answers are right often enough on music by other artists.

    That is: of 1,000 draws of artists, 95 % have at least `TARGET_PRECISION` right among the answers above it.

    Parameters
    ----------
    confidence : float64 array, shape (n_tracks,)
        Largest probability of each track.
    right : bool array, shape (n_tracks,)
        Whether the most probable genre is right.
    groups : array, shape (n_tracks,)

    Returns
    -------
    float
        1.0 (never confident) if no threshold that keeps tracks of `FEWEST_ARTISTS` artists reaches that.
    """
    order = np.argsort(-confidence, kind="stable")
    confidence, correct = confidence[order], right[order]
    draws, group = draws_of(groups[order])
    precision = np.empty((N_RESAMPLES, len(order)), np.float32)
    for row, drawn in zip(precision, draws, strict=True):  # one by one: ten thousand tracks would fill a gigabyte
        weights = drawn[group]  # how often the draw has each track
        row[:] = (weights * correct).cumsum() / np.maximum(weights.cumsum(), 1)
    first_of_group = np.zeros(len(order), dtype=bool)
    first_of_group[np.unique(group, return_index=True)[1]] = True
    enough = first_of_group.cumsum() >= FEWEST_ARTISTS
    last_of_ties = np.append(confidence[1:] < confidence[:-1], True)  # equal confidence, equal treatment
    reached = np.flatnonzero((np.percentile(precision, 5, axis=0) >= TARGET_PRECISION) & enough & last_of_ties)
    return float(confidence[reached[-1]]) if reached.size else 1.0


def genre_set_threshold(given: NDArray[np.float64], groups: Groups, coverage: float = ANSWER_SET_COVERAGE) -> float:
    """Return the probability from which on a genre belongs to the answer set (conformal prediction).

    Sets of all genres above a threshold are the smallest on average that contain the right genre so often (Sadinle et
    al., 2019). Clips of one artist count together as one.

    Parameters
    ----------
    given : float64 array, shape (n_tracks,)
        Probability of the right genre of each track.
    groups : array, shape (n_tracks,)
    coverage : float
        Share of the answer sets that have to contain the right genre.

    Returns
    -------
    float
        Nearly 0, all genres, if there are too few artists to tell.
    """
    _, group, counts = np.unique(groups, return_inverse=True, return_counts=True)
    weights = 1 / counts[group]
    order = np.argsort(given, kind="stable")
    missed = weights[order].cumsum() - weights[order] + 1  # the next artist is one more
    allowed = np.flatnonzero(missed <= (1 - coverage) * (weights.sum() + 1))
    return float(max(given[order[allowed[-1]]], SMALLEST_THRESHOLD)) if allowed.size else SMALLEST_THRESHOLD


def confused_pairs(counts: NDArray[np.int64], names: Sequence[str]) -> list[list[Any]]:
    """Return the `N_CONFUSED_PAIRS` most frequent [true genre, wrong answer, number of tracks], most frequent first.

    Parameters
    ----------
    counts : int array, shape (n_labels, n_labels)
        Confusion matrix, rows: true genre.
    names : sequence of str
        Genre of each label.
    """
    wrong = [
        [names[true], names[answer], int(counts[true, answer])]
        for true, answer in zip(*np.nonzero(counts), strict=True)
        if true != answer
    ]
    return sorted(wrong, key=lambda pair: -pair[2])[:N_CONFUSED_PAIRS]


def right_answers(right: NDArray[np.bool_], groups: Groups) -> dict[str, Any]:
    """Return the share of right answers with what it is of.

    Parameters
    ----------
    right : bool array, shape (n_tracks,)
        At least one track.
    groups : array, shape (n_tracks,)

    Returns
    -------
    dict
        `n_tracks`, `n_groups`, `accuracy` and `accuracy_interval`, see `share_interval`.
    """
    return {
        "n_tracks": len(right),
        "n_groups": len(np.unique(groups)),
        "accuracy": float(right.mean()),
        "accuracy_interval": share_interval(right, groups),
    }


def confident_answers(
    confidence: NDArray[np.float64], right: NDArray[np.bool_], threshold: float | NDArray[np.float64], groups: Groups
) -> dict[str, Any]:
    """Return how many tracks get a confident answer, and how many of those answers are right.

    Parameters
    ----------
    confidence : float64 array, shape (n_tracks,)
        Largest probability of each track.
    right : bool array, shape (n_tracks,)
        Whether the most probable genre is right.
    threshold : float or float64 array, shape (n_tracks,)
        0 to 1.
    groups : array, shape (n_tracks,)

    Returns
    -------
    dict
        `coverage`, the share of the tracks whose confidence reaches `threshold`, and `precision`, the share of these
        that are right, with `precision_interval`, [low, high]; both None if there are none.
    """
    confident = confidence >= threshold
    some = bool(confident.any())
    return {
        "coverage": float(confident.mean()),
        "precision": float(right[confident].mean()) if some else None,
        "precision_interval": share_interval(right[confident], groups[confident]) if some else None,
    }


def genre_sets(probabilities: NDArray[np.float64], threshold: float) -> NDArray[np.bool_]:
    """Return the answer set of each track: the genres above a threshold, and always the most probable one.

    Parameters
    ----------
    probabilities : float64 array, shape (n_tracks, n_labels)
    threshold : float

    Returns
    -------
    bool array, shape (n_tracks, n_labels)
    """
    sets: NDArray[np.bool_] = (probabilities >= threshold) | (probabilities == probabilities.max(axis=1, keepdims=True))
    return sets
