"""Weights of other projects to start from: a registry of names, reading of files, and how a network starts from them.

Nothing of it is shipped: what a model contains is what its own training made of these weights. The model card and
`THIRD_PARTY.md` name source, copyright and licence.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from genre_runtime.download import fetch
from genre_training.config import NetworkConfig, TrainingConfig
from genre_training.model.checkpoint import CheckpointError
from genre_training.model.mobilenet import MobileNet
from genre_training.model.network import GenreNetwork

BACKBONE_PREFIX = "features."
HEAD_PREFIXES = ("classifier.", "classes.")
"""Of the head of AudioSet's classes: EfficientAT's name and ours."""
WEIGHTS_FOLDER = "weights"


@dataclass(frozen=True)
class Pretrained:
    """Weights that a training may start from.

    Attributes
    ----------
    address : str
        Where the file is downloaded from.
    sha256 : str
        First digits of the file's checksum, as far as they are published.
    n_bytes : int
    source, licence, copyright, heard : str
        For the model card.
    """

    address: str
    sha256: str
    n_bytes: int
    source: str
    licence: str
    copyright: str
    heard: str


REGISTRY = {
    "mn04_as": Pretrained(
        address="https://github.com/fschmid56/EfficientAT/releases/download/v0.0.1/mn04_as_mAP_432.pt",
        sha256="899a8c62",
        n_bytes=4_066_513,
        source="EfficientAT, https://github.com/fschmid56/EfficientAT",
        licence="MIT",
        copyright="Copyright (c) 2022 Florian Schmid",
        heard="AudioSet, two million clips of 527 classes of sound",
    ),
}


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read named tensors from an `.npz`, a `.safetensors` or a torch file, running no code in it.

    Parameters
    ----------
    path : Path

    Raises
    ------
    CheckpointError
        The file is missing, damaged, or holds something else.
    """
    try:
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as file:
                return {name: torch.from_numpy(file[name]) for name in file.files}
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return dict(load_file(path))
        values = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise CheckpointError(f"no weights at {path}: name a file, or one of {', '.join(REGISTRY)}") from error
    except Exception as error:  # damaged bytes raise many types
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise CheckpointError(f"{path} is damaged or holds no weights ({reason})") from error
    values = values.get("model_state_dict", values) if isinstance(values, dict) else values
    if not isinstance(values, dict) or not all(isinstance(tensor, Tensor) for tensor in values.values()):
        raise CheckpointError(f"{path} holds no weights: expected tensors by name")
    return values


def initialise(network: GenreNetwork, weights: dict[str, Tensor]) -> None:
    """Give the backbone of a network pretrained weights, and its head of AudioSet's classes if it has one.

    Parameters
    ----------
    network : GenreNetwork
        Of kind `mobilenet`.
    weights : dict of str to Tensor
        By the names of EfficientAT, or those of a checkpoint of this project.

    Raises
    ------
    CheckpointError
        A tensor is missing or has another shape.
    """
    own = {name.removeprefix("body."): tensor for name, tensor in weights.items()}
    backbone = {name: tensor for name, tensor in own.items() if name.startswith(BACKBONE_PREFIX)}
    _load(network.body, backbone)
    if network.classes is not None:
        head = {
            name.removeprefix(prefix): tensor
            for prefix in HEAD_PREFIXES
            for name, tensor in own.items()
            if name.startswith(prefix)
        }
        _load(network.classes, head)


def _load(module: nn.Module, weights: dict[str, Tensor]) -> None:
    expected = {name for name in module.state_dict() if not name.endswith("num_batches_tracked")}
    missing = sorted(expected - set(weights))
    try:
        if missing:
            raise ValueError(f"{len(missing)} tensors are missing, the first is {missing[0]}")
        module.load_state_dict(weights, strict=False)
    except (ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[-1].strip()
        raise CheckpointError(f"the weights to start from do not fit the network: {reason}") from error


def drawn_back(network: nn.Module, start: Mapping[str, Tensor], share: float) -> nn.Module:
    """Return a copy of a network whose weights are drawn back towards those that its training started from.

    Parameters
    ----------
    network : nn.Module
    start : mapping of str to Tensor
        Its weights at the start, after its last layer was fitted.
    share : float
        Of the start in the result, 0 to 1.
    """
    drawn = deepcopy(network)
    with torch.no_grad():
        for name, tensor in drawn.state_dict().items():
            if tensor.is_floating_point():
                tensor.lerp_(start[name], share)
    return drawn


def learning_shares(network: nn.Module, config: TrainingConfig) -> list[tuple[list[nn.Module], float]]:
    """Return the layers of a network in groups, and the share of the learning rate at which each group learns.

    Parameters
    ----------
    network : nn.Module
    config : TrainingConfig
    """
    body = getattr(network, "body", None)
    if not isinstance(body, MobileNet) or config.init_rate == config.layer_decay == 1:
        return [([network], 1.0)]
    n_layers = len(body.features)
    shares: list[tuple[list[nn.Module], float]] = [
        ([layer], config.init_rate * config.layer_decay ** (n_layers - 1 - index))
        for index, layer in enumerate(body.features)
    ]
    others = {name: child for name, child in network.named_children() if name != "body"}
    if (
        isinstance(network, GenreNetwork) and network.config.reads == "classes"
    ):  # they have weights to start from as well
        shares.append(([others.pop("classes")], config.init_rate))
    return [*shares, (list(others.values()), 1.0)]


@dataclass(frozen=True)
class StartingWeights:
    """Weights that a training starts from, and where they are from."""

    tensors: dict[str, Tensor]
    provenance: dict[str, str]


def starting_weights(config: NetworkConfig, path: Path | None, cache: Path) -> StartingWeights | None:
    """Read the weights that a network's config names; None if it names none.

    Parameters
    ----------
    config : NetworkConfig
    path : Path or None
        Their file; by default the one that was downloaded into `cache`, which is done first if necessary.
    cache : Path

    Raises
    ------
    CheckpointError
        The name is not known, or the file cannot be used.
    """
    if not config.init:
        return None
    known = REGISTRY.get(config.init)
    if path is None:
        if known is None:
            raise CheckpointError(f"network.init is {config.init!r}: expected one of {', '.join(REGISTRY)}, or a file")
        path = fetch_weights(known, cache / WEIGHTS_FOLDER)
    tensors = read_weights(path)
    provenance = {"name": config.init, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    if known:
        provenance |= {item: getattr(known, item) for item in ("source", "licence", "copyright", "heard")}
    return StartingWeights(tensors, provenance)


def fetch_weights(known: Pretrained, folder: Path) -> Path:
    """Download weights, unless they are there; the checksum is compared.

    Parameters
    ----------
    known : Pretrained
    folder : Path

    Raises
    ------
    DownloadError
    """
    path = folder / known.address.rpartition("/")[2]
    fetch(known.address, path, known.sha256, known.n_bytes, algorithm="sha256")
    return path
