"""Scoring: probabilities of whole tracks, accuracy and its relatives, calibration.

`probabilities` is float64, (n_tracks, n_labels), rows summing to one; `labels` int64, (n_tracks,).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix, log_loss, precision_recall_fscore_support
from torch import Tensor, nn

Probabilities = NDArray[np.float64]
Labels = NDArray[np.int64]

TARGET_PRECISION = 0.85
"""Share of the answers called confident that shall be right."""


@torch.inference_mode()
def excerpt_logits(network: nn.Module, clips: Tensor, n_frames: int, device: torch.device) -> NDArray[np.float64]:
    """Logits of consecutive excerpts of each clip, shape (n_tracks, n_excerpts, n_labels).

    Parameters
    ----------
    network : nn.Module
    clips : Tensor, shape (n_tracks, n_mels, clip_frames)
    n_frames : int
        Frames of an excerpt; a rest at the end is left out.
    device : torch.device
    """
    network.eval()
    n_excerpts = max(1, clips.shape[2] // n_frames)
    parts = []
    for batch in clips.split(64):
        excerpts = [batch[:, :, i * n_frames : (i + 1) * n_frames] for i in range(n_excerpts)]
        logits, _ = network(torch.cat(excerpts).float().to(device))
        parts.append(logits.float().reshape(n_excerpts, len(batch), -1).transpose(0, 1).cpu())
    return torch.cat(parts).double().numpy()


def track_probabilities(logits: NDArray[np.float64], temperature: float = 1.0) -> Probabilities:
    """Mean over excerpts of the softmax of (n_tracks, n_excerpts, n_labels) logits, as the runtime does."""
    scaled = logits / temperature
    exponentials = np.exp(scaled - scaled.max(axis=2, keepdims=True))
    mean: Probabilities = (exponentials / exponentials.sum(axis=2, keepdims=True)).mean(axis=1)
    return mean


def score(probabilities: Probabilities, labels: Labels, names: Sequence[str]) -> dict[str, Any]:
    """Metrics of one set of tracks, as plain values; genres the set lacks are left out of averages."""
    indices = np.arange(len(names))
    present = np.unique(labels)
    predicted = probabilities.argmax(axis=1)
    precision, recall, f1, support = precision_recall_fscore_support(labels, predicted, labels=indices, zero_division=0)
    return {
        "n_tracks": len(labels),
        "accuracy": float((predicted == labels).mean()),
        "balanced_accuracy": float(recall[present].mean()),
        "macro_f1": float(f1[present].mean()),
        "log_loss": float(log_loss(labels, probabilities, labels=indices)),
        "calibration_error": calibration_error(probabilities, labels),
        "per_genre": {
            names[i]: {
                "precision": float(precision[i]),
                "recall": float(recall[i]),
                "f1": float(f1[i]),
                "support": int(support[i]),
            }
            for i in present
        },
        "confusion_matrix": confusion_matrix(labels, predicted, labels=indices).tolist(),
    }


def calibration_error(probabilities: Probabilities, labels: Labels, n_bins: int = 15) -> float:
    """Expected calibration error of the top answer over equal-width bins (Guo et al., 2017)."""
    confidence = probabilities.max(axis=1)
    correct = probabilities.argmax(axis=1) == labels
    bins = np.minimum((confidence * n_bins).astype(int), n_bins - 1)
    gaps = [(bins == i).mean() * abs(correct[bins == i].mean() - confidence[bins == i].mean()) for i in np.unique(bins)]
    return float(sum(gaps))


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
