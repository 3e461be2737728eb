"""The fusion of two branches, thresholds of tags, and answer sets."""

from __future__ import annotations

import numpy as np
import pytest

from genre_runtime.calibration import genre_set_threshold, genre_sets
from genre_training.evaluate.fusion import Fusion, fit_fusion, judged_fusion, reliability, tag_thresholds
from genre_training.evaluate.metrics import track_probabilities
from genre_training.model.tags import N_CLASSES, TAG_CLASSES

N = 200


def experts(strengths: tuple[float, float], seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return logits (2, N, 3, 4) of two experts that know the label to some degree, and the labels."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(4, size=N)
    truth = np.eye(4)[labels][:, None]
    return np.stack([s * truth + rng.standard_normal((N, 3, 4)) for s in strengths]), labels


def accuracy(logits: np.ndarray, labels: np.ndarray) -> float:
    return float((track_probabilities(logits).argmax(axis=1) == labels).mean())


def test_the_better_expert_counts_more() -> None:
    logits, labels = experts((2.0, 0.2))
    fusion = fit_fusion(logits, labels, np.repeat("a", N), np.ones(4))
    assert fusion.weights[0] > 2 * fusion.weights[1] > 0


def test_of_genres_by_few_artists_the_audio_branch_is_not_relied_on() -> None:
    known = reliability(np.array([0] * 10 + [1] * 10), np.array([*map(str, range(10)), *["one"] * 10]), 3)
    assert known.round(3).tolist() == [0.833, 0.333, 0.0]
    picture = np.array([0.0, 0.0, 1.0])
    against = Fusion(np.ones(2), np.array([1.0, 1.0, 0.0])).apply(np.stack([np.array([0.0, 0.0, -9.0]), picture]))
    assert against.argmax() == 2  # the audio branch has no say in the third genre


def test_two_experts_are_better_than_each() -> None:
    logits, labels = experts((0.8, 0.8))
    judged = judged_fusion(logits, labels, np.repeat("a", N), np.ones(4), np.arange(N).astype(str))
    assert accuracy(judged, labels) > max(accuracy(one, labels) for one in logits)


def test_clips_are_judged_by_a_fusion_of_other_artists() -> None:
    """The audio branch knows the genres of one artist, the picture branch those of the other."""
    logits, labels = experts((3.0, 0.0))
    half, one, other = N // 2, slice(None, N // 2), slice(N // 2, None)
    logits[:, other] = logits[::-1, other]
    sources, known = np.repeat("a", N), np.ones(4)
    judged = judged_fusion(logits, labels, sources, known, np.repeat(["one", "other"], half))
    for part, rest in ((one, other), (other, one)):
        fusion = fit_fusion(logits[:, rest], labels[rest], sources[rest], known)
        np.testing.assert_allclose(judged[part], fusion.apply(logits[:, part]))


def test_a_large_data_set_counts_as_much_as_a_small_one() -> None:
    """Its clips may be there five times: the weights stay."""
    logits, labels = experts((2.0, 0.5))
    logits[:, :100] = logits[::-1, :100]
    sources = np.repeat(["small", "large"], 100)
    again = np.concatenate([np.arange(100), np.tile(np.arange(100, 200), 5)])
    once = fit_fusion(logits, labels, sources, np.ones(4))
    often = fit_fusion(logits[:, again], labels[again], sources[again], np.ones(4))
    np.testing.assert_allclose(often.weights, once.weights, rtol=1e-3)


def test_named_styles_are_mostly_of_their_genre() -> None:
    rng = np.random.default_rng(1)
    genres = np.array(["jazz", "rock"] * 50)
    probabilities = rng.uniform(0, 0.04, (100, len(TAG_CLASSES)))
    names = [tag.name for tag in TAG_CLASSES]
    swing = names.index("swing")
    probabilities[:, swing] = np.where(genres == "jazz", rng.uniform(0.1, 0.3, 100), rng.uniform(0, 0.15, 100))
    thresholds = tag_thresholds(probabilities, genres)
    named = probabilities[:, swing] >= thresholds["swing"]
    assert (genres[named] == "jazz").mean() >= 0.85
    assert thresholds.keys() == set(names)
    assert all(0.05 <= value <= 0.3 for value in thresholds.values())


@pytest.mark.parametrize(("n_right", "expected"), [(4, 0.3), (5, 0.2)])
def test_a_style_needs_five_clips_of_its_genre(n_right: int, expected: float) -> None:
    place, tag = next((i, tag) for i, tag in enumerate(TAG_CLASSES) if tag.genre is not None)
    probabilities = np.full((40, len(TAG_CLASSES)), 0.1)
    probabilities[:n_right, place] = 0.2
    genres = np.array([str(tag.genre)] * n_right + ["another"] * (40 - n_right))
    assert tag_thresholds(probabilities, genres)[tag.name] == expected


def test_tags_are_distinct_classes_of_audioset() -> None:
    assert len({tag.place for tag in TAG_CLASSES}) == len({tag.name for tag in TAG_CLASSES}) == len(TAG_CLASSES)
    assert all(0 <= tag.place < N_CLASSES for tag in TAG_CLASSES)
    assert all(tag.genre is None or tag.kind == "style" for tag in TAG_CLASSES)


@pytest.mark.parametrize("coverage", [0.5, 0.8, 0.9])
def test_answer_sets_contain_the_right_genre_often_enough(coverage: float) -> None:
    (logits, _), labels = experts((1.0, 1.0))
    probabilities = track_probabilities(logits)
    threshold = genre_set_threshold(probabilities[np.arange(N // 2), labels[: N // 2]], np.arange(N // 2), coverage)
    sets = genre_sets(probabilities[N // 2 :], threshold)
    assert sets[np.arange(N // 2), labels[N // 2 :]].mean() >= coverage - 0.1
    assert sets.any(axis=1).all()
    assert sets[np.arange(N // 2), probabilities[N // 2 :].argmax(axis=1)].all()


def test_too_few_artists_give_the_set_of_all_genres() -> None:
    probabilities = np.full((3, 4), 0.25)
    threshold = genre_set_threshold(probabilities[:, 0], np.arange(3))
    assert genre_sets(probabilities, threshold).all()
    assert threshold < 1e-5
