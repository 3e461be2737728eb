"""What a batch holds, and how rare genres are made up for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from genre_training.config import DataConfig, NetworkConfig, Recipe, TrainingConfig
from genre_training.data.splits import Split, TrainingData
from genre_training.model.network import GenreNetwork
from genre_training.train.batches import Batches, draw_clips, epoch_batches, label_shares
from genre_training.train.trainer import Trainer
from tests.training.easy import fit

CPU = torch.device("cpu")

NO_INDICES = np.zeros(0, np.int64)
COUNTS = (160, 40, 10)
SOURCES = np.array(["large"] * 160 + ["small"] * 50)


@pytest.fixture
def data() -> TrainingData:
    """Noise: three genres of 160, 40 and 10 clips that nothing tells apart, from two data sets."""
    rng = np.random.default_rng(0)
    clips = torch.from_numpy(rng.normal(-40, 5, (210, 48, 20)).astype(np.float16))
    labels = np.repeat(np.arange(3), COUNTS)
    split = Split(train=np.arange(210), validation=NO_INDICES, test=NO_INDICES)
    return TrainingData(clips, labels, SOURCES, ("often", "seldom", "rarely"), split, 10, 10, 10)


@pytest.mark.parametrize("counts", [(50, 40, 38), (7, 7, 7), (1, 1, 1, 100), (649, 3778, 1053), (5, 3, 3)])
@pytest.mark.parametrize("exponent", [0.0, 0.3, 0.5, 1.0])
def test_as_many_are_drawn_as_there_are(counts: tuple[int, ...], exponent: float) -> None:
    """Shares rounded one by one add up to one clip less, or more."""
    kinds = np.repeat(np.arange(len(counts)), counts)
    drawn = draw_clips(kinds, exponent, np.random.default_rng(0))
    assert len(drawn) == len(kinds)
    exact = np.array(counts) ** exponent / (np.array(counts) ** exponent).sum() * len(kinds)
    assert (np.abs(np.bincount(kinds[drawn]) - exact) <= 1.5).all()


def test_the_clip_that_rounding_lost_goes_to_the_kind_that_lost_most() -> None:
    """Shares of 3.15, 4.45, 8.33 and 14.08 round to 29 of 30: the second kind gets the last clip."""
    kinds = np.repeat(np.arange(4), (1, 2, 7, 20))
    drawn = draw_clips(kinds, 0.5, np.random.default_rng(0))
    assert np.bincount(kinds[drawn]).tolist() == [3, 5, 8, 14]


@pytest.mark.parametrize("exponents", [(1.0, 1.0), (0.5, 1.0), (0.0, 0.5), (0.5, 0.0)])
def test_shares_are_those_of_what_is_drawn(exponents: tuple[float, float]) -> None:
    labels = np.repeat(np.arange(3), COUNTS)
    rng = np.random.default_rng(0)
    epochs = [epoch_batches(np.arange(210), SOURCES, labels, 10, exponents, rng) for _ in range(40)]
    found = np.mean([np.bincount(labels[np.concatenate(list(epoch))], minlength=4) / 210 for epoch in epochs], axis=0)
    np.testing.assert_allclose(label_shares(SOURCES, labels, 4, exponents), found, rtol=0, atol=0.01)


def test_log_priors_are_for_music_and_for_genres_that_are_there(data: TrainingData) -> None:
    config = TrainingConfig(batch_size=20, outlier_share=0.1, source_exponent=1.0, prior_correction=0.5)
    with_unheard = replace(data, names=(*data.names, "unheard"), outliers=torch.zeros(3, 48, 20).half())
    batch = next(Batches(with_unheard, config, 0, torch.arange(48)).of_epoch(1))
    expected = [*(0.5 * np.log(np.array(COUNTS) / 210)), 0]
    np.testing.assert_allclose(batch.log_priors[0], expected, rtol=1e-6)
    assert batch.log_priors[-2:].tolist() == [[0.0] * 4] * 2
    assert (batch.log_priors[:-2] == batch.log_priors[0]).all()


@pytest.mark.parametrize(("correction", "often"), [(0.0, 160 / 210), (1.0, 1 / 3)])
def test_a_corrected_network_prefers_no_genre_for_being_frequent(
    data: TrainingData, correction: float, often: float
) -> None:
    training = TrainingConfig(
        epochs=16,
        batch_size=30,
        learning_rate=3e-3,
        label_smoothing=0.0,
        mixup_alpha=0.0,
        frequency_mask=0,
        time_mask=0,
        source_exponent=1.0,
        prior_correction=correction,
        ema_decay=0.0,
    )
    recipe = Recipe(DataConfig(), NetworkConfig(widths=(4, 4), n_bands=48), training)
    trainer = Trainer(data, recipe, CPU)
    fit(trainer, 16)
    network = GenreNetwork(3, 48, recipe.network).eval()
    network.load_state_dict(trainer.checkpoint().model_state_dict)
    with torch.inference_mode():
        mean = network(data.clips.float())[0].softmax(dim=1).mean(dim=0)
    assert mean[0].item() == pytest.approx(often, abs=0.1)
