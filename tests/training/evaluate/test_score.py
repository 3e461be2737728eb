"""Scores of a checkpoint: calibration on validation, accuracy by source, stored calibrations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from genre_runtime.model.metadata import AudioConfig
from genre_training.config import NetworkConfig
from genre_training.data.splits import TrainingData, everything_trains
from genre_training.evaluate import score as score_module
from genre_training.evaluate.metrics import fit_temperature
from genre_training.evaluate.score import score
from genre_training.model.checkpoint import Checkpoint
from genre_training.model.network import GenreNetwork

CPU = torch.device("cpu")
NETWORK = NetworkConfig(widths=(4,), blocks=1)
AUDIO = AudioConfig(n_mels=8)
NAMES = ("blues", "jazz", "rock")
IDS = tuple(str(i) for i in range(80))


@pytest.fixture
def checkpoint() -> Checkpoint:
    """The first half of eighty clips validates, the rest tests."""
    weights = GenreNetwork(3, 8, NETWORK).state_dict()
    held_out = {"validation": list(IDS[:40]), "test": list(IDS[40:])}
    return Checkpoint(1, weights, 0.5, 1.0, NAMES, AUDIO, NETWORK, held_out=held_out)


def scripted(logits: NDArray[np.float64]) -> Callable[..., NDArray[np.float64]]:
    """Stand in for `excerpt_logits`: the logits of the clips it is given, each filled with its own number."""

    def answer(_network: Any, clips: torch.Tensor, *_: Any) -> NDArray[np.float64]:
        rows: NDArray[np.float64] = logits[clips[:, 0, 0].long().numpy()]
        return rows

    return answer


@pytest.fixture
def data() -> TrainingData:
    """Eighty clips, each filled with its number. The last ten are of a source that has blues and jazz only."""
    labels = np.arange(80) % 2
    labels[0] = 2
    clips = torch.arange(80.0).half()[:, None, None].expand(80, 8, 4)
    sources = np.array(["large"] * 70 + ["small"] * 10)
    groups = np.array([*IDS[:70], *(f"artist {i // 2}" for i in range(10))])  # two clips each of the small source
    return TrainingData(clips, labels, sources, NAMES, everything_trains(80), 4, 4, 4, track_ids=IDS, groups=groups)


def test_calibration_looks_at_validation_alone(
    data: TrainingData, checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every tenth answer on validation is wrong, so the network is overconfident; on the test part all are right."""
    logits = np.zeros((80, 1, 3))
    answers = data.labels.copy()
    answers[:40:10] = (data.labels[:40:10] + 1) % 3
    logits[np.arange(80), 0, answers] = 6.0
    monkeypatch.setattr(score_module, "excerpt_logits", scripted(logits))
    result = score([checkpoint], data, CPU)
    assert result.temperature == fit_temperature(logits[:40], data.labels[:40]) > 1.5
    assert fit_temperature(logits[40:], data.labels[40:]) < 1
    assert result.metrics["validation"]["accuracy"] == 0.9
    assert result.metrics["test"]["accuracy"] == 1.0
    assert 0.8 < result.confidence_threshold < 1.0
    assert "folds" not in result.metrics


def test_accuracy_by_source_and_among_its_own_genres(
    data: TrainingData, checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the small source's ten clips four are called rock, which it does not have; the true genre comes second."""
    logits = np.zeros((80, 1, 3))
    logits[np.arange(80), 0, data.labels] = 6.0
    logits[70:74, 0, 2] = 7.0
    logits[74, 0] = [1.0, 5.0, 9.0]  # a blues whose second answer is jazz: wrong in any case
    monkeypatch.setattr(score_module, "excerpt_logits", scripted(logits))
    test = score([checkpoint], data, CPU).metrics["test"]
    assert test["n_tracks"] == 40
    names = ("n_tracks", "n_groups", "accuracy", "accuracy_own_genres")
    assert {source: [one[name] for name in names] for source, one in test["per_source"].items()} == {
        "large": [30, 30, 1.0, 1.0],
        "small": [10, 5, 0.5, 0.9],
    }
    assert test["n_groups"] == 35
    low, high = test["per_source"]["small"]["accuracy_interval"]
    assert low <= 0.3 < 0.7 <= high


def test_a_stored_calibration_is_used_instead_of_a_new_one(
    data: TrainingData, checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every excerpt is called blues at 0.88, which is right for half of the clips."""
    logits = np.zeros((80, 3, 2))
    logits[:, :, 0] = 2.0
    monkeypatch.setattr(score_module, "excerpt_logits", scripted(logits))
    data = replace(data, labels=np.arange(80) % 2, names=NAMES[:2])

    fitted = score([checkpoint], data, CPU)
    assert fitted.temperature == pytest.approx(5.0)  # the flattest there is
    assert fitted.confidence_threshold == 1.0
    assert fitted.metrics["test"]["confident"] == {"coverage": 0.0, "precision": None, "precision_interval": None}
    assert "confident" not in fitted.metrics["validation"], "judged on what it was fitted to"

    result = score([checkpoint], data, CPU, (0.5, 0.9))
    assert (result.temperature, result.confidence_threshold) == (0.5, 0.9)
    confidence = 1 / (1 + np.exp(-4))
    test = result.metrics["test"]
    assert (test["confident"]["coverage"], test["confident"]["precision"]) == (1.0, 0.5)
    assert test["calibration_error"] == pytest.approx(confidence - 0.5)
    assert test["calibration_error_uncalibrated"] == pytest.approx(1 / (1 + np.exp(-2)) - 0.5)
    assert test["reliability"]["count"][-1] == test["n_tracks"] == 40
    assert test["excerpts"] == {"single_excerpt_accuracy": 0.5, "track_accuracy": 0.5}
    low, high = test["accuracy_interval"]
    assert low < 0.5 < high


def in_folds(checkpoint: Checkpoint) -> list[Checkpoint]:
    """Two folds that test ten clips each of their own, and both test the last ten."""
    return [
        replace(
            checkpoint, held_out={"validation": list(IDS[i : i + 5]), "test": list(IDS[i + 40 : i + 50] + IDS[70:])}
        )
        for i in (0, 10)
    ]


def test_an_artist_whom_every_fold_tests_counts_once(
    data: TrainingData, checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(score_module, "excerpt_logits", scripted(np.zeros((80, 1, 3))))
    result = score(in_folds(checkpoint), data, CPU)
    assert result.metrics["validation"]["n_tracks"] == 10
    assert result.metrics["test"]["n_tracks"] == 30
    assert result.metrics["test"]["n_groups"] == 25
    assert [fold["small"]["n_tracks"] for fold in result.metrics["folds"]] == [10, 10]


def test_each_fold_is_judged_by_the_calibration_of_the_others(
    data: TrainingData, checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fold 0 is always right and fold 1 never: what one teaches is wrong for the other."""
    logits = np.zeros((80, 1, 3))
    logits[np.arange(80), 0, data.labels] = 3.0
    logits[50:60, 0] = 0
    logits[np.arange(50, 60), 0, (data.labels[50:60] + 1) % 3] = 3.0
    monkeypatch.setattr(score_module, "excerpt_logits", scripted(logits))
    folds = [replace(one, held_out={**one.held_out, "test": one.held_out["test"][:10]}) for one in in_folds(checkpoint)]
    result = score(folds, data, CPU)
    assert fit_temperature(logits[40:50], data.labels[40:50]) == pytest.approx(0.2)
    assert fit_temperature(logits[50:60], data.labels[50:60]) == pytest.approx(5.0)
    # The right fold is as unsure as the wrong one taught, the wrong one as sure as the right one taught.
    unsure = np.exp(0.6) / (np.exp(0.6) + 2)
    assert result.metrics["test"]["calibration_error"] == pytest.approx((1 - unsure) / 2 + 1 / 2, abs=0.01)
    assert 0.2 < result.temperature < 5


def test_a_refitted_network_is_checked_on_what_it_held_out(
    data: TrainingData, checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    logits = np.zeros((80, 1, 3))
    logits[np.arange(80), 0, data.labels] = 3.0
    monkeypatch.setattr(score_module, "excerpt_logits", scripted(logits))
    refitted = replace(checkpoint, held_out={"validation": [], "test": list(IDS[66:72])})
    held_out = score(in_folds(checkpoint), data, CPU, refitted=refitted).metrics["held_out"]
    assert (held_out["n_tracks"], held_out["n_groups"], held_out["accuracy"]) == (6, 5, 1.0)
    assert "calibration_error" in held_out


def test_files_are_answered_from_files_and_compared_with_their_pictures(
    data: TrainingData, checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Clips 60 to 69 are files; of 40 to 43, which are pictures, there are files, the last answered otherwise."""
    logits = np.zeros((120, 1, 3))
    answers = np.concatenate([data.labels, data.labels[40:]])
    answers[83] = (data.labels[43] + 1) % 2
    logits[np.arange(120), 0, answers] = 6.0
    monkeypatch.setattr(score_module, "excerpt_logits", scripted(logits))
    twins = torch.tensor([80.0, 81, 82, 83, 0])[:, None, None].half().expand(5, 8, 4)
    positions = np.array([40, 41, 42, 43, 0])  # the last one validates
    is_file = np.isin(np.arange(80), np.arange(60, 70))
    files = score([checkpoint], replace(data, twins=twins, twin_positions=positions, is_file=is_file), CPU).metrics[
        "files"
    ]
    assert (files["n_tracks"], files["n_pictured"]) == (14, 4)
    assert files["like_picture"] == 0.75
    assert files["accuracy"] == pytest.approx(13 / 14)


def test_without_files_there_is_nothing_to_say(
    data: TrainingData, checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(score_module, "excerpt_logits", scripted(np.zeros((80, 1, 3))))
    assert score([checkpoint], data, CPU).metrics["files"] == {"n_tracks": 0}
