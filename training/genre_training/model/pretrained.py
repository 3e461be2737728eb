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
from numpy.typing import NDArray
from torch import Tensor, nn

from genre_runtime.download import fetch
from genre_training.config import NetworkConfig, TrainingConfig
from genre_training.data.track import Indices
from genre_training.model.checkpoint import CheckpointError
from genre_training.model.mobilenet import MobileNet
from genre_training.model.network import GenreNetwork

BACKBONE_PREFIX = "features."
HEAD_PREFIXES = ("classifier.", "classes.")
"""Of the head of AudioSet's classes: EfficientAT's name and ours."""
WEIGHTS_FOLDER = "weights"
TINY = 1e-6
NO_CLIP_BIAS = -4.0
"""Bias of a genre that has no training clip."""
MOST_STEPS = 300
"""Of the fit of a last layer: it ends at its optimum after about 50."""


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


def fit_head(
    network: GenreNetwork,
    embeddings: NDArray[np.float64],
    labels: Indices,
    inverse_strength: float,
    prior: NDArray[np.float64] | None = None,
) -> None:
    """Fit the last layer of a network to the embeddings of clips, all genres weighted alike.

    It reads the embeddings, or what the network says of AudioSet's classes from them. The regularisation pulls it
    towards `prior`, so that few clips change what is known without them, and need not teach it. A genre without clips
    is never answered.

    Parameters
    ----------
    network : GenreNetwork
    embeddings : float64 array, shape (n_clips, n_excerpts, n_features)
    labels : int array, shape (n_clips,)
    inverse_strength : float
        Of the regularisation.
    prior : float64 array, shape (n_labels, n_read), optional
        Weights on what is read, standardised, by default zero.
    """
    labels = np.repeat(labels, embeddings.shape[1])
    flat = embeddings.reshape(len(labels), -1)
    if network.config.reads == "classes":
        network.eval()
        with torch.no_grad():
            features = torch.from_numpy(flat).float().to(network.head.weight.device)
            classes = network.read_classes(features)
            network.class_mean.copy_(classes.mean(dim=0))
            network.class_deviation.copy_(classes.std(dim=0, correction=0) + TINY)
            flat = network.read_for_head(features).cpu().double().numpy()
    mean, deviation = flat.mean(axis=0), flat.std(axis=0) + TINY
    genres, positions = np.unique(labels, return_inverse=True)
    known = np.zeros((len(genres), flat.shape[1])) if prior is None else prior[genres]
    fitted, intercept = _regression((flat - mean) / deviation, positions, inverse_strength, known)
    weight = np.zeros(tuple(network.head.weight.shape))
    bias = np.full(len(weight), NO_CLIP_BIAS)
    weight[genres] = fitted / deviation
    bias[genres] = intercept - weight[genres] @ mean
    with torch.no_grad():
        network.head.weight.copy_(torch.from_numpy(weight))
        network.head.bias.copy_(torch.from_numpy(bias))


def _regression(
    features: NDArray[np.float64], labels: Indices, inverse_strength: float, prior: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return weights and biases of a balanced logistic regression.

    scikit-learn's cannot start from a prior. That of `genre learn` can, but works in float32 and ends early: its
    probabilities differ by up to 0.04.
    """
    given, targets, known = torch.from_numpy(features), torch.from_numpy(labels), torch.from_numpy(prior)
    counts = targets.bincount(minlength=len(prior))
    balance = len(labels) / (len(prior) * counts[targets])
    change = torch.zeros_like(known, requires_grad=True)
    bias = torch.zeros(len(prior), dtype=known.dtype, requires_grad=True)
    optimizer = torch.optim.LBFGS([change, bias], max_iter=MOST_STEPS, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        logits = nn.functional.linear(given, known + change, bias)
        losses = balance * nn.functional.cross_entropy(logits, targets, reduction="none")
        value = inverse_strength * losses.sum() + change.square().sum() / 2
        value.backward()
        return value

    optimizer.step(loss)
    return (known + change).detach().numpy(), bias.detach().numpy()


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
