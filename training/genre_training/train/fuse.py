"""Joins a trained audio branch and a trained picture branch into one model."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from genre_runtime.calibration import genre_set_threshold, genre_sets
from genre_training import RUN_FOLDER
from genre_training.data.features import FeatureStore, label_indices, open_store
from genre_training.data.folders import read_branch_tracks
from genre_training.data.splits import TrainingData, everything_trains, load_clips
from genre_training.data.track import DataError
from genre_training.evaluate.fusion import Fusion, fit_fusion, judged_fusion, reliability, tag_thresholds
from genre_training.evaluate.metrics import excerpt_logits, track_probabilities
from genre_training.evaluate.score import Scores, score_answers
from genre_training.model.checkpoint import (
    FOLDS_FOLDER,
    MEASURED,
    Checkpoint,
    CheckpointError,
    half_precision,
    keep_folds,
    load_checkpoint,
    save_checkpoint,
    stored_folds,
)
from genre_training.model.fusion import published_tags
from genre_training.model.network import GenreNetwork, front_end
from genre_training.train.probe import silence_above
from genre_training.train.run import CHECKPOINT_NAME, document_run, trained_on

BRANCHES = ("audio", "picture")
FEWEST_CLIPS = 30
"""A fusion of fewer clips would say little about others."""
LOWER_END = 10_000.0
"""In Hz. Files may end there, as old recordings and low bit rates do. The picture branch sees less anyway."""


@dataclass(frozen=True)
class HeldOutAnswers:
    """Answers of both branches to the clips that neither was trained with.

    Attributes
    ----------
    data : TrainingData
        The clips, each with a fine spectrogram.
    logits : float64 array, shape (2, n_clips, n_excerpts, n_labels)
        Of the audio branch and of the picture branch.
    ending_lower : float64 array, shape (2, n_clips, n_excerpts, n_labels)
        The same to these clips without what lies above `LOWER_END`.
    tags : float64 array, shape (n_clips, n_tags)
        Probabilities.
    reliability : float64 array, shape (n_labels,)
        Of the audio branch for each genre, see `genre_training.evaluate.fusion.reliability`.
    """

    data: TrainingData
    logits: NDArray[np.float64]
    ending_lower: NDArray[np.float64]
    tags: NDArray[np.float64]
    reliability: NDArray[np.float64]


def fuse_branches(
    audio: Sequence[Path],
    picture: Sequence[Path],
    data_folder: Path,
    output: Path,
    cache: Path,
    device: torch.device,
    *,
    workers: int | None = None,
) -> Path:
    """Learn the fusion of two branches, and write the model of both into `output/best_model.pt`.

    The fusion is learnt and judged on the audio files that neither branch was trained with: those that the branches'
    folds tested, or that the branches held out.

    Parameters
    ----------
    audio, picture : sequence of Path
        Checkpoints of the branches. The first of each is used. Others of the same recipe, trained on other parts of
        the data, answer what they held out: then the fusion is learnt from more clips.
    data_folder, output, cache : Path
    device : torch.device
    workers : int, optional
        Largest number of processes that compute features; by default one per core.

    Returns
    -------
    Path
        The checkpoint.

    Raises
    ------
    CheckpointError, DataError, LostWorkerError
    """
    folds = {branch: _networks(paths, branch) for branch, paths in zip(BRANCHES, (audio, picture), strict=True)}
    checkpoints = {branch: load_checkpoint(paths[0]) for branch, paths in zip(BRANCHES, (audio, picture), strict=True)}
    _check_together(checkpoints)
    several = max(len(networks) for networks in folds.values()) > 1
    if several:  # scored as they are kept: `evaluate_fused` then finds the same figures
        folds = {branch: [half_precision(one) for one in networks] for branch, networks in folds.items()}
    held_out = answer_held_out(folds, data_folder, cache, device, workers)
    names = np.array(held_out.data.names)
    fusion = fit_fusion(held_out.logits, held_out.data.labels, held_out.data.sources, held_out.reliability)
    scores = score_fusion(held_out, fusion)
    calibrated = track_probabilities(fusion.apply(held_out.logits), scores.temperature)
    groups = held_out.data.groups_of(np.arange(len(names[held_out.data.labels])))
    set_threshold = genre_set_threshold(_given(calibrated, held_out.data.labels), groups)
    validation = scores.metrics["validation"]
    chosen = checkpoints["picture"]
    checkpoint = replace(
        chosen,
        model_state_dict=_joined_weights(checkpoints, fusion),
        optimizer_state_dict={branch: checkpoints[branch].optimizer_state_dict for branch in BRANCHES},
        audio_network=checkpoints["audio"].network,
        val_acc=validation["accuracy"],
        val_loss=validation["log_loss"],
        temperature=scores.temperature,
        confidence_threshold=scores.confidence_threshold,
        genre_set_threshold=set_threshold,
        tag_thresholds=tag_thresholds(held_out.tags, names[held_out.data.labels]),
        metrics={
            **scores.metrics,
            **({"picture": chosen.metrics["test"]} if "test" in chosen.metrics else {}),
            "fusion": {
                "weights": dict(zip(BRANCHES, fusion.weights.tolist(), strict=True)),
                "reliability": dict(zip(names.tolist(), fusion.reliability.tolist(), strict=True)),
            },
        },
        provenance={**chosen.provenance, "branches": {name: _provenance(one) for name, one in checkpoints.items()}},
        held_out={"test": _held_out_by_both(checkpoints), "validation": []},
        folds=None,
    )
    for branch in BRANCHES:  # only now, so that an interruption leaves the older model whole
        shutil.rmtree(output / FOLDS_FOLDER / branch, ignore_errors=True)
        if several:
            keep_folds(folds[branch], output, branch)
    save_checkpoint(checkpoint, output / CHECKPOINT_NAME)
    document_run(output / RUN_FOLDER, checkpoint, data_folder)
    return output / CHECKPOINT_NAME


def evaluate_fused(
    path: Path, data_folder: Path | None, cache: Path, device: torch.device, *, workers: int | None = None
) -> Checkpoint:
    """Score a model of two branches again, on the clips that neither branch was trained with.

    Parameters
    ----------
    path : Path
        The checkpoint.
    data_folder : Path or None
        None for the folder that the checkpoint was fused on, as its run noted it.
    cache : Path
    device : torch.device
    workers : int, optional
        As in `fuse_branches`.

    Returns
    -------
    Checkpoint
        With the `metrics` that `fuse_branches` stored.

    Raises
    ------
    CheckpointError, DataError, LostWorkerError
    """
    checkpoint = load_checkpoint(path, ("temperature", "held_out"))
    data_folder = data_folder or trained_on(path)
    weights = checkpoint.model_state_dict
    fusion = Fusion(weights["weights"].double().numpy(), weights["reliability"].double().numpy())
    folds = {branch: _branch_networks(checkpoint, path, branch) for branch in BRANCHES}
    scores = score_fusion(answer_held_out(folds, data_folder, cache, device, workers), fusion)
    return replace(checkpoint, metrics={**checkpoint.metrics, **scores.metrics})


def fused_folds(checkpoint: Checkpoint, path: Path) -> Iterator[Checkpoint]:
    """Yield a model of two branches for each pair of folds, with the clips that neither was trained with.

    Parameters
    ----------
    checkpoint : Checkpoint
        Of two branches.
    path : Path
        Its file, with the folds beside it; without folds the model itself is the only one.

    Yields
    ------
    Checkpoint
        Its `held_out` names these clips as the part `validation`.

    Raises
    ------
    CheckpointError
        A fold is damaged.
    """
    fusion = {name: checkpoint.model_state_dict[name] for name in ("weights", "reliability")}
    folds = [_branch_networks(checkpoint, path, branch) for branch in BRANCHES]
    for pair in product(*folds):  # the branches know different clips, so their folds divide the artists differently
        common = set.intersection(*(set(one.held_out["test"]) for one in pair))
        if common:
            weights = _branch_weights(dict(zip(BRANCHES, pair, strict=True))) | fusion
            yield replace(checkpoint, model_state_dict=weights, held_out={"test": [], "validation": sorted(common)})


def _branch_networks(checkpoint: Checkpoint, path: Path, branch: str) -> list[Checkpoint]:
    """Return the folds of a branch, or the branch itself if it had no folds."""
    folder = path.parent / FOLDS_FOLDER / branch
    if folder.is_dir():
        return [load_checkpoint(one, MEASURED) for one in sorted(folder.glob("*.pt"))]
    prefix = f"{branch}."
    weights = {
        name.removeprefix(prefix): tensor
        for name, tensor in checkpoint.model_state_dict.items()
        if name.startswith(prefix)
    }
    network = checkpoint.audio_network if branch == "audio" else checkpoint.network
    assert network is not None
    audio = front_end(network.branch)
    recipe = checkpoint.provenance["branches"][branch]["recipe"]
    single = replace(checkpoint, audio_network=None, network=network, audio=audio, recipe=recipe)
    return [replace(single, model_state_dict=weights)]


def score_fusion(held_out: HeldOutAnswers, fusion: Fusion) -> Scores:
    """Score a fusion on clips that it had no part of, and each branch by itself on the same clips.

    Parameters
    ----------
    held_out : HeldOutAnswers
    fusion : Fusion
        Fitted to all of these clips: its answers are the validation part.
    """
    data = held_out.data
    groups = data.groups_of(np.arange(len(data.labels)))
    judged = judged_fusion(held_out.logits, data.labels, data.sources, fusion.reliability, groups)
    scores = score_answers(judged, fusion.apply(held_out.logits), data)
    for branch, logits in zip(BRANCHES, held_out.logits, strict=True):
        scores.metrics[f"{branch}_branch"] = score_answers(logits, logits, data).metrics["files"]
    lower = judged_fusion(
        held_out.logits, data.labels, data.sources, fusion.reliability, groups, answered=held_out.ending_lower
    )
    scores.metrics["ending_lower"] = score_answers(lower, lower, data).metrics["files"]
    probabilities = track_probabilities(judged, scores.temperature)
    sets = genre_sets(probabilities, genre_set_threshold(_given(probabilities, data.labels), groups))
    right = sets[np.arange(len(sets)), data.labels]
    scores.metrics["genre_sets"] = {"right": float(right.mean()), "mean_size": float(sets.sum(axis=1).mean())}
    return scores


def answer_held_out(
    folds: Mapping[str, list[Checkpoint]], data_folder: Path, cache: Path, device: torch.device, workers: int | None
) -> HeldOutAnswers:
    """Answer the audio files that no branch was trained with.

    Parameters
    ----------
    folds : mapping of str to list of Checkpoint
        Of each branch: its folds, or one network.
    data_folder, cache : Path
    device : torch.device
    workers : int or None

    Raises
    ------
    DataError
        There are too few of these files.
    """
    tracks = read_branch_tracks(data_folder, "audio")
    answers, stores = {}, {}
    tags: dict[str, NDArray[np.float64]] = {}
    for branch in BRANCHES:
        stores[branch] = open_store(tracks, front_end(branch), cache, workers)  # type: ignore[arg-type]
        answers[branch], found = _answers(folds[branch], stores[branch], device)
        tags |= found
    lower, _ = _answers(folds["audio"], stores["audio"], device, LOWER_END)
    common = [one.track_id for one in stores["audio"].tracks if all(one.track_id in answers[b] for b in BRANCHES)]
    if len(common) < FEWEST_CLIPS:
        raise DataError(
            f"{len(common)} audio files of {data_folder} were trained on by neither branch: expected at least "
            f"{FEWEST_CLIPS}, to learn how much each branch counts; cross-validate both branches, or add audio files"
        )
    first = folds["audio"][0]
    kept = _restricted(stores["audio"], common)
    data = load_clips(
        kept, first.parsed_recipe(), front_end("audio"), first.labels, everything_trains(len(kept.tracks))
    )
    by_audio, by_picture, by_audio_of_lower = (
        np.stack([found[name] for name in common]) for found in (answers["audio"], answers["picture"], lower)
    )
    logits, ending_lower = np.stack([by_audio, by_picture]), np.stack([by_audio_of_lower, by_picture])
    audio_tracks = stores["audio"].tracks
    groups = np.array([track.group for track in audio_tracks])
    known = reliability(label_indices(audio_tracks, first.labels), groups, len(first.labels))
    return HeldOutAnswers(data, logits, ending_lower, np.stack([tags[name] for name in common]), known)


def _answers(
    folds: list[Checkpoint], store: FeatureStore, device: torch.device, end: float | None = None
) -> tuple[dict[str, NDArray[np.float64]], dict[str, NDArray[np.float64]]]:
    """Return logits (n_excerpts, n_labels) and tag probabilities of the clips that a branch was not trained with.

    With `end`, the logits of these clips without what lies above this frequency, and no tags.
    """
    position = {track.track_id: i for i, track in enumerate(store.tracks)}
    answers: dict[str, list[NDArray[np.float64]]] = {}
    tags: dict[str, NDArray[np.float64]] = {}
    for checkpoint in folds:
        names = [name for name in checkpoint.held_out["test"] if name in position]
        if len(folds) == 1:  # a network that no folds stand for: nothing was chosen by the few parameters of a fusion
            names += [name for name in checkpoint.held_out["validation"] if name in position]
        if not names:
            continue
        clips = torch.from_numpy(np.array(store.log_mel[[position[name] for name in names]]))
        if end is not None:
            silence_above(clips, checkpoint.audio, end)
        seconds = checkpoint.excerpt_seconds or 10.0
        n_frames = round(seconds / checkpoint.audio.frame_seconds)
        network = checkpoint.trained_network().to(device)
        assert isinstance(network, GenreNetwork)
        for name, logits in zip(names, excerpt_logits(network, clips, n_frames, device), strict=True):
            answers.setdefault(name, []).append(logits)
        if network.classes is not None and end is None:
            tags |= dict(zip(names, _tag_probabilities(network, clips, n_frames, device), strict=True))
    return {name: np.mean(found, axis=0) for name, found in answers.items()}, tags


class _Tags(torch.nn.Module):
    """Answers the published tags instead of genres."""

    def __init__(self, network: GenreNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, log_mel: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        embedding = self.network(log_mel)[1]
        return self.network.read_classes(embedding)[:, published_tags()], embedding


def _tag_probabilities(
    network: GenreNetwork, clips: torch.Tensor, n_frames: int, device: torch.device
) -> NDArray[np.float64]:
    logits = excerpt_logits(_Tags(network), clips, n_frames, device)
    probabilities: NDArray[np.float64] = (1 / (1 + np.exp(-logits))).mean(axis=1)
    return probabilities


def _restricted(store: FeatureStore, names: list[str]) -> FeatureStore:
    kept = set(names)
    rows = [i for i, track in enumerate(store.tracks) if track.track_id in kept]
    return FeatureStore(store.log_mel[rows], [store.tracks[i] for i in rows], store.left_out)


def _held_out_by_both(checkpoints: Mapping[str, Checkpoint]) -> list[str]:
    """Return the clips that the two networks which are joined have not been trained with."""
    held_out = {branch: [*one.held_out["test"], *one.held_out["validation"]] for branch, one in checkpoints.items()}
    return [name for name in held_out["audio"] if name in set(held_out["picture"])]


def _provenance(checkpoint: Checkpoint) -> dict[str, Any]:
    """Return what a branch was made from, and its own figures on the test clips of its split."""
    return {**checkpoint.provenance, "recipe": checkpoint.recipe, "epoch": checkpoint.epoch}


def _joined_weights(checkpoints: Mapping[str, Checkpoint], fusion: Fusion) -> dict[str, torch.Tensor]:
    return _branch_weights(checkpoints) | {
        "weights": torch.from_numpy(fusion.weights).float(),
        "reliability": torch.from_numpy(fusion.reliability).float(),
    }


def _branch_weights(checkpoints: Mapping[str, Checkpoint]) -> dict[str, torch.Tensor]:
    return {
        f"{branch}.{name}": tensor
        for branch in BRANCHES
        for name, tensor in checkpoints[branch].model_state_dict.items()
    }


def _networks(paths: Sequence[Path], branch: str) -> list[Checkpoint]:
    """Read the networks that answer for a branch: its folds, or all that are named."""
    found = []
    for path in paths:
        checkpoint = load_checkpoint(path, MEASURED)
        if checkpoint.audio_network:
            raise CheckpointError(f"{path} is a model of two branches: expected the {branch} branch alone")
        if checkpoint.network.branch != branch:
            raise CheckpointError(
                f"{path} is a network of the {checkpoint.network.branch} branch: expected the {branch} branch"
            )
        found += stored_folds(checkpoint, path)
    if len({(one.network, one.labels) for one in found}) > 1:
        raise CheckpointError(f"the checkpoints of the {branch} branch differ in network or genres: expected the same")
    return found


def _check_together(checkpoints: Mapping[str, Checkpoint]) -> None:
    audio, picture = checkpoints["audio"], checkpoints["picture"]
    if audio.labels != picture.labels:
        raise CheckpointError(
            f"the audio branch knows the genres {', '.join(audio.labels)}, the picture branch "
            f"{', '.join(picture.labels)}: train both on the same genres"
        )
    if not audio.network.tags:
        raise CheckpointError("the audio branch answers no tags: set network.tags in its recipe")
    if audio.excerpt_seconds != picture.excerpt_seconds:
        raise CheckpointError("the branches were trained for excerpts of different lengths: expected the same")


def _given(probabilities: NDArray[np.float64], labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the probability of each track's own genre."""
    given: NDArray[np.float64] = probabilities[np.arange(len(labels)), labels]
    return given
