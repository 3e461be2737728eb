"""Whole runs: train a recipe, refit it on all clips, score a checkpoint again."""

from __future__ import annotations

import hashlib
import platform
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from genre_runtime import AudioConfig
from genre_training import RUN_FOLDER, STATE_NAME, __version__
from genre_training.config import Recipe
from genre_training.data.features import FeatureStore, open_store
from genre_training.data.folders import read_tracks, read_twins
from genre_training.data.splits import (
    Split,
    TrainingData,
    almost_everything_trains,
    everything_trains,
    load_clips,
    split_tracks,
)
from genre_training.data.track import PARTS, DataError, label_names
from genre_training.evaluate.report import write_run_folder
from genre_training.evaluate.score import score
from genre_training.evaluate.sources import Recognition, recognise_sources
from genre_training.model.checkpoint import (
    MEASURED,
    Checkpoint,
    CheckpointError,
    keep_folds,
    load_checkpoint,
    load_values,
    read_folds,
    save_checkpoint,
    save_values,
    stored_folds,
)
from genre_training.model.network import network_bands
from genre_training.train.augment import outlier_log_mels
from genre_training.train.distributed import autocast_dtype, first_process_first, rank
from genre_training.train.trainer import Trainer

CHECKPOINT_NAME = "best_model.pt"
N_OUTLIERS = 120


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

    During the run `output/run` has `best_model.pt`, the best epoch so far, and `last.pt`, the state after the last
    whole epoch. Only a finished run replaces `output/best_model.pt`.

    Parameters
    ----------
    recipe : Recipe
    data_folder, output, cache : Path
    device : torch.device
    resume : bool
        Continue from `last.pt`: on a CPU the run ends with the same weights as an uninterrupted one.
    workers : int, optional
        Largest number of processes that compute features; by default one per core.

    Returns
    -------
    Path
        The checkpoint.

    Raises
    ------
    DataError, LostWorkerError, NonFiniteLossError, CheckpointError
    """
    _check_unfinished(output / RUN_FOLDER, resume)
    store = _open_features(data_folder, cache, workers)
    split = split_tracks(store.tracks, recipe.data.split, recipe.data.seed, recipe.data.fold)
    data = _load(store, recipe, AudioConfig(), label_names(store.tracks), split, data_folder, cache, workers)

    def scored(checkpoint: Checkpoint) -> Checkpoint:
        return replace(checkpoint, **score([checkpoint], data, device)._asdict())

    return _run(recipe, store, data, output, device, resume, scored)


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
    """Train a recipe on almost all clips, and take the scores from five finished folds of the same recipe.

    The folds keep their best epoch, this run keeps its last one, since no clip is left for validation. A sixteenth of
    the artists is held out, on which the calibration that came from the folds is checked. The weights of the folds are
    kept in `output/folds`, so that `evaluate` can score them again.

    Parameters
    ----------
    folds : sequence of Path
        The checkpoints of the five folds.
    recipe : Recipe
    data_folder, output, cache : Path
    device : torch.device
    resume : bool
        As in `train`.
    workers : int, optional
        As in `train`.

    Returns
    -------
    Path
        The checkpoint.

    Raises
    ------
    DataError, LostWorkerError, NonFiniteLossError, CheckpointError
    """
    _check_unfinished(output / RUN_FOLDER, resume)
    checkpoints = read_folds(folds)
    if replace(recipe, data=replace(recipe.data, fold=0)) != checkpoints[0].parsed_recipe():
        raise CheckpointError("the folds were trained with another recipe: remove them, or name the recipe they are of")
    store = _open_features(data_folder, cache, workers)
    split = almost_everything_trains(store.tracks, recipe.data.split, recipe.data.seed)
    data = _load(store, recipe, AudioConfig(), label_names(store.tracks), split, data_folder, cache, workers)

    def scored(checkpoint: Checkpoint) -> Checkpoint:
        kept = keep_folds(checkpoints, output)
        scores = score(kept, data, device, refitted=checkpoint)
        validation = scores.metrics["validation"]
        figures = {"val_acc": validation["accuracy"], "val_loss": validation["log_loss"], "folds": len(kept)}
        return replace(checkpoint, **scores._asdict(), **figures)

    return _run(recipe, store, data, output, device, resume, scored)


def evaluate(
    path: Path, data_folder: Path, cache: Path, device: torch.device, *, workers: int | None = None
) -> dict[str, Any]:
    """Score a checkpoint again on the split that it was trained with.

    Parameters
    ----------
    path : Path
        The checkpoint.
    data_folder, cache : Path
    device : torch.device
    workers : int, optional
        As in `train`.

    Returns
    -------
    dict
        What `train` or `refit` stored as `metrics`.

    Raises
    ------
    CheckpointError, DataError, LostWorkerError
    """
    checkpoint = load_checkpoint(path, (*MEASURED, "temperature", "confidence_threshold"))
    recipe, folds = checkpoint.parsed_recipe(), stored_folds(checkpoint, path)
    store = open_store(read_tracks(data_folder), checkpoint.audio, cache, workers)
    split = everything_trains(len(store.tracks))
    data = _load(store, recipe, checkpoint.audio, checkpoint.labels, split, data_folder, cache, workers)
    if checkpoint.folds:
        return score(folds, data, device, refitted=checkpoint).metrics
    assert checkpoint.temperature is not None
    assert checkpoint.confidence_threshold is not None
    return score(folds, data, device, (checkpoint.temperature, checkpoint.confidence_threshold)).metrics


def sources(recipe: Recipe, data_folder: Path, cache: Path, *, workers: int | None = None) -> list[Recognition]:
    """Measure how well the data sets of a folder are recognised from what a recipe's network sees.

    Parameters
    ----------
    recipe : Recipe
    data_folder, cache : Path
    workers : int, optional
        As in `train`.

    Raises
    ------
    DataError, LostWorkerError
    """
    store = _open_features(data_folder, cache, workers)
    split = everything_trains(len(store.tracks))
    data = _load(store, recipe, AudioConfig(), label_names(store.tracks), split, data_folder, cache, workers)
    return recognise_sources(data, network_bands(recipe.network, data.clips.shape[1]), recipe.training.noise_db)


def _load(
    store: FeatureStore,
    recipe: Recipe,
    audio: AudioConfig,
    names: tuple[str, ...],
    split: Split,
    data_folder: Path,
    cache: Path,
    workers: int | None,
) -> TrainingData:
    """Load the clips, and the audio of those that are there as pictures."""
    twins = read_twins(data_folder, store.tracks)
    with first_process_first():
        files = open_store(twins, audio, cache, workers) if twins else None
    return load_clips(store, recipe, audio, names, split, files)


def _check_unfinished(folder: Path, resume: bool) -> None:
    """Refuse to overwrite an interrupted run, or to resume one that does not exist."""
    state = folder / STATE_NAME
    if resume and not state.is_file():
        raise CheckpointError(f"{folder} has no interrupted run to resume: leave out --resume")
    if not resume and state.is_file():
        raise CheckpointError(
            f"{folder} has an interrupted run: continue it with --resume, or remove {state} to start from the beginning"
        )


def _open_features(data_folder: Path, cache: Path, workers: int | None) -> FeatureStore:
    """Open the feature store of a data folder, which needs at least two genres; report the clips left out."""
    with first_process_first():
        store = open_store(read_tracks(data_folder), AudioConfig(), cache, workers)
    if store.left_out and rank() == 0:
        print(f"{len(store.left_out)} clips are left out:")
        for track_id, reason in store.left_out.items():
            print(f"  {track_id}: {reason}")
    names = label_names(store.tracks)
    if len(names) < 2:
        raise DataError(f"{data_folder} has the genre {names[0]} only: expected at least two genres")
    return store


def _run(
    recipe: Recipe,
    store: FeatureStore,
    data: TrainingData,
    output: Path,
    device: torch.device,
    resume: bool,
    scored: Callable[[Checkpoint], Checkpoint],
) -> Path:
    """Train all epochs; `scored` adds the scores to the checkpoint that was kept."""
    folder = output / RUN_FOLDER
    shown = data
    if recipe.training.outlier_share:
        outliers = outlier_log_mels(N_OUTLIERS, data.clips.shape[2], AudioConfig(), recipe.data.seed)
        shown = replace(data, outliers=torch.from_numpy(outliers).half())
    trainer = Trainer(shown, recipe, device)
    positions = {"train": data.split.train, "validation": data.split.validation, "test": data.split.test}
    held_out = {part: [data.track_ids[i] for i in positions[part]] for part in PARTS[1:]}
    provenance = {
        "clips_per_source": dict(Counter(track.source for track in store.tracks)),
        "clips_without_artist": dict(Counter(track.source for track in store.tracks if track.group == track.track_id)),
        "clips_left_out": store.left_out,
        "split": asdict(recipe.data) | {part: len(positions[part]) for part in PARTS},
        "versions": {
            "genre_training": __version__,
            "torch": str(torch.__version__),
            "python": platform.python_version(),
        },
        "device": device.type,
        "precision": str(autocast_dtype(device) or torch.float32),
    }

    # What a resumed run has to have in common with the interrupted one.
    lines = "".join(f"{track.track_id}\t{track.label}\n" for track in store.tracks)
    clips = hashlib.sha256(lines.encode("utf-8", "surrogateescape")).hexdigest()
    run = {"recipe": recipe.to_dict(), "labels": list(data.names), "held_out": held_out, "clips": clips}

    def save_state() -> None:
        if rank() == 0:
            save_values({"run": run, "state": trainer.state()}, folder / STATE_NAME)

    if resume:
        saved = load_values(folder / STATE_NAME, ("run", "state"))
        changed = [key for key, value in run.items() if saved["run"].get(key) != value]
        if changed:
            raise CheckpointError(
                f"{folder / STATE_NAME} is of a run with another {' and '.join(changed)}: resume with the same recipe "
                "and data, or remove it"
            )
        trainer.resume(saved["state"])
    else:
        save_state()
    while len(trainer.history) < recipe.training.epochs:
        if trainer.run_epoch():
            best = replace(trainer.checkpoint(), provenance=provenance, held_out=held_out)
            if rank() == 0:
                save_checkpoint(best, folder / CHECKPOINT_NAME)
        save_state()
    if rank() == 0:
        checkpoint = scored(replace(load_checkpoint(folder / CHECKPOINT_NAME), history=trainer.history))
        save_checkpoint(checkpoint, output / CHECKPOINT_NAME)
        write_run_folder(folder, checkpoint)
        (folder / STATE_NAME).unlink()
        (folder / CHECKPOINT_NAME).unlink()
    return output / CHECKPOINT_NAME
