"""Weights to start from: files, names, and what they are put into."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from genre_training.config import NetworkConfig, TrainingConfig
from genre_training.model.checkpoint import CheckpointError
from genre_training.model.network import GenreNetwork
from genre_training.model.pretrained import (
    REGISTRY,
    fit_head,
    initialise,
    learning_shares,
    read_weights,
    starting_weights,
)
from genre_training.model.tags import N_CLASSES, TAG_CLASSES, style_shares

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


@pytest.mark.parametrize("reads", ["features", "classes"])
def test_fitted_last_layer_tells_clips_apart_that_it_was_fitted_to(reads: Literal["features", "classes"]) -> None:
    config = replace(CONFIG, reads=reads)
    torch.manual_seed(0)
    network = GenreNetwork(4, 128, config)
    labels = np.arange(60) % 3  # no clip of the fourth genre
    rng = np.random.default_rng(0)
    width = network.body.n_features
    embeddings = 5 * rng.random((3, width))[labels][:, None] + 0.5 * rng.random((60, 2, width))
    fit_head(network, embeddings, labels, 0.1)
    network.eval()
    with torch.no_grad():
        read = network.read_for_head(torch.from_numpy(embeddings).float().flatten(0, 1))
        answers = network.head(read).argmax(dim=1)
    assert torch.equal(answers, torch.from_numpy(labels.repeat(2)))
    assert network.head.bias[3].item() == -4.0
    if reads == "classes":  # so that all weights of the layer learn at a similar pace
        torch.testing.assert_close(read.mean(dim=0), torch.zeros(N_CLASSES), atol=1e-3, rtol=0)
        torch.testing.assert_close(read.std(dim=0, correction=0), torch.ones(N_CLASSES), atol=1e-3, rtol=0)


def test_fit_without_a_prior_is_that_of_scikit_learn() -> None:
    network = GenreNetwork(3, 128, CONFIG)
    rng = np.random.default_rng(0)
    labels = np.array([0, 1, 1, 2, 2, 2] * 8)
    embeddings = rng.random((3, network.body.n_features))[labels][:, None] + rng.random((48, 2, 1))
    embeddings = embeddings + 0.3 * rng.random((48, 2, network.body.n_features))
    fit_head(network, embeddings, labels, 0.05)
    flat, repeated = embeddings.reshape(96, -1), labels.repeat(2)
    scaled = (flat - flat.mean(axis=0)) / flat.std(axis=0)
    reference = LogisticRegression(C=0.05, class_weight="balanced", max_iter=5000, tol=1e-8).fit(scaled, repeated)
    with torch.no_grad():
        answers = network.head(torch.from_numpy(flat).float()).softmax(dim=1).numpy()
    np.testing.assert_allclose(answers, reference.predict_proba(scaled), atol=1e-3)


def test_style_of_a_genre_names_it_before_its_clips_teach_it() -> None:
    genres = ("electronic", "jazz", "mine")
    network = GenreNetwork(3, 128, replace(CONFIG, reads="classes"))
    embeddings, labels = np.random.default_rng(0).normal(size=(30, 1, network.body.n_features)), np.arange(30) % 3
    fit_head(network, embeddings, labels, 1e-9, 2.0 * style_shares(genres))  # clips say next to nothing
    classes = torch.zeros(2, N_CLASSES)
    for row, names in enumerate((("techno", "house"), ("jazz", "swing"))):
        classes[row, [tag.place for tag in TAG_CLASSES if tag.name in names]] = 5.0
    with torch.no_grad():
        logits = network.head(classes)
    assert logits.argmax(dim=1).tolist() == [0, 1]
    assert logits[1, 1].item() == pytest.approx(10.0, abs=0.1)  # both styles five deviations up, at 2 a deviation


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
