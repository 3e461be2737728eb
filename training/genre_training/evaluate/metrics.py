"""Metrics of arrays: accuracy and its relatives with their intervals, calibration, and the logits of whole tracks.

`logits` is float64, (n_tracks, n_excerpts, n_labels); `probabilities` float64, (n_tracks, n_labels), rows summing to
one; `labels` int64, (n_tracks,); `groups` any array, (n_tracks,), the artist of each track. The confidence of an answer
is the largest probability of its row.

Tracks of one artist are right or wrong together, so intervals come from drawing artists, not tracks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix, log_loss, precision_recall_fscore_support
from torch import Tensor, nn

from genre_runtime.calibration import (
    FEWEST_DRAWN,
    Groups,
    confident_answers,
    confused_pairs,
    draws_of,
    interval_of,
    share_interval,
    softmax,
)

Probabilities = NDArray[np.float64]
Labels = NDArray[np.int64]


def track_probabilities(logits: NDArray[np.float64], temperature: float | NDArray[np.float64] = 1.0) -> Probabilities:
    """Return the mean over excerpts of the softmax, as the runtime computes it.

    Parameters
    ----------
    logits : float64 array, shape (n_tracks, n_excerpts, n_labels)
    temperature : float or float64 array, shape (n_tracks,)
        Divisor of the logits.
    """
    scaled = logits / np.reshape(temperature, (-1, 1, 1))
    mean: Probabilities = softmax(scaled).mean(axis=1)
    return mean


def reliability(probabilities: Probabilities, labels: Labels, n_bins: int = 15) -> dict[str, list[Any]]:
    """Compare the confidence of the top answer with its accuracy, over equal-width bins (Guo et al., 2017).

    Parameters
    ----------
    probabilities : float64 array, shape (n_tracks, n_labels)
    labels : int64 array, shape (n_tracks,)
    n_bins : int

    Returns
    -------
    dict
        `confidence` and `accuracy` (means of the bin, 0 to 1; None if it is empty) and `count` (tracks in the bin),
        each a list of `n_bins`. Bin i holds confidences from i / n_bins up to, not including, (i + 1) / n_bins; the
        last one includes 1.
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
    """Return the expected calibration error of the top answer (Guo et al., 2017), 0 to 1.

    Parameters
    ----------
    probabilities : float64 array, shape (n_tracks, n_labels)
    labels : int64 array, shape (n_tracks,)
    n_bins : int
    """
    return reliability_gap(reliability(probabilities, labels, n_bins))


def reliability_gap(bins: dict[str, list[Any]]) -> float:
    """Return the calibration error of bins: the distance of accuracy from confidence, weighted by tracks.

    Parameters
    ----------
    bins : dict
        As `reliability` returns them.
    """
    filled = [
        (count, abs(accuracy - confidence))
        for confidence, accuracy, count in zip(bins["confidence"], bins["accuracy"], bins["count"], strict=True)
        if count
    ]
    return float(sum(count * gap for count, gap in filled) / sum(count for count, _ in filled))


def fit_temperature(logits: NDArray[np.float64], labels: Labels) -> float:
    """Return the temperature between 0.2 and 5 with the lowest log-loss.

    Parameters
    ----------
    logits : float64 array, shape (n_tracks, n_excerpts, n_labels)
    labels : int64 array, shape (n_tracks,)
    """
    candidates = np.geomspace(0.2, 5, 81)
    picked = np.arange(len(labels))
    losses = [-np.log(track_probabilities(logits, float(t))[picked, labels] + 1e-12).mean() for t in candidates]
    return float(candidates[int(np.argmin(losses))])


def coverage_at_threshold(
    probabilities: Probabilities, labels: Labels, threshold: float | NDArray[np.float64], groups: Groups
) -> dict[str, Any]:
    """Return how many tracks get a confident answer, and how many of those answers are right.

    Parameters
    ----------
    probabilities : float64 array, shape (n_tracks, n_labels)
    labels : int64 array, shape (n_tracks,)
    threshold : float or float64 array, shape (n_tracks,)
        0 to 1.
    groups : array, shape (n_tracks,)

    Returns
    -------
    dict
        `coverage`, the share of the tracks whose confidence reaches `threshold`, and `precision`, the share of these
        that are right, with `precision_interval`, [low, high]; both None if there are none.
    """
    right = probabilities.argmax(axis=1) == labels
    return confident_answers(probabilities.max(axis=1), right, threshold, groups)


def excerpt_logits(network: nn.Module, clips: Tensor, n_frames: int, device: torch.device) -> NDArray[np.float64]:
    """Compute the logits of excerpts spread evenly over each clip.

    Parameters
    ----------
    network : nn.Module
    clips : Tensor, shape (n_tracks, n_mels, clip_frames)
    n_frames : int
        Frames of an excerpt. The number of excerpts is the one that comes nearest to filling the clip.
    device : torch.device

    Returns
    -------
    float64 array, shape (n_tracks, n_excerpts, n_labels)
    """
    return _excerpts(network, clips, n_frames, device, 0)


def excerpt_embeddings(network: nn.Module, clips: Tensor, n_frames: int, device: torch.device) -> NDArray[np.float64]:
    """Compute the embeddings of the same excerpts, shape (n_tracks, n_excerpts, n_features).

    Parameters
    ----------
    network, clips, n_frames, device
        As for `excerpt_logits`.
    """
    return _excerpts(network, clips, n_frames, device, 1)


@torch.inference_mode()
def _excerpts(
    network: nn.Module, clips: Tensor, n_frames: int, device: torch.device, output: int
) -> NDArray[np.float64]:
    network.eval()
    n_excerpts = max(1, round(clips.shape[2] / n_frames))
    starts = np.linspace(0, max(0, clips.shape[2] - n_frames), n_excerpts).round().astype(int)
    parts = []
    for batch in torch.nan_to_num(clips).split(64):  # a clip that failed counts as one more wrong answer
        excerpts = [batch[:, :, start : start + n_frames] for start in starts]
        found = network(torch.cat(excerpts).float().to(device))[output]
        parts.append(found.float().reshape(n_excerpts, len(batch), -1).transpose(0, 1).cpu())
    return torch.cat(parts).double().numpy()


def metrics(
    probabilities: Probabilities,
    labels: Labels,
    names: Sequence[str],
    groups: Groups | None = None,
    possible: NDArray[np.bool_] | None = None,
) -> dict[str, Any]:
    """Compute the metrics of one set of tracks, as plain values; averages are over the genres that the set has.

    Parameters
    ----------
    probabilities : float64 array, shape (n_tracks, n_labels)
    labels : int64 array, shape (n_tracks,)
    names : sequence of str
        Genre of each label.
    groups : array, shape (n_tracks,), optional
        Adds `n_groups` and the intervals of `bootstrap_intervals`.
    possible : bool array, shape (n_tracks, n_labels), optional
        The genres of each track's own data set, by default all.

    Returns
    -------
    dict
        Shares and F1 from 0 to 1, `per_genre` and `accuracy_own_genres` (answers among the possible genres only),
        `confusion_matrix` (rows: true genre, columns: answer) and `confused_pairs`, the most frequent
        [true genre, answer, number of tracks] among the wrong answers.
    """
    indices = np.arange(len(names))
    present = np.unique(labels)
    predicted = probabilities.argmax(axis=1)
    own = predicted if possible is None else np.where(possible, probabilities, -1).argmax(axis=1)
    _, recall, f1, _ = precision_recall_fscore_support(labels, predicted, labels=indices, zero_division=0)
    own_scores = precision_recall_fscore_support(labels, own, labels=indices, zero_division=0)
    counts = confusion_matrix(labels, predicted, labels=indices)
    accuracy = float((predicted == labels).mean())
    intervals = {}
    if groups is not None:
        intervals = bootstrap_intervals(labels, predicted, groups, len(names))
        intervals["accuracy_own_genres_interval"] = share_interval(own == labels, groups)
    return {
        "n_tracks": len(labels),
        "accuracy": accuracy,
        "accuracy_own_genres": float((own == labels).mean()),
        "balanced_accuracy": float(recall[present].mean()),
        "macro_f1": float(f1[present].mean()),
        "micro_f1": accuracy,  # one answer a track: every wrong one is a false positive here, a false negative there
        "log_loss": float(log_loss(labels, probabilities, labels=indices)),
        **intervals,
        "per_genre": {
            names[i]: {
                "precision": float(own_scores[0][i]),
                "recall": float(own_scores[1][i]),
                "f1": float(own_scores[2][i]),
                "support": int(own_scores[3][i]),
            }
            for i in present
        },
        "confusion_matrix": counts.tolist(),
        "confused_pairs": confused_pairs(counts, names),
    }


def bootstrap_intervals(
    labels: Labels, predicted: Labels, groups: Groups, n_labels: int, seed: int = 0
) -> dict[str, Any]:
    """Compute 95 % percentile bootstrap intervals from `N_RESAMPLES` draws of groups with replacement.

    They describe other artists, not other trainings. Like `metrics`, each draw averages over the genres that it has.

    Parameters
    ----------
    labels, predicted : int64 array, shape (n_tracks,)
    groups : array, shape (n_tracks,)
    n_labels : int
    seed : int

    Returns
    -------
    dict
        `n_groups`, and [low, high] as `accuracy_interval`, `balanced_accuracy_interval` and `macro_f1_interval`; None
        for fewer than `FEWEST_DRAWN` groups.
    """
    draws, group = draws_of(groups, seed)
    if draws.shape[1] < FEWEST_DRAWN:
        names = ("accuracy_interval", "balanced_accuracy_interval", "macro_f1_interval")
        return {"n_groups": draws.shape[1], **dict.fromkeys(names)}
    counts = np.zeros((draws.shape[1], n_labels, n_labels))
    np.add.at(counts, (group, labels, predicted), 1)
    matrices = np.tensordot(draws, counts, axes=1)
    right = np.diagonal(matrices, axis1=1, axis2=2)  # (N_RESAMPLES, n_labels), as are the next two
    true, answered = matrices.sum(axis=2), matrices.sum(axis=1)
    present = true > 0
    recall = right / np.maximum(true, 1)
    f1 = 2 * right / np.maximum(true + answered, 1)
    values = {
        "accuracy": right.sum(axis=1) / true.sum(axis=1),
        "balanced_accuracy": np.where(present, recall, 0).sum(axis=1) / present.sum(axis=1),
        "macro_f1": np.where(present, f1, 0).sum(axis=1) / present.sum(axis=1),
    }
    intervals = {f"{name}_interval": interval_of(value) for name, value in values.items()}
    return {"n_groups": draws.shape[1], **intervals}


def excerpt_gain(
    logits: NDArray[np.float64], labels: Labels, temperature: float | NDArray[np.float64]
) -> dict[str, float]:
    """Compare the accuracy of single excerpts with that of whole tracks.

    Parameters
    ----------
    logits : float64 array, shape (n_tracks, n_excerpts, n_labels)
    labels : int64 array, shape (n_tracks,)
    temperature : float or float64 array, shape (n_tracks,)
        Divisor of the logits: it changes how much a confident excerpt counts in the mean.

    Returns
    -------
    dict
        `single_excerpt_accuracy`, mean over all excerpts, and `track_accuracy`, of their mean; 0 to 1.
    """
    single = logits.argmax(axis=2) == labels[:, None]
    averaged = track_probabilities(logits, temperature).argmax(axis=1) == labels
    return {"single_excerpt_accuracy": float(single.mean()), "track_accuracy": float(averaged.mean())}
