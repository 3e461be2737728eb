"""Temperature, calibration error, reliability and the threshold of confident answers, against values by hand."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from genre_runtime.calibration import TARGET_PRECISION, confidence_threshold
from genre_training.evaluate.metrics import (
    calibration_error,
    coverage_at_threshold,
    fit_temperature,
    reliability,
    reliability_gap,
    track_probabilities,
)


def two_labels(first: NDArray[np.float64]) -> NDArray[np.float64]:
    """Probabilities of two labels, that of the first given."""
    return np.stack([first, 1 - first], axis=1)


def test_temperature_flattens_before_the_mean() -> None:
    logits = np.log(np.array([[[0.9, 0.1], [0.5, 0.5]]]))
    np.testing.assert_allclose(track_probabilities(logits), [[0.7, 0.3]])
    np.testing.assert_allclose(track_probabilities(logits, 2.0), [[(0.75 + 0.5) / 2, (0.25 + 0.5) / 2]])
    assert np.isfinite(track_probabilities(logits * 1e4)).all()
    each = track_probabilities(logits.repeat(2, axis=0), np.array([1.0, 2.0]))
    np.testing.assert_allclose(each, [[0.7, 0.3], [(0.75 + 0.5) / 2, (0.25 + 0.5) / 2]])


def test_calibration_error_by_hand() -> None:
    """Two answers at 0.95, one right: gap 0.45. Two at 0.65, both right: gap 0.35. Half of each."""
    probabilities = two_labels(np.array([0.95, 0.95, 0.65, 0.65]))
    assert calibration_error(probabilities, np.array([0, 1, 0, 0])) == pytest.approx(0.4)
    assert calibration_error(two_labels(np.ones(3)), np.zeros(3, np.int64)) == 0


def test_calibration_error_weighs_bins_with_their_tracks() -> None:
    """Three right answers at 0.95 (gap 0.05) and a wrong one at 0.65 (gap 0.65)."""
    probabilities = two_labels(np.array([0.95, 0.95, 0.95, 0.65]))
    assert calibration_error(probabilities, np.array([0, 0, 0, 1])) == pytest.approx(0.75 * 0.05 + 0.25 * 0.65)


def test_reliability_by_hand() -> None:
    """Five bins: 0.6 is the lower edge of the fourth, 0.8 of the fifth, which includes 1."""
    probabilities = two_labels(np.array([0.5, 0.6, 0.7, 0.8, 1.0]))
    bins = reliability(probabilities, np.array([0, 0, 1, 0, 0]), n_bins=5)
    assert bins["count"] == [0, 0, 1, 2, 2]
    assert bins["accuracy"] == [None, None, 1.0, 0.5, 1.0]
    assert bins["confidence"] == [None, None, 0.5, pytest.approx(0.65), pytest.approx(0.9)]
    assert reliability_gap(bins) == pytest.approx((1 * 0.5 + 2 * 0.15 + 2 * 0.1) / 5)


def test_reliability_looks_at_the_answer_not_at_the_first_label() -> None:
    bins = reliability(two_labels(np.array([0.1, 0.1])), np.array([1, 1]), n_bins=10)
    assert bins["count"] == [0] * 9 + [2]
    assert bins["accuracy"][9] == 1.0
    assert bins["confidence"][9] == pytest.approx(0.9)


def test_reliability_of_honest_answers_lies_on_the_diagonal() -> None:
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0.5, 1.0, 20_000)
    labels = (rng.random(20_000) > confidence).astype(np.int64)
    bins = reliability(two_labels(confidence), labels)
    assert sum(bins["count"]) == 20_000
    filled = [i for i, count in enumerate(bins["count"]) if count]
    np.testing.assert_allclose(
        [bins["accuracy"][i] for i in filled], [bins["confidence"][i] for i in filled], atol=0.04
    )
    assert calibration_error(two_labels(confidence), labels) < 0.02


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_fitted_temperature_recovers_the_known_one(temperature: float) -> None:
    rng = np.random.default_rng(0)
    honest = 2 * rng.standard_normal((8000, 1, 5))
    cumulative = track_probabilities(honest).cumsum(axis=1)
    labels = (rng.random((8000, 1)) > cumulative[:, :-1]).sum(axis=1)
    assert fit_temperature(honest * temperature, labels) == pytest.approx(temperature, rel=0.06)


def calibrated_answers(n_artists: int, seed: int, each: int = 1) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Confidences and whether an answer is right, as often as it says; `each` tracks of an artist are alike."""
    rng = np.random.default_rng(seed)
    confidence = rng.uniform(0.5, 1.0, n_artists)
    wrong = (rng.random(n_artists) > confidence).astype(np.int64)
    return confidence.repeat(each), wrong.repeat(each)


def test_threshold_reaches_the_precision_and_is_the_smallest() -> None:
    confidence, wrong = calibrated_answers(2000, seed=1)
    threshold = confidence_threshold(confidence, wrong == 0, np.arange(2000))
    assert 0.6 < threshold < 0.7  # the mean from 0.6 up to 1 is 0.8
    precision = (wrong[confidence >= threshold] == 0).mean()
    n_confident = (confidence >= threshold).sum()
    # The normal approximation of a lower bound of 95 %, one-sided.
    bound = precision - 1.645 * np.sqrt(precision * (1 - precision) / n_confident)
    assert bound == pytest.approx(TARGET_PRECISION, abs=0.004)


def test_threshold_rises_where_artists_are_few() -> None:
    """The same 2,000 tracks' worth of answers are worth less, ten of them by one artist each."""
    confidence, wrong = calibrated_answers(200, seed=1, each=10)
    by_track = confidence_threshold(confidence, wrong == 0, np.arange(2000))
    by_artist = confidence_threshold(confidence, wrong == 0, np.arange(200).repeat(10))
    assert by_track < by_artist < 1


def test_threshold_keeps_its_promise_on_other_artists() -> None:
    """Of a hundred draws of artists about 95 have the precision where the threshold was not chosen."""
    n_kept = 0
    for seed in range(100):
        confidence, wrong = calibrated_answers(400, seed)
        threshold = confidence_threshold(confidence, wrong == 0, np.arange(400))
        n_kept += threshold >= 2 * TARGET_PRECISION - 1  # the precision from t up to 1 is (1 + t) / 2
    assert n_kept >= 85  # the smallest of many thresholds is a little lucky


def test_threshold_counts_equal_confidence_together() -> None:
    """Twenty right and twenty wrong at 0.9: no threshold parts them, whatever their order."""
    assert confidence_threshold(np.full(40, 0.9), np.repeat([True, False], 20), np.arange(40)) == 1.0


def test_threshold_is_never_confident_where_nothing_suffices() -> None:
    confidence, artists = np.linspace(0.6, 0.99, 100), np.arange(100)
    assert confidence_threshold(confidence, np.zeros(100, np.bool_), artists) == 1.0
    right = np.ones(100, np.bool_)
    assert confidence_threshold(confidence, right, artists) == 0.6
    assert confidence_threshold(confidence, right, artists % 19) == 1.0  # all right, but by fewer than twenty artists


def test_coverage_and_precision_by_hand() -> None:
    """The threshold itself is confident, as in the runtime."""
    probabilities = two_labels(np.array([0.9, 0.8, 0.75, 0.6, 0.05]))
    labels, artists = np.array([0, 1, 0, 1, 1]), np.array([0, 1, 0, 1, 1])
    some = coverage_at_threshold(probabilities, labels, 0.8, artists)
    assert (some["coverage"], some["precision"]) == (0.6, pytest.approx(2 / 3))
    assert some["precision_interval"] is None  # two artists are too few
    everything = coverage_at_threshold(probabilities, labels, 0.0, artists)
    assert (everything["coverage"], everything["precision"]) == (1.0, 0.6)
    each = coverage_at_threshold(probabilities, labels, np.array([0.95, 0.7, 0.7, 0.7, 0.7]), artists)
    assert (each["coverage"], each["precision"]) == (0.6, pytest.approx(2 / 3))


def test_no_confident_answer_has_no_precision() -> None:
    nothing = coverage_at_threshold(two_labels(np.array([0.9])), np.array([0]), 1.0, np.array([0]))
    assert nothing == {"coverage": 0, "precision": None, "precision_interval": None}
