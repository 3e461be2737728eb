"""Whole runs: train a recipe, refit it on all clips, score a checkpoint again."""

from __future__ import annotations

import os
import platform
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from genre_runtime import AudioConfig
from genre_runtime.errors import counted
from genre_training import RUN_FOLDER, STATE_NAME, __version__
from genre_training.config import Recipe
from genre_training.data.features import FeatureStore, label_indices, open_store
from genre_training.data.folders import read_branch_tracks, read_tracks, read_twins
from genre_training.data.splits import (
    Split,
    TrainingData,
    almost_everything_trains,
    everything_trains,
    load_clips,
    split_tracks,
    stored_split,
)
from genre_training.data.track import PARTS, DataError, Track, artist_is_known, label_names
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
from genre_training.model.network import front_end, network_bands
from genre_training.model.pretrained import StartingWeights, starting_weights
from genre_training.train.augment import outlier_log_mels
from genre_training.train.distributed import autocast_dtype, first_process_first, n_processes, rank
from genre_training.train.trainer import Trainer

CHECKPOINT_NAME = "best_model.pt"
DATA_FOLDER_NAME = "data_folder.txt"
"""In the run's folder: where the clips are. A checkpoint is published, so it must not hold a path of this computer."""
N_OUTLIERS = 120
Log = Callable[[Mapping[str, Any]], None]


def train(
    recipe: Recipe,
    data_folder: Path,
    output: Path,
    cache: Path,
    device: torch.device,
    *,
    resume: bool = False,
    workers: int | None = None,
    weights: Path | None = None,
    log: Log | None = None,
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
    weights : Path, optional
        File of the weights that `network.init` names; by default it is downloaded into `cache`.
    log : callable, optional
        Is given the entry of the history of each epoch.

    Returns
    -------
    Path
        The checkpoint.

    Raises
    ------
    DataError, LostWorkerError, NonFiniteLossError, CheckpointError
    """
    saved = _interrupted_run(output / RUN_FOLDER, resume)

    def divide(tracks: list[Track]) -> Split:
        data = recipe.data
        return split_tracks(tracks, data.split, data.seed, data.fold, data.validation_folds)

    store, data = _open_data(recipe, data_folder, cache, workers, divide, saved, _left_out(saved))

    def scored(checkpoint: Checkpoint) -> Checkpoint:
        return replace(checkpoint, **score([checkpoint], data, device)._asdict())

    start = starting_weights(recipe.network, weights, cache)
    return _run(recipe, store, data, data_folder, output, device, saved, scored, start, log)


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
    weights: Path | None = None,
    log: Log | None = None,
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
    weights : Path, optional
        As in `train`.
    log : callable, optional
        As in `train`.

    Returns
    -------
    Path
        The checkpoint.

    Raises
    ------
    DataError, LostWorkerError, NonFiniteLossError, CheckpointError
    """
    saved = _interrupted_run(output / RUN_FOLDER, resume)
    checkpoints = read_folds(folds)
    changed = _changed_values(checkpoints[0].recipe, replace(recipe, data=replace(recipe.data, fold=0)).to_dict())
    if changed:
        raise CheckpointError(
            f"the folds were trained with another recipe: {_changes(changed, 'in the folds')}; remove the folds, or "
            "name the recipe they are of"
        )

    def divide(tracks: list[Track]) -> Split:
        _check_held_out(checkpoints, tracks, data_folder)
        return almost_everything_trains(tracks, recipe.data.split, recipe.data.seed)

    left_out = _left_out(saved) or checkpoints[0].provenance.get("clips_left_out", {})
    store, data = _open_data(recipe, data_folder, cache, workers, divide, saved, left_out)

    def scored(checkpoint: Checkpoint) -> Checkpoint:
        kept = keep_folds(checkpoints, output)
        scores = score(kept, data, device, refitted=checkpoint)
        validation = scores.metrics["validation"]
        figures = {"val_acc": validation["accuracy"], "val_loss": validation["log_loss"], "folds": len(kept)}
        return replace(checkpoint, **scores._asdict(), **figures)

    start = starting_weights(recipe.network, weights, cache)
    return _run(recipe, store, data, data_folder, output, device, saved, scored, start, log)


def evaluate(
    path: Path, data_folder: Path | None, cache: Path, device: torch.device, *, workers: int | None = None
) -> Checkpoint:
    """Score a checkpoint again on the split that it was trained with.

    Parameters
    ----------
    path : Path
        The checkpoint.
    data_folder : Path or None
        None for the folder that the checkpoint was trained on, as its run noted it.
    cache : Path
    device : torch.device
    workers : int, optional
        As in `train`.

    Returns
    -------
    Checkpoint
        With the `metrics` that `train` or `refit` stored.

    Raises
    ------
    CheckpointError, DataError, LostWorkerError
    """
    checkpoint = load_checkpoint(path, (*MEASURED, "temperature", "confidence_threshold"))
    recipe, folds = checkpoint.parsed_recipe(), stored_folds(checkpoint, path)
    data_folder = data_folder or trained_on(path)
    tracks = read_branch_tracks(data_folder, checkpoint.network.branch)
    label_indices(tracks, checkpoint.labels)
    for fold in folds:
        stored_split(fold.held_out, [track.track_id for track in tracks])
    store = open_store(tracks, checkpoint.audio, cache, workers)
    split = everything_trains(len(store.tracks))
    twins = _open_twins(data_folder, store, checkpoint.audio, cache, workers)
    data = load_clips(store, recipe, checkpoint.audio, checkpoint.labels, split, twins)
    if checkpoint.folds:
        return replace(checkpoint, metrics=score(folds, data, device, refitted=checkpoint).metrics)
    assert checkpoint.temperature is not None
    assert checkpoint.confidence_threshold is not None
    calibration = checkpoint.temperature, checkpoint.confidence_threshold
    return replace(checkpoint, metrics=score(folds, data, device, calibration).metrics)


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
    audio = front_end(recipe.network.branch)
    store = open_store(read_branch_tracks(data_folder, recipe.network.branch), audio, cache, workers)
    twins = _open_twins(data_folder, store, audio, cache, workers)
    split = everything_trains(len(store.tracks))
    data = load_clips(store, recipe, audio, label_names(read_tracks(data_folder)), split, twins)
    return recognise_sources(
        data, network_bands(recipe.network, data.clips.shape[1]), recipe.training.noise_db / data.decibels
    )


def _open_twins(
    data_folder: Path, store: FeatureStore, audio: AudioConfig, cache: Path, workers: int | None
) -> FeatureStore | None:
    """Open the features of the audio of clips that are there as pictures."""
    twins = read_twins(data_folder, store.tracks)
    with first_process_first():
        return open_store(twins, audio, cache, workers) if twins else None


def document_run(folder: Path, checkpoint: Checkpoint, data_folder: Path) -> None:
    """Write the report of a finished run, and the note that `trained_on` reads.

    Parameters
    ----------
    folder : Path
        `RUN_FOLDER` beside the checkpoint.
    checkpoint : Checkpoint
    data_folder : Path
    """
    write_run_folder(folder, checkpoint)
    (folder / DATA_FOLDER_NAME).write_bytes(os.fsencode(data_folder.absolute()))


def trained_on(path: Path) -> Path:
    """Return the data folder of the run that wrote a checkpoint.

    Parameters
    ----------
    path : Path
        The checkpoint.

    Raises
    ------
    DataError
        It is not known, or does not exist any more.
    """
    note = path.parent / RUN_FOLDER / DATA_FOLDER_NAME
    if not note.is_file():
        raise DataError(f"the data folder of {path} is not known, there is no {note}: name it with --data")
    folder = Path(os.fsdecode(note.read_bytes()))
    if not folder.exists():
        raise DataError(f"{folder}, on which {path} was trained, does not exist: name the data folder with --data")
    return folder


def _interrupted_run(folder: Path, resume: bool) -> dict[str, Any] | None:
    """Return what an interrupted run saved; refuse to overwrite one, or to resume one that does not exist."""
    path = folder / STATE_NAME
    if resume and not path.is_file():
        raise CheckpointError(f"{folder} has no interrupted run to resume: leave out --resume")
    if not resume and path.is_file():
        raise CheckpointError(
            f"{folder} has an interrupted run: continue it with --resume, or remove {path} to start from the beginning"
        )
    if not resume:
        return None
    saved = load_values(path, ("run", "state"))
    if not isinstance(saved["run"], dict) or saved["run"].keys() != {"recipe", "clips", "held_out", "left_out"}:
        raise CheckpointError(
            f"{path} was written by another version of this project: remove it and leave out --resume"
        )
    return saved


def _left_out(saved: dict[str, Any] | None) -> Collection[str]:
    """Return the clips that the interrupted run could not read."""
    return saved["run"]["left_out"] if saved else ()


def _open_data(
    recipe: Recipe,
    data_folder: Path,
    cache: Path,
    workers: int | None,
    divide: Callable[[list[Track]], Split],
    saved: dict[str, Any] | None,
    left_out: Collection[str],
) -> tuple[FeatureStore, TrainingData]:
    """Open the features of a data folder, and report the clips left out.

    All clips but those that were left out before are checked before features are computed, which may take hours; the
    clips that could be read are checked again.
    """
    branch = recipe.network.branch
    audio, tracks = front_end(branch), read_branch_tracks(data_folder, branch)
    _checked_split(recipe, [track for track in tracks if track.track_id not in left_out], divide, saved)
    with first_process_first():
        store = open_store(tracks, audio, cache, workers)
    if store.left_out and rank() == 0:
        print(f"left out: {counted(len(store.left_out), 'clip')}")
        for track_id, reason in store.left_out.items():
            print(f"  {track_id}: {reason}")
    split = _checked_split(recipe, store.tracks, divide, saved)
    twins = _open_twins(data_folder, store, audio, cache, workers)
    # Branches that are to be fused answer the same genres, also those that no audio file of the folder has.
    names = label_names(store.tracks if branch == "picture" else read_tracks(data_folder))
    return store, load_clips(store, recipe, audio, names, split, twins)


def _checked_split(
    recipe: Recipe, tracks: list[Track], divide: Callable[[list[Track]], Split], saved: dict[str, Any] | None
) -> Split:
    """Divide clips; raise an error if a network cannot be trained on them, or if an interrupted run had others."""
    names = label_names(tracks)
    if len(names) < 2:
        raise DataError(f"the data folder has the genre {' '.join(names)} only: expected at least two genres")
    if saved:
        _check_resumed(recipe, tracks, saved["run"])
    split = divide(tracks)
    if saved and saved["run"]["held_out"] != _held_out(tracks, split):
        raise CheckpointError(
            "the interrupted run held out other clips: resume with the same artists and parts, or remove "
            f"{RUN_FOLDER}/{STATE_NAME}"
        )
    sizes = {part: len(getattr(split, part)) for part in PARTS}
    found = ", ".join(f"{size} {part}" for part, size in sizes.items())
    if len({tracks[i].label for i in split.train}) < 2:
        raise DataError(
            f"the clips are divided into {found}, the training clips are all of the genre "
            f"{tracks[split.train[0]].label}: expected training clips of two genres; add clips of other artists"
        )
    size = min(recipe.training.batch_size, sizes["train"])
    if size % n_processes() or size < 2 * n_processes():
        raise DataError(
            f"the clips are divided into {found}, a batch of {size} for {n_processes()} processes: expected at least "
            "two clips for each process, and the same number for all; add clips, or change training.batch_size"
        )
    return split


def _held_out(tracks: Sequence[Track], split: Split) -> dict[str, list[str]]:
    parts = {"validation": split.validation, "test": split.test}
    return {part: [tracks[i].track_id for i in positions] for part, positions in parts.items()}


def _changed_values(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return old and new value of each value of a recipe that changed, by `table.key`."""
    old, new = ({f"{t}.{key}": value for t in tables for key, value in tables[t].items()} for tables in (before, now))
    return {name: (old.get(name), value) for name, value in new.items() if old.get(name) != value}


def _changes(changed: Mapping[str, tuple[Any, Any]], where: str) -> str:
    return ", ".join(f"{name} is {old!r} {where} and {new!r} now" for name, (old, new) in changed.items())


def _check_resumed(recipe: Recipe, tracks: Sequence[Track], run: Mapping[str, Any]) -> None:
    """Raise an error that names what an interrupted run had instead of this recipe and these clips."""
    clips, before = {track.track_id: track.label for track in tracks}, run["clips"]
    genres, genres_before = set(clips.values()), set(before.values())
    changed = _changed_values(run["recipe"], recipe.to_dict())
    first = next((name for name in {**before, **clips} if before.get(name) != clips.get(name)), None)
    if changed:
        found = _changes(changed, "in the interrupted run")
    elif genres != genres_before:
        found = f"the interrupted run had the genres {sorted(genres_before)}, now there are {sorted(genres)}"
    elif first is not None:
        found = (
            f"the interrupted run had {counted(len(before), 'clip')}, now there are {len(clips):,}; the first that "
            f"differs is {first} ({before.get(first, 'not there')} then, {clips.get(first, 'not there')} now)"
        )
    else:
        return
    raise CheckpointError(f"{found}: resume with the same recipe and clips, or remove {RUN_FOLDER}/{STATE_NAME}")


def _check_held_out(checkpoints: Sequence[Checkpoint], tracks: Sequence[Track], data_folder: Path) -> None:
    """Raise an error unless the folds can be scored on these clips: otherwise it would come after the training."""
    branch = checkpoints[0].network.branch
    names = label_names(tracks if branch == "picture" else read_tracks(data_folder))
    for fold, checkpoint in enumerate(checkpoints):
        if checkpoint.labels != names:
            raise CheckpointError(
                f"fold {fold} was trained on the genres {', '.join(checkpoint.labels)}, the data folder has "
                f"{', '.join(names)}: refit on the data that the folds were trained on"
            )
        stored_split(checkpoint.held_out, [track.track_id for track in tracks])


def _run(
    recipe: Recipe,
    store: FeatureStore,
    data: TrainingData,
    data_folder: Path,
    output: Path,
    device: torch.device,
    saved: dict[str, Any] | None,
    scored: Callable[[Checkpoint], Checkpoint],
    start: StartingWeights | None,
    log: Log | None,
) -> Path:
    """Train all epochs; `scored` adds the scores to the checkpoint that was kept."""
    folder = output / RUN_FOLDER
    shown = data
    if recipe.training.outlier_share:
        outliers = outlier_log_mels(N_OUTLIERS, data.clips.shape[2], front_end(recipe.network.branch), recipe.data.seed)
        shown = replace(data, outliers=torch.from_numpy(outliers).half())
    trainer = Trainer(shown, recipe, device, start.tensors if start else None)
    held_out = _held_out(store.tracks, data.split)
    provenance = {
        "clips_per_source": dict(Counter(track.source for track in store.tracks)),
        "clips_without_artist": dict(Counter(track.source for track in store.tracks if not artist_is_known(track))),
        "clips_left_out": store.left_out,
        "split": asdict(recipe.data) | {part: len(getattr(data.split, part)) for part in PARTS},
        "versions": {
            "genre_training": __version__,
            "torch": str(torch.__version__),
            "python": platform.python_version(),
        },
        "device": device.type,
        "precision": str(autocast_dtype(device) or torch.float32),
    }
    if start:
        provenance["init"] = start.provenance

    run = {
        "recipe": recipe.to_dict(),
        "clips": {track.track_id: track.label for track in store.tracks},
        "held_out": held_out,
        "left_out": list(store.left_out),
    }

    def save_state() -> None:
        if rank() == 0:
            save_values({"run": run, "state": trainer.state()}, folder / STATE_NAME)

    if saved:
        trainer.resume(saved["state"])
    else:
        save_state()
    while len(trainer.history) < recipe.training.epochs:
        better = trainer.run_epoch()
        if log and rank() == 0:
            log(trainer.history[-1])
        if better:
            best = replace(trainer.checkpoint(), provenance=provenance, held_out=held_out)
            if rank() == 0:
                save_checkpoint(best, folder / CHECKPOINT_NAME)
        save_state()
    if rank() == 0:
        checkpoint = scored(replace(load_checkpoint(folder / CHECKPOINT_NAME), history=trainer.history))
        save_checkpoint(checkpoint, output / CHECKPOINT_NAME)
        document_run(folder, checkpoint, data_folder)
        (folder / STATE_NAME).unlink()
        (folder / CHECKPOINT_NAME).unlink()
    return output / CHECKPOINT_NAME
