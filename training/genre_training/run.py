"""One whole run: data folder in, checkpoint, pictures and report out."""

from __future__ import annotations

import platform
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from genre_runtime.metadata import AudioConfig
from genre_training.checkpoint import Checkpoint, CheckpointError, load_checkpoint, save_checkpoint
from genre_training.config import Recipe, recipe_from_tables
from genre_training.devices import autocast_dtype
from genre_training.evaluation import (
    confidence_threshold,
    excerpt_logits,
    fit_temperature,
    score,
    track_probabilities,
)
from genre_training.loop import TrainingData, fit
from genre_training.networks import NetworkConfig, ResidualCnn
from genre_training.plots import save_confusion_matrix, save_curves
from genre_training.sources import read_tracks
from genre_training.splits import Indices, Split, split_tracks
from genre_training.store import FeatureStore, label_indices, open_store
from genre_training.tracks import DataError, Track, label_names
from genre_training.version import __version__

CHECKPOINT_NAME = "best_model.pt"
UNFINISHED_NAME = "best_model.unfinished.pt"
"""Best checkpoint of a run in progress: only a finished run replaces the one before it."""


def train(recipe: Recipe, data_folder: Path, output: Path, cache: Path, device: torch.device) -> Path:
    """Train on `data_folder` and write `best_model.pt` and its pictures into `output`.

    Returns
    -------
    Path
        The checkpoint.

    Raises
    ------
    DataError, NonFiniteLossError
    """
    audio = AudioConfig()
    store = open_store(read_tracks(data_folder), audio, cache)
    names = label_names(store.tracks)
    if len(names) < 2:
        raise DataError(f"{data_folder} holds {names[0]} alone: expected two genres or more to tell apart")
    split = split_tracks(store.tracks, recipe.data.split, recipe.data.seed, recipe.data.fold)
    data = training_data(store, recipe, audio, names, split)
    path, unfinished = output / CHECKPOINT_NAME, output / UNFINISHED_NAME
    description = {
        "labels": list(data.names),
        "audio": asdict(audio),
        "network": recipe.network.to_dict(),
        "recipe": recipe.to_dict(),
        "excerpt_seconds": recipe.training.crop_seconds,
        "provenance": _provenance(store, data, recipe, device),
        "held_out": {
            part: [store.tracks[i].track_id for i in getattr(data.split, part)] for part in ("validation", "test")
        },
    }
    history = fit(data, recipe, device, lambda best: save_checkpoint({**best, **description}, unfinished))
    checkpoint = load_checkpoint(unfinished)
    checkpoint["history"] = history
    checkpoint.update(evaluate_checkpoint(checkpoint, data, store.tracks, device))
    save_checkpoint(checkpoint, path)
    unfinished.unlink()
    save_curves(history, output / "curves.png")
    save_confusion_matrix(
        checkpoint["metrics"]["test"]["confusion_matrix"], data.names, output / "confusion_matrix.png"
    )
    return path


def evaluate_again(path: Path, data_folder: Path, cache: Path, device: torch.device) -> dict[str, Any]:
    """Score a checkpoint on the split it was trained with; returns what `train` stored as `metrics`.

    Raises
    ------
    CheckpointError, DataError
    """
    checkpoint = load_checkpoint(path)
    try:
        recipe = recipe_from_tables(checkpoint["recipe"])
        audio = AudioConfig.from_dict(checkpoint["audio"])
        held_out = checkpoint["held_out"]
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path} was written by another version of this project: {error}") from error
    store = open_store(read_tracks(data_folder), audio, cache)
    split = _stored_split(held_out, store.tracks)
    data = training_data(store, recipe, audio, tuple(checkpoint["labels"]), split)
    metrics: dict[str, Any] = evaluate_checkpoint(checkpoint, data, store.tracks, device)["metrics"]
    return metrics


def _stored_split(held_out: dict[str, list[str]], tracks: list[Track]) -> Split:
    """Find a checkpoint's split again by the clips' names: to split anew would differ once a clip came or went."""
    part_of = {track_id: part for part, ids in held_out.items() for track_id in ids}
    parts = np.array([part_of.get(track.track_id, "train") for track in tracks])
    split = Split(*(np.flatnonzero(parts == part) for part in ("train", "validation", "test")))
    if not split.validation.size or not split.test.size:
        raise DataError("the data folder holds no clip that the checkpoint was validated or tested with: name another")
    return split


def training_data(
    store: FeatureStore, recipe: Recipe, audio: AudioConfig, names: tuple[str, ...], split: Split
) -> TrainingData:
    """Lay out a store for training: clips in memory, labels as numbers."""
    return TrainingData(
        clips=torch.from_numpy(np.array(store.log_mel)),
        labels=label_indices(store.tracks, names),
        sources=np.array([track.source for track in store.tracks]),
        names=names,
        split=split,
        crop_frames=round(recipe.training.crop_seconds / audio.frame_seconds),
    )


def network_of(checkpoint: Checkpoint) -> ResidualCnn:
    """Rebuild the trained network of a checkpoint, ready to evaluate.

    Raises
    ------
    CheckpointError
        Its weights do not fit the network that it describes.
    """
    try:
        config = NetworkConfig.from_dict(checkpoint["network"])
        network = ResidualCnn(len(checkpoint["labels"]), checkpoint["audio"]["n_mels"], config)
        network.load_state_dict(checkpoint["model_state_dict"])
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise CheckpointError(f"the checkpoint's weights do not fit the network it describes: {reason}") from error
    return network.eval()


def evaluate_checkpoint(
    checkpoint: Checkpoint, data: TrainingData, tracks: list[Track], device: torch.device
) -> dict[str, Any]:
    """Calibrate on validation, then score validation and test, all together and source by source.

    Returns
    -------
    dict
        `temperature`, `confidence_threshold` and `metrics` (`validation`, `test`, each with `per_source`).
    """
    network = network_of(checkpoint).to(device)
    logits = {
        "validation": excerpt_logits(network, data.clips[data.split.validation], data.crop_frames, device),
        "test": excerpt_logits(network, data.clips[data.split.test], data.crop_frames, device),
    }
    temperature = fit_temperature(logits["validation"], data.labels[data.split.validation])
    calibrated = {part: track_probabilities(values, temperature) for part, values in logits.items()}
    return {
        "temperature": temperature,
        "confidence_threshold": confidence_threshold(calibrated["validation"], data.labels[data.split.validation]),
        "metrics": {
            part: _score_by_source(calibrated[part], getattr(data.split, part), data, tracks) for part in calibrated
        },
    }


def _score_by_source(
    probabilities: np.ndarray[Any, np.dtype[np.float64]], part: Indices, data: TrainingData, tracks: list[Track]
) -> dict[str, Any]:
    labels = data.labels[part]
    sources = np.array([tracks[i].source for i in part])
    result = score(probabilities, labels, data.names)
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


def _provenance(store: FeatureStore, data: TrainingData, recipe: Recipe, device: torch.device) -> dict[str, Any]:
    return {
        "clips_per_source": dict(Counter(track.source for track in store.tracks)),
        "clips_left_out": store.left_out,
        "split": {
            **asdict(recipe.data),
            **{part: len(getattr(data.split, part)) for part in ("train", "validation", "test")},
        },
        "versions": {
            "genre_training": __version__,
            "torch": str(torch.__version__),
            "python": platform.python_version(),
        },
        "device": device.type,
        "precision": str(autocast_dtype(device) or torch.float32),
    }


def print_metrics(metrics: dict[str, Any]) -> None:
    """Print what a user wants to know of a run, in a few lines."""
    for part, values in metrics.items():
        print(
            f"{part}: {values['n_tracks']} tracks, accuracy {values['accuracy']:.1%}, "
            f"macro F1 {values['macro_f1']:.3f}, calibration error {values['calibration_error']:.3f}"
        )
        for source, one in values["per_source"].items():
            print(
                f"  {source}: {one['n_tracks']} tracks, accuracy {one['accuracy']:.1%}, "
                f"among its own genres {one['accuracy_own_genres']:.1%}"
            )
