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
    return TrainingData(clips, labels, sources, NAMES, everything_trains(80), 4, 4, 4, track_ids=IDS)


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
    assert test["per_source"] == {
        "large": {"n_tracks": 30, "accuracy": 1.0, "accuracy_own_genres": 1.0},
        "small": {"n_tracks": 10, "accuracy": 0.5, "accuracy_own_genres": 0.9},
    }


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
    assert fitted.metrics["test"]["confident"] == {"coverage": 0.0, "precision": None}

    result = score([checkpoint], data, CPU, (0.5, 0.9))
    assert (result.temperature, result.confidence_threshold) == (0.5, 0.9)
    confidence = 1 / (1 + np.exp(-4))
    test = result.metrics["test"]
    assert test["confident"] == {"coverage": 1.0, "precision": 0.5}
    assert test["calibration_error"] == pytest.approx(confidence - 0.5)
    assert test["calibration_error_uncalibrated"] == pytest.approx(1 / (1 + np.exp(-2)) - 0.5)
    assert test["reliability"]["count"][-1] == test["n_tracks"] == 40
    assert test["excerpts"] == {"single_excerpt_accuracy": 0.5, "track_accuracy": 0.5}
    low, high = test["accuracy_interval"]
    assert low < 0.5 < high


def test_a_clip_that_every_fold_tests_counts_once(
    data: TrainingData, checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two folds test ten clips each of their own, and both test the last ten."""
    monkeypatch.setattr(score_module, "excerpt_logits", scripted(np.zeros((80, 1, 3))))
    folds = [
        replace(
            checkpoint, held_out={"validation": list(IDS[i : i + 5]), "test": list(IDS[i + 40 : i + 50] + IDS[70:])}
        )
        for i in (0, 10)
    ]
    result = score(folds, data, CPU)
    assert result.metrics["validation"]["n_tracks"] == 10
    assert result.metrics["test"]["n_tracks"] == 30
    assert [fold["small"]["n_tracks"] for fold in result.metrics["folds"]] == [10, 10]
