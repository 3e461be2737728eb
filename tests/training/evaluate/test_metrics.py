"""Scoring against values by hand, against scikit-learn, and against what the runtime does with the same logits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score
from torch import Tensor, nn

from genre_runtime import GenreClassifier
from genre_runtime.calibration import share_interval
from genre_training.evaluate.metrics import (
    Labels,
    Probabilities,
    bootstrap_intervals,
    excerpt_gain,
    excerpt_logits,
    metrics,
    track_probabilities,
)
from tests.synthetic import LABELS, RATE, tone

CPU = torch.device("cpu")
NAMES = ("blues", "jazz", "metal", "rock")
INTERVALS = ("accuracy", "accuracy_own_genres", "balanced_accuracy", "macro_f1")


class Mean(nn.Module):
    """Answers every excerpt with its mean, for two labels."""

    def forward(self, log_mel: Tensor) -> tuple[Tensor, Tensor]:
        mean = log_mel.mean(dim=(1, 2))
        return torch.stack([mean, -mean], dim=1), log_mel


def two_labels(first: NDArray[np.float64]) -> NDArray[np.float64]:
    """Probabilities of two labels, that of the first given."""
    return np.stack([first, 1 - first], axis=1)


def guesses(n_tracks: int, seed: int = 0) -> tuple[Probabilities, Labels]:
    """Tracks of four genres, one of them rare, answered better than by chance."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(4, n_tracks, p=[0.1, 0.2, 0.3, 0.4])
    logits = rng.standard_normal((n_tracks, 1, 4))
    logits[np.arange(n_tracks), 0, labels] += 1.2
    return track_probabilities(logits), labels


def test_excerpts_stand_in_order_and_cover_both_ends() -> None:
    n_tracks = 70  # more than one batch of 64
    track, frame = torch.arange(n_tracks)[:, None, None], torch.arange(25)[None, None]
    clips = (8 * track + frame // 10).expand(n_tracks, 3, 25).half()
    logits = excerpt_logits(Mean(), clips, 10, CPU)
    assert logits.shape == (n_tracks, 2, 2)
    assert np.array_equal(logits[:, :, 0], 8 * np.arange(n_tracks)[:, None] + np.array([0, 1.5]))
    assert excerpt_logits(Mean(), clips, 9, CPU).shape == (n_tracks, 3, 2)  # 2.8 excerpts long
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


def test_score_by_hand_with_a_genre_that_is_absent() -> None:
    """Truth a a b b, answers a b b c; genre c is never true. Warnings are errors, so it may not warn either."""
    probabilities = np.array([[0.8, 0.1, 0.1], [0.2, 0.6, 0.2], [0.1, 0.8, 0.1], [0.1, 0.3, 0.6]])
    result = metrics(probabilities, np.array([0, 0, 1, 1]), ("a", "b", "c"))
    assert result["n_tracks"] == 4
    assert result["accuracy"] == 0.5
    assert result["balanced_accuracy"] == 0.5
    assert result["macro_f1"] == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert result["log_loss"] == pytest.approx(-np.log([0.8, 0.2, 0.8, 0.3]).mean())
    assert result["confusion_matrix"] == [[1, 1, 0], [0, 1, 1], [0, 0, 0]]
    assert result["confused_pairs"] == [["a", "b", 1], ["b", "c", 1]]
    assert result["per_genre"].keys() == {"a", "b"}
    assert result["per_genre"]["a"] == {"precision": 1.0, "recall": 0.5, "f1": pytest.approx(2 / 3), "support": 2}


def test_balanced_accuracy_weighs_genres_alike() -> None:
    probabilities = two_labels(np.array([0.9] * 9 + [0.8]))  # always the first; right nine times of ten
    assert metrics(probabilities, np.array([0] * 9 + [1]), ("a", "b"))["balanced_accuracy"] == 0.5


def test_score_agrees_with_scikit_learn() -> None:
    probabilities, labels = guesses(300)
    result, predicted = metrics(probabilities, labels, NAMES), probabilities.argmax(axis=1)
    assert result["micro_f1"] == pytest.approx(f1_score(labels, predicted, average="micro"))
    assert result["macro_f1"] == pytest.approx(f1_score(labels, predicted, average="macro"))
    assert result["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(labels, predicted))


def test_confused_pairs_are_the_ten_most_frequent() -> None:
    """Five genres, 20 ways to be wrong; the diagonal is far larger and must not show."""
    names = ("a", "b", "c", "d", "e")
    counts = np.arange(25).reshape(5, 5) + 100 * np.eye(5, dtype=np.int64)
    labels, answers = (np.repeat(side.ravel(), counts.ravel()) for side in np.indices((5, 5)))
    pairs = metrics(np.eye(5)[answers] * 0.9 + 0.02, labels, names)["confused_pairs"]
    expected = [("e", "d", 23), ("e", "c", 22), ("e", "b", 21), ("e", "a", 20), ("d", "e", 19), ("d", "c", 17)]
    expected += [("d", "b", 16), ("d", "a", 15), ("c", "e", 14), ("c", "d", 13)]
    assert pairs == [list(pair) for pair in expected]


def scored(n_tracks: int, each: int = 1) -> dict[str, Any]:
    """Metrics of tracks of which `each` are by one artist, and alike."""
    probabilities, labels = guesses(n_tracks // each)
    artists = np.arange(n_tracks // each).repeat(each)
    return metrics(probabilities.repeat(each, axis=0), labels.repeat(each), NAMES, artists)


def intervals(counts: list[list[int]], each: int = 1, seed: int = 0) -> dict[str, Any]:
    """The intervals of a confusion matrix, `each` tracks of the same kind by one artist."""
    matrix = np.array(counts)
    true, answered = (side.ravel().repeat(matrix.ravel()) for side in np.indices(matrix.shape))
    return bootstrap_intervals(true, answered, np.arange(len(true)) // each, len(matrix), seed)


def test_intervals_need_artists() -> None:
    probabilities, labels = guesses(50)
    plain, full = metrics(probabilities, labels, NAMES), metrics(probabilities, labels, NAMES, np.arange(50))
    added = {f"{name}_interval" for name in INTERVALS} | {"n_groups"}
    assert full.keys() - plain.keys() == added
    assert {key: value for key, value in full.items() if key not in added} == plain
    assert full["n_groups"] == 50


@pytest.mark.parametrize("name", INTERVALS)
def test_intervals_hold_the_figure_and_shrink_with_the_number_of_artists(name: str) -> None:
    widths = []
    for n_tracks in (100, 400, 1600):
        result = scored(n_tracks)
        low, high = result[f"{name}_interval"]
        assert 0 <= low < result[name] < high <= 1
        widths.append(high - low)
    assert widths[1] == pytest.approx(widths[0] / 2, rel=0.35)
    assert widths[2] == pytest.approx(widths[1] / 2, rel=0.35)


@pytest.mark.parametrize("name", INTERVALS)
def test_more_tracks_by_the_same_artists_say_nothing_new(name: str) -> None:
    once, often = scored(200), scored(1600, each=8)
    assert often["n_groups"] == once["n_groups"] == 200
    np.testing.assert_allclose(often[f"{name}_interval"], once[f"{name}_interval"], atol=1e-9)


def test_accuracy_interval_is_that_of_a_share() -> None:
    """240 of 400 right: the normal approximation gives 0.6 +- 1.96 sqrt(0.6 * 0.4 / 400)."""
    # A 90 % interval would be [0.560, 0.640].
    np.testing.assert_allclose(intervals([[120, 80], [80, 120]])["accuracy_interval"], [0.552, 0.648], atol=0.004)


def test_intervals_are_those_of_drawing_artists_one_by_one() -> None:
    """The plain way: draw artists with replacement and let scikit-learn score each draw."""
    probabilities, labels = guesses(200)
    artists = np.minimum(np.arange(200) // 3, 50)  # the last one has fifty tracks
    predicted = probabilities.argmax(axis=1)
    rng = np.random.default_rng(7)
    draws: list[list[float]] = []
    for _ in range(300):
        rows = np.concatenate([np.flatnonzero(artists == artist) for artist in rng.integers(0, 51, 51)])
        true, answer = labels[rows], predicted[rows]
        balanced, f1 = balanced_accuracy_score(true, answer), f1_score(true, answer, average="macro")
        draws.append([accuracy_score(true, answer), accuracy_score(true, answer), balanced, f1])
    expected = np.percentile(draws, [2.5, 97.5], axis=0).T
    result = metrics(probabilities, labels, NAMES, artists)
    np.testing.assert_allclose([result[f"{name}_interval"] for name in INTERVALS], expected, atol=0.025)


def test_intervals_are_the_same_every_time() -> None:
    counts = [[5, 2], [1, 8]]
    assert intervals(counts) == intervals(counts) != intervals(counts, seed=1)
    found = intervals([[4, 0], [0, 9]])
    assert [found[f"{name}_interval"] for name in INTERVALS if name != "accuracy_own_genres"] == [[1, 1]] * 3


def test_fewer_than_five_artists_have_no_interval() -> None:
    assert set(intervals([[4, 0], [0, 0]]).values()) == {4, None}
    right = np.array([True, False, True, True, False])
    assert share_interval(right, np.arange(5) % 4) is None
    assert share_interval(right, np.arange(5)) is not None


def test_resamples_average_over_the_genres_true_in_them() -> None:
    """The one track of the second genre is missing from about every third draw: the first alone is then perfect."""
    assert intervals([[30, 0], [1, 0]])["balanced_accuracy_interval"] == [0.5, 1.0]


def test_scores_by_genre_are_among_the_genres_of_the_data_set() -> None:
    """The third track is called c, which its data set does not have; of the others b is the likeliest."""
    probabilities = np.array([[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.1, 0.3, 0.6], [0.2, 0.2, 0.6]])
    labels = np.array([0, 1, 1, 2])
    possible = np.array([[True, True, False]] * 3 + [[True, True, True]])
    result = metrics(probabilities, labels, ("a", "b", "c"), np.arange(4), possible)
    assert (result["accuracy"], result["accuracy_own_genres"]) == (0.75, 1.0)
    assert [one["f1"] for one in result["per_genre"].values()] == [1.0, 1.0, 1.0]
    assert result["confusion_matrix"][1] == [0, 1, 1]
    assert result["macro_f1"] < 1
    assert result["accuracy_own_genres_interval"] is None  # four artists are too few


def test_excerpt_gain_by_hand() -> None:
    """Truth 0 and 1. Of six excerpts three are right; both means are: the sure excerpt outweighs two unsure ones."""
    logits = np.log(np.array([[[0.9, 0.1], [0.45, 0.55], [0.45, 0.55]], [[0.4, 0.6], [0.4, 0.6], [0.55, 0.45]]]))
    labels = np.array([0, 1])
    assert excerpt_gain(logits, labels, 1.0) == {"single_excerpt_accuracy": 0.5, "track_accuracy": 1.0}
    # So hot that a sure excerpt hardly outweighs an unsure one any more: the logits' mean decides, and it is still 0.
    assert excerpt_gain(logits, labels, 1e3)["single_excerpt_accuracy"] == 0.5
    # So cold that every excerpt has one vote: the first track is lost.
    assert excerpt_gain(logits, labels, 1e-3)["track_accuracy"] == 0.5


def test_figures_are_plain_values(tmp_path: Path) -> None:
    """They ride in a checkpoint read with weights_only, and in the sidecar."""
    probabilities, labels = guesses(60)
    result: dict[str, Any] = metrics(probabilities, labels, NAMES, np.arange(60))
    result["excerpts"] = excerpt_gain(np.log(probabilities)[:, None], labels, 1.0)
    torch.save(result, tmp_path / "metrics.pt")
    assert torch.load(tmp_path / "metrics.pt", weights_only=True) == json.loads(json.dumps(result)) == result
