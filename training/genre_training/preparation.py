"""What a run begins with: clips in memory, and a description of them that travels in the checkpoint."""

from __future__ import annotations

import hashlib
import platform
from collections import Counter
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from genre_runtime.metadata import AudioConfig
from genre_training.batches import TrainingData
from genre_training.config import Recipe
from genre_training.devices import autocast_dtype
from genre_training.distributed import first_process_first, rank
from genre_training.networks import network_bands
from genre_training.outliers import outlier_log_mels
from genre_training.sources import read_tracks
from genre_training.splits import Split
from genre_training.store import FeatureStore, label_indices, open_store
from genre_training.tracks import DataError, label_names
from genre_training.version import __version__

N_OUTLIERS = 120


def prepare(data_folder: Path, cache: Path, workers: int | None = None) -> tuple[FeatureStore, tuple[str, ...]]:
    """Open the store of a data folder; returns it and its genres, of which there must be two or more.

    Raises
    ------
    DataError, LostWorkerError
    """
    with first_process_first():
        store = open_store(read_tracks(data_folder), AudioConfig(), cache, workers)
    if store.left_out and rank() == 0:
        print(f"{len(store.left_out)} clips are left out:")
        for track_id, reason in store.left_out.items():
            print(f"  {track_id}: {reason}")
    names = label_names(store.tracks)
    if len(names) < 2:
        raise DataError(f"{data_folder} holds {names[0]} alone: expected two genres or more to tell apart")
    return store, names


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
        picture_frames=round(recipe.training.picture_seconds / audio.frame_seconds),
        excerpt_frames=round(recipe.training.excerpt_seconds / audio.frame_seconds),
        bands=network_bands(recipe.network, audio.n_mels),
    )


def digest_of(store: FeatureStore) -> str:
    """Return what tells one list of labelled clips from another."""
    lines = [f"{track.track_id}\t{track.label}\n" for track in store.tracks]
    return hashlib.sha256("".join(lines).encode("utf-8", "surrogateescape")).hexdigest()


def with_outliers(data: TrainingData, recipe: Recipe, audio: AudioConfig) -> TrainingData:
    """Add sounds that are no music, if the recipe wants to show any."""
    if not recipe.training.outlier_share:
        return data
    clips = outlier_log_mels(N_OUTLIERS, data.clips.shape[2], audio, recipe.data.seed)
    return replace(data, outliers=torch.from_numpy(clips).half())


def describe(store: FeatureStore, data: TrainingData, recipe: Recipe, device: torch.device) -> dict[str, Any]:
    """Return everything of a checkpoint that is known before the first step."""
    return {
        "labels": list(data.names),
        "audio": asdict(AudioConfig()),
        "network": recipe.network.to_dict(),
        "recipe": recipe.to_dict(),
        "excerpt_seconds": recipe.training.excerpt_seconds,
        "provenance": _provenance(store, data, recipe, device),
        "held_out": {
            part: [store.tracks[i].track_id for i in getattr(data.split, part)] for part in ("validation", "test")
        },
    }


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
