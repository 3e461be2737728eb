"""Scoring against values worked out by hand, and against what the runtime does with the same logits."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from genre_runtime import GenreClassifier
from genre_training.evaluation import (
    TARGET_PRECISION,
    calibration_error,
    confidence_threshold,
    excerpt_logits,
    fit_temperature,
    score,
    track_probabilities,
)
from tests.synthetic import LABELS, RATE, tone

CPU = torch.device("cpu")


class Mean(nn.Module):
    """Answers every excerpt with its mean, for two labels."""

    def forward(self, log_mel: Tensor) -> tuple[Tensor, Tensor]:
        mean = log_mel.mean(dim=(1, 2))
        return torch.stack([mean, -mean], dim=1), log_mel


def two_labels(first: NDArray[np.float64]) -> NDArray[np.float64]:
    """Probabilities of two labels, that of the first given."""
    return np.stack([first, 1 - first], axis=1)


def test_excerpts_stand_in_order_and_a_rest_is_left_out() -> None:
    n_tracks = 70  # more than one batch of 64
    track, frame = torch.arange(n_tracks)[:, None, None], torch.arange(25)[None, None]
    clips = (8 * track + frame // 10).expand(n_tracks, 3, 25).half()
    logits = excerpt_logits(Mean(), clips, 10, CPU)
    assert logits.shape == (n_tracks, 2, 2)
    assert np.array_equal(logits[:, :, 0], 8 * np.arange(n_tracks)[:, None] + np.array([0, 1]))
    assert np.array_equal(logits[:, :, 1], -logits[:, :, 0])


def test_clip_shorter_than_an_excerpt_is_one_excerpt() -> None:
    assert excerpt_logits(Mean(), torch.ones(2, 3, 4), 10, CPU).tolist() == [[[1, -1]], [[1, -1]]]


def test_track_probabilities_equal_the_runtimes_averaging(classifier: GenreClassifier) -> None:
    """The test model's logits are 4 a, 1 - 20 a and 10 a for the mean absolute level a of an excerpt."""
    waveform = tone(30) * np.repeat([0.02, 0.2, 1.0], 10 * RATE).astype(np.float32)
    prediction = classifier.classify(waveform, RATE)
    levels = np.abs(waveform.astype(np.float64)).reshape(3, -1).mean(axis=1)
    logits = np.stack([4 * levels, 1 - 20 * levels, 10 * levels], axis=1)[None]
    expected = [prediction.probabilities[label] for label in LABELS]
    np.testing.assert_allclose(track_probabilities(logits)[0], expected, atol=1e-5)


def test_temperature_flattens_before_the_mean() -> None:
    logits = np.log(np.array([[[0.9, 0.1], [0.5, 0.5]]]))
    np.testing.assert_allclose(track_probabilities(logits), [[0.7, 0.3]])
    np.testing.assert_allclose(track_probabilities(logits, 2.0), [[(0.75 + 0.5) / 2, (0.25 + 0.5) / 2]])
    assert np.isfinite(track_probabilities(logits * 1e4)).all()


def test_score_by_hand_with_a_genre_that_is_absent() -> None:
    """Truth a a b b, answers a b b c; genre c is never true. Warnings are errors, so it may not warn either."""
    probabilities = np.array([[0.8, 0.1, 0.1], [0.2, 0.6, 0.2], [0.1, 0.8, 0.1], [0.1, 0.3, 0.6]])
    result = score(probabilities, np.array([0, 0, 1, 1]), ("a", "b", "c"))
    assert result["n_tracks"] == 4
    assert result["accuracy"] == 0.5
    assert result["balanced_accuracy"] == 0.5
    assert result["macro_f1"] == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert result["log_loss"] == pytest.approx(-np.log([0.8, 0.2, 0.8, 0.3]).mean())
    assert result["confusion_matrix"] == [[1, 1, 0], [0, 1, 1], [0, 0, 0]]
    assert result["per_genre"].keys() == {"a", "b"}
    assert result["per_genre"]["a"] == {"precision": 1.0, "recall": 0.5, "f1": pytest.approx(2 / 3), "support": 2}


def test_balanced_accuracy_weighs_genres_alike() -> None:
    probabilities = two_labels(np.array([0.9] * 9 + [0.8]))  # always the first; right nine times of ten
    assert score(probabilities, np.array([0] * 9 + [1]), ("a", "b"))["balanced_accuracy"] == 0.5


def test_calibration_error_by_hand() -> None:
    """Two answers at 0.95, one right: gap 0.45. Two at 0.65, both right: gap 0.35. Half of each."""
    probabilities = two_labels(np.array([0.95, 0.95, 0.65, 0.65]))
    assert calibration_error(probabilities, np.array([0, 1, 0, 0])) == pytest.approx(0.4)
    assert calibration_error(two_labels(np.ones(3)), np.zeros(3, np.int64)) == 0


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_fitted_temperature_recovers_the_known_one(temperature: float) -> None:
    rng = np.random.default_rng(0)
    honest = 2 * rng.standard_normal((8000, 1, 5))
    cumulative = track_probabilities(honest).cumsum(axis=1)
    labels = (rng.random((8000, 1)) > cumulative[:, :-1]).sum(axis=1)
    assert fit_temperature(honest * temperature, labels) == pytest.approx(temperature, rel=0.06)


def test_threshold_reaches_the_precision_and_is_the_smallest() -> None:
    rng = np.random.default_rng(1)
    confidence = rng.uniform(0.5, 1.0, 2000)
    labels = (rng.random(2000) > confidence).astype(np.int64)  # calibrated: right as often as it says
    threshold = confidence_threshold(two_labels(confidence), labels)
    assert 0.6 < threshold < 0.8  # the mean from 0.7 up to 1 is 0.85
    assert (labels[confidence >= threshold] == 0).mean() >= TARGET_PRECISION
    for lower in confidence[confidence < threshold]:
        assert (labels[confidence >= lower] == 0).mean() < TARGET_PRECISION


def test_threshold_counts_equal_confidence_together() -> None:
    """Twenty right and twenty wrong at 0.9: no threshold parts them, whatever their order."""
    probabilities = two_labels(np.full(40, 0.9))
    assert confidence_threshold(probabilities, np.repeat([0, 1], 20)) == 1.0


def test_threshold_is_never_confident_where_nothing_suffices() -> None:
    wrong = np.ones(100, np.int64)
    assert confidence_threshold(two_labels(np.linspace(0.6, 0.99, 100)), wrong) == 1.0
    few = np.zeros(19, np.int64)  # all right, but fewer than twenty
    assert confidence_threshold(two_labels(np.linspace(0.6, 0.99, 19)), few) == 1.0
