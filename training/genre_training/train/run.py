"""What a run begins with: clips in memory, and a description of them that travels in the checkpoint.

One whole run: data folder in, checkpoint, pictures and report out.
"""

from __future__ import annotations

import hashlib
import platform
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from genre_runtime.model.metadata import AudioConfig
from genre_training import __version__
from genre_training.config import Recipe
from genre_training.data.download import RUN_FOLDER, STATE_NAME
from genre_training.data.features import FeatureStore, label_indices, open_store
from genre_training.data.folders import read_tracks
from genre_training.data.splits import Split, everything_trains, split_tracks
from genre_training.data.track import DataError, label_names
from genre_training.evaluate.report import write_run_folder
from genre_training.evaluate.score import (
    FOLDS_FOLDER,
    MEASURED,
    audio_of,
    check_recipe,
    evaluate_checkpoint,
    fold_name,
    keep_folds,
    read_folds,
    recipe_of,
    score_folds,
    stored_split,
)
from genre_training.model.network import network_bands
from genre_training.train.batches import TrainingData
from genre_training.train.checkpoint import Checkpoint, CheckpointError, load_checkpoint, load_state, save_checkpoint
from genre_training.train.distributed import autocast_dtype, first_process_first, rank
from genre_training.train.outliers import outlier_log_mels
from genre_training.train.trainer import State, Trainer, fit

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


CHECKPOINT_NAME = "best_model.pt"


def train(
    recipe: Recipe,
    data_folder: Path,
    output: Path,
    cache: Path,
    device: torch.device,
    *,
    resume: bool = False,
    workers: int | None = None,
) -> Path:
    """Train on `data_folder`; write `best_model.pt` into `output` and everything about the run into `output/run`.

    During the run `output/run` holds `best_model.pt`, the best epoch so far, and `last.pt`, the state after the last
    whole epoch. Only a finished run replaces `output/best_model.pt`.

    Parameters
    ----------
    recipe : Recipe
    data_folder, output, cache : Path
    device : torch.device
    resume : bool
        Go on from `last.pt`: the run ends with the weights it would have had uninterrupted.
    workers : int, optional
        Most processes that compute features at once; by default as many as there are cores.

    Returns
    -------
    Path
        The checkpoint.

    Raises
    ------
    DataError, LostWorkerError, NonFiniteLossError, CheckpointError
    """
    check_unfinished(output / RUN_FOLDER, resume)
    store, names = prepare(data_folder, cache, workers)
    split = split_tracks(store.tracks, recipe.data.split, recipe.data.seed, recipe.data.fold)
    data = training_data(store, recipe, AudioConfig(), names, split)

    def finish(checkpoint: Checkpoint) -> Checkpoint:
        return {**checkpoint, **evaluate_checkpoint(checkpoint, data, store.tracks, device)}

    return _train_to_the_end(recipe, store, data, output, device, resume, finish)


def refit(
    folds: Sequence[Path],
    recipe: Recipe,
    data_folder: Path,
    output: Path,
    cache: Path,
    device: torch.device,
    *,
    resume: bool = False,
    workers: int | None = None,
) -> Path:
    """Train a recipe on every clip there is, and take the figures from five finished folds of the same recipe.

    Where the folds kept their best epoch, this keeps the last: there is nothing to validate with. The folds'
    weights are kept in `output/folds`, so that `evaluate_again` can measure them again.

    Raises
    ------
    DataError, LostWorkerError, NonFiniteLossError, CheckpointError
    """
    check_unfinished(output / RUN_FOLDER, resume)
    checkpoints = read_folds(folds)
    check_recipe(checkpoints, recipe)
    store, names = prepare(data_folder, cache, workers)
    data = training_data(store, recipe, AudioConfig(), names, everything_trains(store.tracks))

    def finish(checkpoint: Checkpoint) -> Checkpoint:
        kept = keep_folds(checkpoints, output)
        return {**checkpoint, **score_folds(kept, store, data, device), "folds": len(kept)}

    return _train_to_the_end(recipe, store, data, output, device, resume, finish)


def _train_to_the_end(
    recipe: Recipe,
    store: FeatureStore,
    data: TrainingData,
    output: Path,
    device: torch.device,
    resume: bool,
    finish: Callable[[Checkpoint], Checkpoint],
) -> Path:
    folder = output / RUN_FOLDER
    description = describe(store, data, recipe, device)
    run = {key: description[key] for key in ("recipe", "labels", "held_out")} | {"clips": digest_of(store)}
    trainer = Trainer(with_outliers(data, recipe, AudioConfig()), recipe, device)
    if resume:
        trainer.resume(_state_of(folder / STATE_NAME, run))

    def save(checkpoint: Checkpoint, name: str) -> None:
        if rank() == 0:
            save_checkpoint(checkpoint, folder / name)

    def save_state(state: State) -> None:
        save({"run": run, "state": state}, STATE_NAME)

    if not resume:
        save_state(trainer.state())
    history = fit(
        trainer,
        recipe.training.epochs,
        save_best=lambda best: save({**best, **description}, CHECKPOINT_NAME),
        save_state=save_state,
    )
    if rank() == 0:
        checkpoint = finish({**load_checkpoint(folder / CHECKPOINT_NAME), "history": history})
        save_checkpoint(checkpoint, output / CHECKPOINT_NAME)
        write_run_folder(folder, checkpoint)
        for name in (STATE_NAME, CHECKPOINT_NAME):
            (folder / name).unlink()
    return output / CHECKPOINT_NAME


def check_unfinished(folder: Path, resume: bool) -> None:
    """Refuse to run over an interrupted run, or to resume one that is not there.

    Raises
    ------
    CheckpointError
    """
    state = folder / STATE_NAME
    if resume and not state.is_file():
        raise CheckpointError(f"{folder} holds no interrupted run to resume: leave out --resume")
    if not resume and state.is_file():
        raise CheckpointError(
            f"{folder} holds an interrupted run: go on with --resume, or remove {state} to start from the beginning"
        )


def _state_of(path: Path, run: dict[str, Any]) -> State:
    saved = load_state(path)
    changed = [key for key, value in run.items() if saved["run"].get(key) != value]
    if changed:
        raise CheckpointError(
            f"{path} is of a run with another {' and '.join(changed)}: resume with the same recipe and data, or "
            "remove it"
        )
    state: State = saved["state"]
    return state


def evaluate_again(
    path: Path, data_folder: Path, cache: Path, device: torch.device, *, workers: int | None = None
) -> dict[str, Any]:
    """Score a checkpoint on the split it was trained with; returns what `train` stored as `metrics`.

    Raises
    ------
    CheckpointError, DataError, LostWorkerError
    """
    checkpoint = load_checkpoint(path, (*MEASURED, "temperature", "confidence_threshold"))
    recipe, audio = recipe_of(checkpoint), audio_of(checkpoint)
    store = open_store(read_tracks(data_folder), audio, cache, workers)
    names, stored = tuple(checkpoint["labels"]), (checkpoint["temperature"], checkpoint["confidence_threshold"])
    if checkpoint.get("folds"):
        data = training_data(store, recipe, audio, names, everything_trains(store.tracks))
        folds = read_folds([path.parent / FOLDS_FOLDER / fold_name(i) for i in range(checkpoint["folds"])])
        result = score_folds(folds, store, data, device, stored)
    else:
        data = training_data(store, recipe, audio, names, stored_split(checkpoint["held_out"], store.tracks))
        result = evaluate_checkpoint(checkpoint, data, store.tracks, device, stored)
    metrics: dict[str, Any] = result["metrics"]
    return metrics
