"""The network: any length, each clip by itself, independent of its level."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any, cast

import numpy as np
import pytest
import torch
from scipy.fft import dct  # type: ignore[import-untyped]
from torch import Tensor, nn

from genre_training.config import ConfigError, NetworkConfig, parse_network
from genre_training.data.features import picked_bands
from genre_training.model.backbones import ClipStatistics, StatisticsBranch
from genre_training.model.network import GenreNetwork, standardise

CONFIG = NetworkConfig(widths=(4, 8, 16), blocks=2, dropout=0.3)
KINDS = ("residual", "crnn", "transformer", "plain", "two branches")


@pytest.fixture(scope="module", params=KINDS)
def network(request: pytest.FixtureRequest) -> GenreNetwork:
    """A small network of each kind whose normalisation has seen some input."""
    torch.manual_seed(0)
    network = GenreNetwork(5, 128, config_of(request.param))
    for seed in range(3):
        network(clips(8, 40, seed))
    return network.eval()


def config_of(kind: str) -> NetworkConfig:
    changed = {"statistics": 8} if kind == "two branches" else {"kind": kind}
    return parse_network(asdict(CONFIG) | changed)


def clips(batch: int, n_frames: int, seed: int = 0) -> Tensor:
    return torch.rand(batch, 128, n_frames, generator=torch.Generator().manual_seed(seed)) * -80


@pytest.mark.parametrize("n_frames", [*range(1, 18), 31, 32, 33, 83, 250])
@torch.inference_mode()
def test_any_number_of_frames(network: GenreNetwork, n_frames: int) -> None:
    logits, embedding = network(clips(2, n_frames))
    assert logits.shape == (2, 5)
    assert embedding.shape == (2, network.head.in_features + (8 if network.statistics else 0))
    assert logits.isfinite().all()


@pytest.mark.parametrize("n_mels", [40, 64, 127])
@torch.inference_mode()
def test_any_number_of_bands(n_mels: int) -> None:
    network = GenreNetwork(5, n_mels, CONFIG).eval()
    assert network(clips(2, 20)[:, :n_mels])[0].isfinite().all()


def test_picked_bands_are_those_of_fma_pictures() -> None:
    bands = picked_bands(100, 128)
    assert bands[:5] == [1, 2, 3, 5, 6]
    assert len(set(bands)) == 100
    assert bands[-1] == 127
    assert [bands[row] for row in (24, 49, 74)] == [31, 63, 95]
    assert picked_bands(64, 64) == list(range(64))


@torch.inference_mode()
def test_bands_that_are_not_picked_do_not_matter(network: GenreNetwork) -> None:
    batch = clips(2, 20)
    others = batch.clone()
    others[:, sorted(set(range(128)) - set(picked_bands(100, 128)))] = 0
    assert torch.equal(network(batch)[0], network(others)[0])


@torch.inference_mode()
def test_clips_do_not_affect_each_other(network: GenreNetwork) -> None:
    batch = clips(6, 50)
    batch[3] = 0  # not even a silent one
    together, _ = network(batch)
    for i in range(len(batch)):
        torch.testing.assert_close(network(batch[i : i + 1])[0][0], together[i], atol=1e-5, rtol=1e-5)
    assert (together[0] - together[1]).abs().max() > 1e-4


@torch.inference_mode()
def test_the_statistics_branch_counts_less_than_the_body() -> None:
    network = GenreNetwork(5, 128, config_of("two branches")).eval()
    batch = clips(3, 40)
    (body, _), (statistics, _) = network.read_picture(batch), network.read_statistics(batch)
    torch.testing.assert_close(network(batch)[0], body + 0.6 * statistics)


@torch.inference_mode()
def test_level_does_not_matter(network: GenreNetwork) -> None:
    batch = clips(3, 50)
    torch.testing.assert_close(network(batch - 25)[0], network(batch)[0], atol=1e-3, rtol=1e-3)


@torch.inference_mode()
def test_constant_clip_gives_finite_answers(network: GenreNetwork) -> None:
    assert network(torch.full((1, 128, 20), -80.0))[0].isfinite().all()


def test_standardised_clips_have_zero_mean_and_unit_deviation() -> None:
    result = standardise(clips(4, 30))
    torch.testing.assert_close(result.mean(dim=(1, 2)), torch.zeros(4), atol=1e-5, rtol=0)
    torch.testing.assert_close(result.std(dim=(1, 2), correction=0), torch.ones(4), atol=1e-3, rtol=0)
    assert not standardise(torch.full((1, 8, 3), -7.0)).any()


def test_dropout_acts_in_training_only(network: GenreNetwork) -> None:
    batch = clips(2, 20)
    assert torch.equal(network(batch)[0], network(batch)[0])
    torch.manual_seed(0)
    assert not torch.equal(network.dropout.train()(torch.ones(1, 50)), torch.ones(1, 50))
    network.dropout.eval()


def test_the_statistics_branch_has_a_dropout_of_its_own() -> None:
    network = GenreNetwork(5, 128, replace(CONFIG, dropout=0.0, statistics=8))
    batch = clips(4, 40)
    network.train()
    torch.manual_seed(0)
    assert torch.equal(network.read_picture(batch)[0], network.read_picture(batch)[0])
    assert not torch.equal(network.read_statistics(batch)[0], network.read_statistics(batch)[0])
    network.eval()
    assert torch.equal(network.read_statistics(batch)[0], network.read_statistics(batch)[0])


@torch.inference_mode()
def test_statistics_far_from_their_mean_are_cut_off() -> None:
    """Features that are 100 deviations from their mean count like those that are 5."""
    torch.manual_seed(0)
    branch = StatisticsBranch(128, 8, 0.5).eval()
    n_features = branch.statistics.n_features
    branch.statistics = cast(ClipStatistics, nn.Identity())
    directions = torch.sign(torch.randn(3, n_features))
    assert torch.allclose(branch(100 * directions), branch(5 * directions), atol=1e-4)
    assert not torch.allclose(branch(5 * directions), branch(4 * directions), atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_every_parameter_learns(kind: str) -> None:
    network = GenreNetwork(5, 128, config_of(kind))
    network(clips(4, 40))[0].square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in network.parameters())


def test_config_survives_plain_values() -> None:
    assert parse_network(asdict(CONFIG)) == CONFIG
    with pytest.raises(ConfigError, match="unknown key depth: expected one of kind, branch"):
        parse_network({"depth": 3})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"kind": "crnn", "widths": (8, 9)}, "expected an even number for a crnn"),
        ({"kind": "transformer", "widths": (8, 100)}, "expected a multiple of 16"),
        ({"kind": "transformer", "widths": (8, 32), "n_bands": 10}, "at least 20 bands"),
        ({"statistics": -1}, "greater than or equal to 0"),
    ],
)
def test_shape_that_cannot_be_built_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        NetworkConfig(**values)


@pytest.mark.parametrize("n_frames", [1, 16, 40])
def test_statistics_are_what_numpy_says(n_frames: int) -> None:
    x = standardise(clips(3, n_frames)[:, :100])
    features = ClipStatistics(100)(x).numpy()
    bands = x.numpy()
    changes = np.diff(bands, axis=2, append=bands[:, :, -1:])
    np.testing.assert_allclose(features[:, :100], bands.mean(axis=2), atol=1e-5)
    np.testing.assert_allclose(features[:, 100:200], np.sqrt(bands.var(axis=2) + 1e-6), atol=1e-5)
    np.testing.assert_allclose(features[:, 200:300], np.abs(changes).mean(axis=2), atol=1e-5)
    cepstrum = dct(bands, axis=1, norm="ortho")[:, :20]
    covariances = [np.cov(clip, bias=True)[np.triu_indices(20)] if n_frames > 1 else np.zeros(210) for clip in cepstrum]
    np.testing.assert_allclose(features[:, 400:610], covariances, atol=1e-4)
    coarse = bands.reshape(3, 20, 5, -1).mean(axis=2)
    coarse = coarse - coarse.mean(axis=2, keepdims=True)
    lag_3 = (coarse[:, :, :-3] * coarse[:, :, 3:]).sum(axis=2) / n_frames / (coarse.var(axis=2) + 1e-2)
    rhythm = features[:, 820:].reshape(3, 20, 16)
    np.testing.assert_allclose(rhythm[:, :, 2], lag_3 if n_frames > 3 else 0, atol=1e-4)
