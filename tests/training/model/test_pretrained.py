"""Weights to start from: files, names, and what they are put into."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from genre_training.config import NetworkConfig, TrainingConfig
from genre_training.model.checkpoint import CheckpointError
from genre_training.model.network import GenreNetwork
from genre_training.model.pretrained import (
    REGISTRY,
    initialise,
    learning_shares,
    read_weights,
    starting_weights,
)
from genre_training.model.tags import TAG_CLASSES, style_shares

CONFIG = NetworkConfig(kind="mobilenet", branch="audio", init="mn04_as", tags=True)


def of_efficientat(network: GenreNetwork) -> dict[str, torch.Tensor]:
    """Return random weights by the names of the published checkpoint."""
    assert network.classes is not None
    backbone = {name: torch.rand_like(value) for name, value in network.body.state_dict().items() if value.ndim}
    head = {f"classifier.{name}": torch.rand_like(value) for name, value in network.classes.state_dict().items()}
    return backbone | head


@pytest.mark.parametrize("suffix", [".npz", ".pt", ".safetensors"])
def test_weights_of_any_file_reach_backbone_and_head(suffix: str, tmp_path: Path) -> None:
    network = GenreNetwork(3, 128, CONFIG)
    weights, path = of_efficientat(network), tmp_path / f"mn04_as{suffix}"
    if suffix == ".npz":
        np.savez(path, allow_pickle=False, **{name: tensor.numpy() for name, tensor in weights.items()})
    elif suffix == ".pt":
        torch.save(weights, path)
    else:
        pytest.importorskip("safetensors.torch").save_file(weights, path)
    start = starting_weights(CONFIG, path, tmp_path)
    assert start is not None
    assert start.provenance["licence"] == "MIT"
    initialise(network, start.tensors)
    assert torch.equal(network.body.state_dict()["features.16.0.weight"], weights["features.16.0.weight"])
    assert network.classes is not None
    assert torch.equal(network.classes.state_dict()["5.bias"], weights["classifier.5.bias"])


def test_own_checkpoint_is_a_start_too() -> None:
    before, after = GenreNetwork(3, 128, CONFIG), GenreNetwork(5, 128, CONFIG)
    initialise(after, before.state_dict())
    assert torch.equal(after.body.state_dict()["features.0.0.weight"], before.body.state_dict()["features.0.0.weight"])


def test_config_without_a_name_starts_from_nothing(tmp_path: Path) -> None:
    assert starting_weights(NetworkConfig(), None, tmp_path) is None


def test_unknown_name_lists_the_known(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="'other': expected one of mn04_as"):
        starting_weights(replace(CONFIG, init="other"), None, tmp_path)
    assert "mn04_as" in REGISTRY


def test_weights_of_another_shape_are_refused() -> None:
    network = GenreNetwork(3, 128, CONFIG)
    weights = of_efficientat(network)
    del weights["features.16.0.weight"]
    with pytest.raises(CheckpointError, match=r"1 tensors are missing, the first is features\.16\.0\.weight"):
        initialise(network, weights)
    with pytest.raises(CheckpointError, match="do not fit the network"):
        initialise(network, weights | {"features.16.0.weight": torch.zeros(2, 2, 1, 1)})


@pytest.mark.parametrize(("name", "content"), [("a.npz", b"x"), ("a.pt", b"PK"), ("a.safetensors", b"\0" * 9)])
def test_damaged_file_is_named(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CheckpointError, match="is damaged or holds no weights"):
        read_weights(tmp_path / name)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no weights at"):
        read_weights(tmp_path / "none.pt")


def test_style_that_is_a_genre_of_its_own_stands_for_no_other() -> None:
    place = {tag.name: tag.place for tag in TAG_CLASSES}
    together = style_shares(("Electronic", "Hip-Hop", "mine"))
    assert together.sum(axis=1).tolist() == pytest.approx([1, 1, 0])
    assert together[0, place["techno"]] > 0 < together[1, place["hip hop"]]
    apart = style_shares(("Electronic", "Techno"))
    assert apart[:, place["techno"]].tolist() == [0, 1]
    assert apart[0, place["house"]] > together[0, place["house"]]


def test_classes_learn_as_slowly_as_the_backbone_if_genres_are_read_from_them() -> None:
    network = GenreNetwork(4, 128, replace(CONFIG, reads="classes"))
    shares = learning_shares(network, TrainingConfig(init_rate=0.05))
    assert network.classes is not None
    assert {share for layers, share in shares if network.classes in layers} == {0.05}
    assert {share for layers, share in shares if network.head in layers} == {1.0}
    learning = [id(value) for layers, _ in shares for layer in layers for value in layer.parameters()]
    assert sorted(learning) == sorted(map(id, network.parameters()))
