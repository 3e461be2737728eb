"""The figures of a checkpoint: calibrated on validation, scored on validation and test, source by source."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from genre_training.batches import TrainingData
from genre_training.calibration import (
    Probabilities,
    calibration_error,
    confidence_threshold,
    coverage_at_threshold,
    fit_temperature,
    reliability,
    track_probabilities,
)
from genre_training.checkpoint import Checkpoint, CheckpointError
from genre_training.evaluation import excerpt_gain, excerpt_logits, score
from genre_training.networks import GenreNetwork, NetworkConfig
from genre_training.splits import Indices
from genre_training.summary import summary
from genre_training.tracks import Track


def network_of(checkpoint: Checkpoint) -> GenreNetwork:
    """Rebuild the trained network of a checkpoint, ready to evaluate.

    Raises
    ------
    CheckpointError
        Its weights do not fit the network that it describes.
    """
    try:
        config = NetworkConfig.from_dict(checkpoint["network"])
        network = GenreNetwork(len(checkpoint["labels"]), checkpoint["audio"]["n_mels"], config)
        network.load_state_dict(checkpoint["model_state_dict"])
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise CheckpointError(f"the checkpoint's weights do not fit the network it describes: {reason}") from error
    return network.eval()


def evaluate_checkpoint(
    checkpoint: Checkpoint,
    data: TrainingData,
    tracks: list[Track],
    device: torch.device,
    stored: tuple[float, float] | None = None,
) -> dict[str, Any]:
    """Calibrate on validation, then score validation and test, all together and source by source.

    Parameters
    ----------
    checkpoint : dict
        `labels`, `audio`, `network` and `model_state_dict` are looked at.
    data : TrainingData
    tracks : list of Track
        One a clip of `data`.
    device : torch.device
    stored : tuple of float, optional
        Temperature and confidence threshold of an earlier calibration, to score with instead of fitting anew.

    Returns
    -------
    dict
        `temperature`, `confidence_threshold` and `metrics`: for `validation` and `test` what `score` returns and
        `calibration_error_uncalibrated`, `confident`, `excerpts`, `reliability` and `per_source`.
    """
    network = network_of(checkpoint).to(device)
    logits = {
        "validation": excerpt_logits(network, data.clips[data.split.validation], data.excerpt_frames, device),
        "test": excerpt_logits(network, data.clips[data.split.test], data.excerpt_frames, device),
    }
    parts = {"validation": data.split.validation, "test": data.split.test}
    return score_logits(logits, parts, data, tracks, stored)


def score_logits(
    logits: dict[str, NDArray[np.float64]],
    parts: dict[str, Indices],
    data: TrainingData,
    tracks: list[Track],
    stored: tuple[float, float] | None = None,
) -> dict[str, Any]:
    """Do as `evaluate_checkpoint`, from the logits (n_tracks, n_excerpts, n_labels) of each part's clips."""
    labels = {part: data.labels[positions] for part, positions in parts.items()}
    temperature = stored[0] if stored else fit_temperature(logits["validation"], labels["validation"])
    calibrated = {part: track_probabilities(values, temperature) for part, values in logits.items()}
    threshold = stored[1] if stored else confidence_threshold(calibrated["validation"], labels["validation"])
    metrics = {
        part: {
            **_score_by_source(calibrated[part], parts[part], data, tracks),
            "calibration_error_uncalibrated": calibration_error(track_probabilities(logits[part]), labels[part]),
            "confident": coverage_at_threshold(calibrated[part], labels[part], threshold),
            "excerpts": excerpt_gain(logits[part], labels[part], temperature),
            "reliability": reliability(calibrated[part], labels[part]),
        }
        for part in logits
    }
    return {"temperature": temperature, "confidence_threshold": threshold, "metrics": metrics}


def _score_by_source(
    probabilities: Probabilities, part: Indices, data: TrainingData, tracks: list[Track]
) -> dict[str, Any]:
    labels = data.labels[part]
    sources = np.array([tracks[i].source for i in part])
    result = score(probabilities, labels, data.names, intervals=True)
    result["per_source"] = {}
    for source in sorted({tracks[i].source for i in part}):
        rows = sources == source
        # Each source knows only some genres; the second figure asks for the best among those alone.
        genres = sorted({data.names.index(track.label) for track in tracks if track.source == source})
        own = np.array(genres)[probabilities[rows][:, genres].argmax(axis=1)]
        result["per_source"][source] = {
            "n_tracks": int(rows.sum()),
            "accuracy": float((probabilities[rows].argmax(axis=1) == labels[rows]).mean()),
            "accuracy_own_genres": float((own == labels[rows]).mean()),
        }
    return result


def print_metrics(metrics: dict[str, Any]) -> None:
    """Print what a user wants to know of a run: one table a part."""
    for part in ("validation", "test"):
        print(summary(part, metrics[part]))
    for fold, sources in enumerate(metrics.get("folds", [])):
        figures = ", ".join(f"{source} {one['accuracy_own_genres']:.1%}" for source, one in sources.items())
        print(f"fold {fold}, test, among each source's own genres: {figures}")
