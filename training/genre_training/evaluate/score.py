"""A part's metrics as words, for the terminal and for the report.

`values` is what `evaluate_checkpoint` holds for one part (`validation` or `test`) in `metrics`.

The figures of a checkpoint: calibrated on validation, scored on validation and test, source by source.

Figures of a recipe over five folds: every clip answered by a network that never saw its group.

A network that is trained on everything has no clip left to be measured with. Its figures are those of
the five networks before it, whose weights are kept beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from genre_runtime.model.metadata import AudioConfig
from genre_training.config import Recipe, recipe_from_tables
from genre_training.data.features import FeatureStore
from genre_training.data.splits import TEST_FOLDS, Indices, Split
from genre_training.data.track import DataError, Track
from genre_training.evaluate.metrics import (
    Probabilities,
    calibration_error,
    confidence_threshold,
    coverage_at_threshold,
    excerpt_gain,
    excerpt_logits,
    fit_temperature,
    reliability,
    score,
    track_probabilities,
)
from genre_training.model.network import GenreNetwork, NetworkConfig
from genre_training.train.batches import TrainingData
from genre_training.train.checkpoint import Checkpoint, CheckpointError, load_checkpoint, save_checkpoint

N_PRINTED_PAIRS = 5


def headline(values: Mapping[str, Any]) -> dict[str, str]:
    """Return the figures of all tracks together, by their names, in the order to read them."""
    confident, excerpts = values["confident"], values["excerpts"]
    right = "" if confident["precision"] is None else f", {confident['precision']:.1%} of them right"
    return {
        "accuracy": _with_interval(values, "accuracy"),
        "balanced accuracy": _with_interval(values, "balanced_accuracy"),
        "macro F1": _with_interval(values, "macro_f1"),
        "log-loss": f"{values['log_loss']:.3f}",
        "calibration error": f"{values['calibration_error_uncalibrated']:.3f} -> {values['calibration_error']:.3f}",
        "confident answers": f"{confident['coverage']:.1%} of the tracks{right}",
        "one excerpt -> track": f"{excerpts['single_excerpt_accuracy']:.1%} -> {excerpts['track_accuracy']:.1%}",
    }


def summary(part: str, values: Mapping[str, Any]) -> str:
    """Return a table of one part for the terminal: headline figures, sources and what is most often confused."""
    rows = list(headline(values).items())
    rows += [
        (source, f"{one['accuracy']:.1%}, among its own genres {one['accuracy_own_genres']:.1%} ({one['n_tracks']})")
        for source, one in values["per_source"].items()
    ]
    pairs = values["confused_pairs"][:N_PRINTED_PAIRS]
    rows += [("confused", f"{true} taken for {answer} ({count})") for true, answer, count in pairs]
    width = max(len(name) for name, _ in rows)
    lines = [f"  {name:<{width}}  {text}" for name, text in rows]
    return "\n".join([f"{part}: {values['n_tracks']} tracks, 95 % intervals in brackets", *lines])


def _with_interval(values: Mapping[str, Any], name: str) -> str:
    low, high = values[f"{name}_interval"]
    return f"{values[name]:.1%} [{low:.1%}, {high:.1%}]"


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
        As `evaluate_checkpoint`, with `val_acc` and `val_loss` of all validation clips and
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
