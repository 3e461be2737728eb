"""Figures of a recipe over five folds: every clip answered by a network that never saw its group.

A network that is trained on everything has no clip left to be measured with. Its figures are those of
the five networks before it, whose weights are kept beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from genre_runtime.metadata import AudioConfig
from genre_training.batches import TrainingData
from genre_training.checkpoint import Checkpoint, CheckpointError, load_checkpoint, save_checkpoint
from genre_training.config import Recipe, recipe_from_tables
from genre_training.evaluation import excerpt_logits
from genre_training.scoring import network_of, score_logits
from genre_training.splits import TEST_FOLDS, Split
from genre_training.store import FeatureStore
from genre_training.tracks import DataError, Track

FOLDS_FOLDER = "folds"
MEASURED = ("recipe", "held_out")
"""What a checkpoint has to hold beside its weights to be measured."""


def fold_name(fold: int) -> str:
    """File name of one fold's weights."""
    return f"fold{fold}.pt"


def read_folds(paths: Sequence[Path]) -> list[Checkpoint]:
    """Read the checkpoints of five folds of one recipe, in the order of their folds.

    Raises
    ------
    CheckpointError
        A fold is missing or there twice, or the recipes differ in more than the fold.
    """
    checkpoints = sorted((load_checkpoint(path, MEASURED) for path in paths), key=lambda one: recipe_of(one).data.fold)
    recipes = [recipe_of(checkpoint) for checkpoint in checkpoints]
    found = [recipe.data.fold for recipe in recipes]
    if found != list(range(TEST_FOLDS)):
        raise CheckpointError(f"{len(paths)} checkpoints of the folds {found}: expected folds 0 to {TEST_FOLDS - 1}")
    if len({replace(recipe, data=replace(recipe.data, fold=0)) for recipe in recipes}) > 1:
        raise CheckpointError(
            "the folds were trained with different recipes: expected them to differ in data.fold alone"
        )
    if recipes[0].data.split == "official":
        raise CheckpointError("the split 'official' has no folds: cross-validate a recipe of the split 'grouped'")
    return checkpoints


def check_recipe(folds: Sequence[Checkpoint], recipe: Recipe) -> None:
    """Refuse folds of another recipe, which an earlier run may have left.

    Raises
    ------
    CheckpointError
    """
    if replace(recipe, data=replace(recipe.data, fold=0)) != recipe_of(folds[0]):
        raise CheckpointError("the folds were trained with another recipe: remove them, or name the recipe they are of")


def keep_folds(checkpoints: Sequence[Checkpoint], output: Path) -> list[Checkpoint]:
    """Write what measuring the folds again takes into `output/folds`, weights as float16; returns what was written."""
    kept = []
    for fold, checkpoint in enumerate(checkpoints):
        names = ("epoch", "val_acc", "val_loss", "labels", "audio", "network", *MEASURED)
        weights = {
            name: tensor.half() if tensor.is_floating_point() else tensor
            for name, tensor in checkpoint["model_state_dict"].items()
        }
        path = output / FOLDS_FOLDER / fold_name(fold)
        save_checkpoint({**{name: checkpoint[name] for name in names}, "model_state_dict": weights}, path)
        kept.append(load_checkpoint(path))
    return kept


def score_folds(
    folds: Sequence[Checkpoint],
    store: FeatureStore,
    data: TrainingData,
    device: torch.device,
    stored: tuple[float, float] | None = None,
) -> dict[str, Any]:
    """Calibrate on the folds' validation clips and score their test clips, each clip once.

    A source's own test part is tested by every fold: a fifth of it counts for each.

    Returns
    -------
    dict
        As `genre_training.scoring.evaluate_checkpoint`, with `val_acc` and `val_loss` of all validation clips and
        `metrics["folds"]`, each fold's accuracy on all of its test clips by source.
    """
    logits: dict[str, list[np.ndarray[Any, Any]]] = {"validation": [], "test": []}
    positions: dict[str, list[np.ndarray[Any, Any]]] = {"validation": [], "test": []}
    per_fold = []
    splits = [stored_split(checkpoint["held_out"], store.tracks) for checkpoint in folds]
    times_tested = np.bincount(np.concatenate([split.test for split in splits]), minlength=len(store.tracks))
    for fold, checkpoint in enumerate(folds):
        network = network_of(checkpoint).to(device)
        split = splits[fold]
        answers = {
            part: excerpt_logits(network, data.clips[getattr(split, part)], data.excerpt_frames, device)
            for part in logits
        }
        own = np.flatnonzero(times_tested[split.test] == len(folds)).tolist()
        elsewhere = set(own) - set(own[fold::TEST_FOLDS])
        chosen = [i for i in range(len(split.test)) if i not in elsewhere]
        logits["validation"].append(answers["validation"])
        positions["validation"].append(split.validation)
        logits["test"].append(answers["test"][chosen])
        positions["test"].append(split.test[chosen])
        fitted = score_logits(answers, {"validation": split.validation, "test": split.test}, data, store.tracks)
        per_fold.append(fitted["metrics"]["test"]["per_source"])
    result = score_logits(
        {part: np.concatenate(values) for part, values in logits.items()},
        {part: np.concatenate(values) for part, values in positions.items()},
        data,
        store.tracks,
        stored,
    )
    result["metrics"]["folds"] = per_fold
    validation = result["metrics"]["validation"]
    return {**result, "val_acc": validation["accuracy"], "val_loss": validation["log_loss"]}


def recipe_of(checkpoint: Checkpoint) -> Recipe:
    """Return the recipe of a checkpoint; one of another version of this project is a CheckpointError."""
    try:
        return recipe_from_tables(checkpoint["recipe"])
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"the checkpoint was written by another version of this project: {error}") from error


def audio_of(checkpoint: Checkpoint) -> AudioConfig:
    """Return the audio settings of a checkpoint; those of another version of this project are a CheckpointError."""
    try:
        return AudioConfig.from_dict(checkpoint["audio"])
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"the checkpoint was written by another version of this project: {error}") from error


def stored_split(held_out: dict[str, list[str]], tracks: list[Track]) -> Split:
    """Find a checkpoint's split again by the clips' names: to split anew would differ once a clip came or went."""
    part_of = {track_id: part for part, ids in held_out.items() for track_id in ids}
    parts = np.array([part_of.get(track.track_id, "train") for track in tracks])
    split = Split(*(np.flatnonzero(parts == part) for part in ("train", "validation", "test")))
    if not split.validation.size or not split.test.size:
        raise DataError("the data folder holds no clip that the checkpoint was validated or tested with: name another")
    return split
