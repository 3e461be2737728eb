"""The regression against scikit-learn, and its optimum against the gradient by hand."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from genre_runtime.library.learning.regression import fit_regression

N_ROWS, N_FEATURES, N_LABELS = 300, 12, 4


def examples(seed: int = 0, spread: float = 0.8) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(N_LABELS, N_FEATURES))
    labels = rng.integers(0, N_LABELS, N_ROWS)
    return (spread * centres[labels] + rng.normal(size=(N_ROWS, N_FEATURES))).astype(np.float32), labels


def one_hot(labels: NDArray[np.int64]) -> NDArray[np.float32]:
    return np.eye(N_LABELS, dtype=np.float32)[labels]


@pytest.mark.parametrize("penalty", [0.1, 1.0, 30.0])
def test_agrees_with_scikit_learn(penalty: float) -> None:
    linear_model = pytest.importorskip("sklearn.linear_model", reason="scikit-learn of the training is not installed")
    features, labels = examples()
    coefficients = fit_regression(features, one_hot(labels), penalty=penalty)
    reference = linear_model.LogisticRegression(C=1 / penalty, max_iter=2000, tol=1e-8).fit(features, labels)
    ours = features @ coefficients[:-1] + coefficients[-1]
    theirs = reference.decision_function(features)
    ours -= ours.mean(axis=1, keepdims=True)
    assert np.abs(ours - theirs).mean() < 0.03
    assert (ours.argmax(axis=1) == theirs.argmax(axis=1)).mean() > 0.99


def test_a_track_of_two_genres_counts_as_half_of_each() -> None:
    features, labels = examples()
    half = np.float32(0.5)
    shared = half * one_hot(labels) + half * one_hot((labels + 1) % N_LABELS)
    doubled = fit_regression(
        np.concatenate([features, features]),
        half * np.concatenate([one_hot(labels), one_hot((labels + 1) % N_LABELS)]),
        penalty=3.0,
    )
    assert np.abs(fit_regression(features, shared, penalty=3.0) - doubled).max() < 0.02


def test_known_parts_of_the_logits_are_not_learnt_again() -> None:
    """Offsets that answer perfectly leave nothing to learn."""
    features, labels = examples()
    coefficients = fit_regression(features, one_hot(labels), offsets=20 * one_hot(labels), penalty=1.0)
    assert np.abs(coefficients).max() < 0.05


def test_a_start_shortens_the_way_and_leaves_the_end() -> None:
    features, labels = examples()
    cold = fit_regression(features[50:], one_hot(labels[50:]), penalty=2.0)
    warm = fit_regression(
        features[50:], one_hot(labels[50:]), penalty=2.0, start=fit_regression(features, one_hot(labels), penalty=2.0)
    )
    logits = [features @ one[:-1] + one[-1] for one in (cold, warm)]
    assert np.abs(logits[0] - logits[1] - (logits[0] - logits[1]).mean(axis=1, keepdims=True)).max() < 0.1


def test_extreme_features_give_finite_coefficients() -> None:
    features, labels = examples()
    for factor in (1e-6, 1e4):
        assert np.isfinite(fit_regression(features * np.float32(factor), one_hot(labels))).all()
