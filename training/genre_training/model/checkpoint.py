"""Checkpoints: one file of plain values and tensors, written whole or not at all.

The file holds a dict with the attributes of `Checkpoint` as keys; those that are None are left out. `bands`, the mel
bands that the network sees, is there as well.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from genre_runtime import AudioConfig, replacing
from genre_runtime.errors import GenreError
from genre_training.config import TEST_FOLDS, NetworkConfig, Recipe, parse_network, parse_recipe
from genre_training.model.fusion import FusedNetwork
from genre_training.model.network import GenreNetwork, front_end, network_bands

REQUIRED_KEYS = ("epoch", "model_state_dict", "val_acc", "val_loss", "labels", "audio", "network")
MEASURED = ("recipe", "held_out")
"""What a checkpoint needs beside its weights to be scored."""
FOLDS_FOLDER = "folds"


class CheckpointError(GenreError, ValueError):
    """A checkpoint is missing, damaged or not one of this project."""

    code = "checkpoint"


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A trained network and everything that is known about it.

    Attributes
    ----------
    epoch : int
        The epoch that was kept, from 1.
    model_state_dict : dict of str to Tensor
        Weights.
    val_acc, val_loss : float or None
        Accuracy (0 to 1) and log-loss on validation after calibration, whose lowest value chose the epoch; None if no
        clip was held out.
    labels : tuple of str
        Genre of each logit.
    audio : AudioConfig
    network : NetworkConfig
    optimizer_state_dict : dict or None
    recipe : dict
        The tables of the recipe. They stay plain values, so that a model of an older recipe can still be exported.
    excerpt_seconds : float or None
        Length of the excerpts that classify a track.
    history : list of dict
        One entry per epoch: epoch, learning_rate, train_loss, val_loss, val_acc, val_macro_f1, failed_clips, seconds.
    provenance : dict
        Clips by source, clips left out, sizes of the split, versions, device and precision.
    held_out : dict of str to list of str
        Names of the clips of the parts `validation` and `test`.
    temperature : float or None
        Divisor of the logits, fitted on validation.
    confidence_threshold : float or None
        Smallest probability of a confident answer.
    metrics : dict
        Scores of the parts `validation` and `test`, see `genre_training.evaluate.score`.
    folds : int or None
        Number of folds whose scores stand for a network that was trained on all clips.
    audio_network : NetworkConfig or None
        The audio branch of a model of two branches; `network` is then its picture branch.
    tag_thresholds : dict of str to float
        Smallest probability of each tag that is named, by its name.
    genre_set_threshold : float or None
        Smallest probability of a genre in the answer set.
    """

    epoch: int
    model_state_dict: dict[str, Tensor]
    val_acc: float | None
    val_loss: float | None
    labels: tuple[str, ...]
    audio: AudioConfig
    network: NetworkConfig
    optimizer_state_dict: dict[str, Any] | None = None
    recipe: dict[str, Any] = field(default_factory=dict)
    excerpt_seconds: float | None = None
    history: list[dict[str, Any]] = field(default_factory=list)
    provenance: dict[str, Any] = field(default_factory=dict)
    held_out: dict[str, list[str]] = field(default_factory=dict)
    temperature: float | None = None
    confidence_threshold: float | None = None
    metrics: dict[str, Any] = field(default_factory=dict)
    folds: int | None = None
    audio_network: NetworkConfig | None = None
    tag_thresholds: dict[str, float] = field(default_factory=dict)
    genre_set_threshold: float | None = None

    @property
    def fine_audio(self) -> AudioConfig | None:
        """Front end of the audio branch of a model of two branches."""
        return front_end("audio") if self.audio_network else None

    def to_dict(self) -> dict[str, Any]:
        """Return plain values and tensors, as the file holds them."""
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        values |= {"labels": list(self.labels), "audio": asdict(self.audio), "network": asdict(self.network)}
        values["audio_network"] = asdict(self.audio_network) if self.audio_network else None
        values["bands"] = list(network_bands(self.network, self.audio.n_mels))
        return {key: value for key, value in values.items() if key in REQUIRED_KEYS or value not in (None, {}, [])}

    def parsed_recipe(self) -> Recipe:
        """Return the recipe.

        Raises
        ------
        CheckpointError
            It is of another version of this project.
        """
        try:
            return parse_recipe(self.recipe)
        except ValueError as error:
            raise _other_version(error) from error

    def trained_network(self) -> GenreNetwork | FusedNetwork:
        """Rebuild the trained network, in evaluation mode.

        Raises
        ------
        CheckpointError
            The weights do not fit the network's config.
        """
        network: GenreNetwork | FusedNetwork
        if self.audio_network:
            network = FusedNetwork(len(self.labels), self.audio_network, self.network, self.audio.n_mels)
        else:
            network = GenreNetwork(len(self.labels), self.audio.n_mels, self.network)
        try:
            network.load_state_dict(self.model_state_dict)
        except (TypeError, ValueError, RuntimeError, AttributeError) as error:
            reason = str(error).splitlines()[0]
            raise CheckpointError(f"the checkpoint's weights do not fit the network it describes: {reason}") from error
        return network.eval()


def save_checkpoint(checkpoint: Checkpoint, path: Path) -> None:
    """Write a checkpoint through a temporary file, so that a crash leaves the older one whole.

    Parameters
    ----------
    checkpoint : Checkpoint
    path : Path
        Its folder is made if necessary.
    """
    save_values(checkpoint.to_dict(), path)


def save_values(values: Mapping[str, Any], path: Path) -> None:
    """Write a dict of plain values and tensors in the same way.

    Parameters
    ----------
    values : mapping
    path : Path
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        torch.save(dict(values), temporary)


def load_checkpoint(path: Path, more: Sequence[str] = ()) -> Checkpoint:
    """Read a checkpoint onto the CPU with `weights_only=True`, so that no code in the file is run.

    Parameters
    ----------
    path : Path
    more : sequence of str
        Keys that have to be in the file beside `REQUIRED_KEYS`.

    Raises
    ------
    CheckpointError
        The file is missing, damaged, lacks a key, or is of another version of this project.
    """
    values = load_values(path, (*REQUIRED_KEYS, *more))
    known = {item.name: values[item.name] for item in fields(Checkpoint) if item.name in values}
    try:
        known["audio"] = AudioConfig.from_dict(values["audio"])
        known["network"] = parse_network(values["network"])
        if known.get("audio_network"):
            known["audio_network"] = parse_network(values["audio_network"])
        checkpoint = Checkpoint(**{**known, "labels": tuple(values["labels"])})
    except (KeyError, TypeError, ValueError) as error:
        raise _other_version(error) from error
    # The weights do not tell from which bands they learnt: with others, the answers would be wrong unnoticed.
    if values.get("bands") != list(network_bands(checkpoint.network, checkpoint.audio.n_mels)):
        raise CheckpointError(
            f"{path} was trained on other mel bands than this version picks, by an earlier one: train it again"
        )
    return checkpoint


def load_values(path: Path, required: Sequence[str]) -> dict[str, Any]:
    """Read a dict that `save_values` wrote.

    Parameters
    ----------
    path : Path
    required : sequence of str
        Keys that have to be in the file.

    Raises
    ------
    CheckpointError
        The file is missing, damaged or lacks a key.
    """
    try:
        values = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise CheckpointError(f"no checkpoint at {path}: run `invoke train` first") from error
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path} is not a checkpoint, or holds more than weights and plain values: such a file could run code and "
            "is not loaded"
        ) from error
    except Exception as error:  # damaged bytes raise many types in torch's unpickler, LookupError among them
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise CheckpointError(f"{path} is damaged or not a checkpoint ({reason})") from error
    missing = [key for key in required if not isinstance(values, dict) or key not in values]
    if missing:
        raise CheckpointError(f"{path} lacks {', '.join(missing)}: a finished run of `invoke train` writes a whole one")
    return cast(dict[str, Any], values)


def read_folds(paths: Sequence[Path]) -> list[Checkpoint]:
    """Read the checkpoints of the five folds of one recipe, in the order of their folds.

    Parameters
    ----------
    paths : sequence of Path

    Raises
    ------
    CheckpointError
        A fold is missing or there twice, or the recipes differ in more than the fold.
    """
    pairs = [(one.parsed_recipe(), one) for one in (load_checkpoint(path, MEASURED) for path in paths)]
    pairs.sort(key=lambda pair: pair[0].data.fold)
    found = [recipe.data.fold for recipe, _ in pairs]
    if found != list(range(TEST_FOLDS)):
        raise CheckpointError(f"{len(paths)} checkpoints of the folds {found}: expected folds 0 to {TEST_FOLDS - 1}")
    if len({replace(recipe, data=replace(recipe.data, fold=0)) for recipe, _ in pairs}) > 1:
        raise CheckpointError(
            "the folds were trained with different recipes: expected them to differ in data.fold alone"
        )
    if pairs[0][0].data.split == "official":
        raise CheckpointError("the split 'official' has no folds: cross-validate a recipe of the split 'grouped'")
    return [checkpoint for _, checkpoint in pairs]


def half_precision(checkpoint: Checkpoint) -> Checkpoint:
    """Return a checkpoint with its weights as float16, as folds are kept.

    Parameters
    ----------
    checkpoint : Checkpoint
    """
    weights = {
        name: tensor.half() if tensor.is_floating_point() else tensor
        for name, tensor in checkpoint.model_state_dict.items()
    }
    return replace(checkpoint, model_state_dict=weights)


def keep_folds(checkpoints: Sequence[Checkpoint], output: Path, branch: str = "") -> list[Checkpoint]:
    """Write what scoring the folds again needs into `output/folds`, weights as float16.

    Parameters
    ----------
    checkpoints : sequence of Checkpoint
    output : Path
    branch : str
        Folder within `output/folds`, for a model of two branches.

    Returns
    -------
    list of Checkpoint
        What was written.
    """
    kept = []
    for fold, checkpoint in enumerate(checkpoints):
        values = half_precision(checkpoint).to_dict()
        path = _fold_path(output, fold, branch)
        kept_keys = (*REQUIRED_KEYS, *MEASURED, "bands", "excerpt_seconds")
        kept_values = {key: values[key] for key in kept_keys if key in values}
        save_values(kept_values, path)
        kept.append(load_checkpoint(path))
    return kept


def stored_folds(checkpoint: Checkpoint, path: Path) -> list[Checkpoint]:
    """Read the folds whose scores stand for a checkpoint that was trained on all clips; otherwise return itself.

    Parameters
    ----------
    checkpoint : Checkpoint
    path : Path
        The file it was read from.

    Raises
    ------
    CheckpointError
        A fold is missing or of another recipe.
    """
    if not checkpoint.folds:
        return [checkpoint]
    return read_folds([_fold_path(path.parent, fold) for fold in range(checkpoint.folds)])


def _fold_path(output: Path, fold: int, branch: str = "") -> Path:
    return output / FOLDS_FOLDER / branch / f"fold{fold}.pt"


def _other_version(error: Exception) -> CheckpointError:
    return CheckpointError(f"the checkpoint was written by another version of this project: {error}")
