"""How far a probability may be believed: temperature, calibration error and the threshold of confident answers.

`logits` is float64, (n_tracks, n_excerpts, n_labels); `probabilities` float64, (n_tracks, n_labels), rows summing to
one; `labels` int64, (n_tracks,). The confidence of an answer is the largest probability of its row.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Probabilities = NDArray[np.float64]
Labels = NDArray[np.int64]

TARGET_PRECISION = 0.85
"""Share of the answers called confident that shall be right."""


def track_probabilities(logits: NDArray[np.float64], temperature: float = 1.0) -> Probabilities:
    """Mean over excerpts of the softmax of (n_tracks, n_excerpts, n_labels) logits, as the runtime does."""
    scaled = logits / temperature
    exponentials = np.exp(scaled - scaled.max(axis=2, keepdims=True))
    mean: Probabilities = (exponentials / exponentials.sum(axis=2, keepdims=True)).mean(axis=1)
    return mean


def reliability(probabilities: Probabilities, labels: Labels, n_bins: int = 15) -> dict[str, list[Any]]:
    """Confidence of the top answer against how often it is right, over equal-width bins (Guo et al., 2017).

    Returns
    -------
    dict
        `confidence` and `accuracy` (the bin's means, 0 to 1; None where it is empty) and `count` (tracks in it), each
        a list of `n_bins`. Bin i holds confidences from i / n_bins up to, not including, (i + 1) / n_bins; the last
        one includes 1.
    """
    confidence = probabilities.max(axis=1)
    correct = probabilities.argmax(axis=1) == labels
    bins = np.minimum((confidence * n_bins).astype(int), n_bins - 1)
    rows = [np.flatnonzero(bins == i) for i in range(n_bins)]
    return {
        "confidence": [float(confidence[row].mean()) if row.size else None for row in rows],
        "accuracy": [float(correct[row].mean()) if row.size else None for row in rows],
        "count": [int(row.size) for row in rows],
    }


def calibration_error(probabilities: Probabilities, labels: Labels, n_bins: int = 15) -> float:
    """Expected calibration error of the top answer over equal-width bins (Guo et al., 2017), 0 to 1."""
    return reliability_gap(reliability(probabilities, labels, n_bins))


def reliability_gap(bins: dict[str, list[Any]]) -> float:
    """Mean distance of accuracy from confidence, each bin weighted with its tracks: the calibration error."""
    filled = [
        (count, abs(accuracy - confidence))
        for confidence, accuracy, count in zip(bins["confidence"], bins["accuracy"], bins["count"], strict=True)
        if count
    ]
    return float(sum(count * gap for count, gap in filled) / sum(count for count, _ in filled))


def fit_temperature(logits: NDArray[np.float64], labels: Labels) -> float:
    """Temperature between 0.2 and 5 that gives the tracks the least log-loss."""
    candidates = np.geomspace(0.2, 5, 81)
    picked = np.arange(len(labels))
    losses = [-np.log(track_probabilities(logits, float(t))[picked, labels] + 1e-12).mean() for t in candidates]
    return float(candidates[int(np.argmin(losses))])


def confidence_threshold(probabilities: Probabilities, labels: Labels) -> float:
    """Return the smallest confidence from which on at least `TARGET_PRECISION` of the answers are right.

    1.0 (never confident) when no threshold that keeps 20 tracks or more reaches it.
    """
    order = np.argsort(-probabilities.max(axis=1), kind="stable")
    confidence = probabilities.max(axis=1)[order]
    correct = (probabilities.argmax(axis=1) == labels)[order]
    precision = np.cumsum(correct) / np.arange(1, len(correct) + 1)
    last_of_ties = np.append(confidence[1:] < confidence[:-1], True)  # equal confidence, equal treatment
    enough = np.arange(1, len(correct) + 1) >= 20
    reached = np.flatnonzero((precision >= TARGET_PRECISION) & enough & last_of_ties)
    return float(confidence[reached[-1]]) if reached.size else 1.0


def coverage_at_threshold(probabilities: Probabilities, labels: Labels, threshold: float) -> dict[str, float | None]:
    """How many tracks get a confident answer, and how many of those answers are right.

    Returns
    -------
    dict
        `coverage`, the share of the tracks whose confidence reaches `threshold`, 0 to 1, and `precision`, the share
        of these that are right; None when there are none.
    """
    confident = probabilities.max(axis=1) >= threshold
    correct = probabilities.argmax(axis=1) == labels
    return {
        "coverage": float(confident.mean()),
        "precision": float(correct[confident].mean()) if confident.any() else None,
    }
