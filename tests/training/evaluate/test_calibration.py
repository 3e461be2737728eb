"""Temperature, calibration error, reliability and the threshold of confident answers, against values by hand."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from genre_training.evaluate.metrics import (
    TARGET_PRECISION,
    calibration_error,
    confidence_threshold,
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


def test_coverage_and_precision_by_hand() -> None:
    """The threshold itself is confident, as in the runtime."""
    probabilities = two_labels(np.array([0.9, 0.8, 0.75, 0.6, 0.05]))
    labels = np.array([0, 1, 0, 1, 1])
    assert coverage_at_threshold(probabilities, labels, 0.8) == {"coverage": 0.6, "precision": pytest.approx(2 / 3)}
    assert coverage_at_threshold(probabilities, labels, 0.0) == {"coverage": 1.0, "precision": 0.6}


def test_no_confident_answer_has_no_precision() -> None:
    assert coverage_at_threshold(two_labels(np.array([0.9])), np.array([0]), 1.0) == {"coverage": 0, "precision": None}


def test_threshold_keeps_its_promise_where_it_was_chosen() -> None:
    rng = np.random.default_rng(2)
    confidence = rng.uniform(0.5, 1.0, 500)
    labels = (rng.random(500) > confidence).astype(np.int64)
    confident = coverage_at_threshold(
        two_labels(confidence), labels, confidence_threshold(two_labels(confidence), labels)
    )
    assert confident["precision"] is not None
    assert confident["precision"] >= TARGET_PRECISION
