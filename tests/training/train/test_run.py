"""What a run makes of the network it trained: calibration on validation, figures by source, the whole history."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from genre_training.config import Recipe
from genre_training.data.splits import Split
from genre_training.data.track import Track
from genre_training.evaluate import score as scoring_module
from genre_training.evaluate.metrics import fit_temperature
from genre_training.evaluate.score import evaluate_checkpoint
from genre_training.model.network import GenreNetwork, NetworkConfig
from genre_training.train import run as run_module
from genre_training.train.batches import TrainingData
from genre_training.train.checkpoint import load_checkpoint
from genre_training.train.run import train
from tests.training.conftest import FinishedRun

CPU = torch.device("cpu")
NETWORK = NetworkConfig(widths=(4,), blocks=1)
N_MELS = 8
NAMES = ("blues", "jazz", "rock")


def checkpoint_of(network: GenreNetwork) -> dict[str, Any]:
    return {
        "labels": list(NAMES),
        "network": NETWORK.to_dict(),
        "audio": {"n_mels": 8},
        "model_state_dict": network.state_dict(),
    }


def scripted(logits: NDArray[np.float64]) -> Callable[..., NDArray[np.float64]]:
    """Stand in for `excerpt_logits`: the logits of the clips it is given, which hold their own number."""

    def answer(_network: Any, clips: torch.Tensor, *_: Any) -> NDArray[np.float64]:
        rows: NDArray[np.float64] = logits[clips[:, 0, 0].long().numpy()]
        return rows

    return answer


@pytest.fixture
def data() -> TrainingData:
    """Eighty clips, each filled with its number; the first half validates, the rest tests."""
    positions = np.arange(80)
    clips = torch.arange(80.0).half()[:, None, None].expand(80, N_MELS, 4)
    split = Split(positions[:0], positions[:40], positions[40:])
    return TrainingData(
        clips, positions % 2, np.full(80, "any"), NAMES, split, crop_frames=4, picture_frames=4, excerpt_frames=4
    )


@pytest.fixture
def tracks(data: TrainingData) -> list[Track]:
    """The last ten are of a source that knows blues and jazz alone; the others' one more clip is rock."""
    return [
        Track(f"{i}", Path("x"), "rock" if i == 0 else NAMES[label], "small" if i >= 70 else "large", f"{i}")
        for i, label in enumerate(data.labels)
    ]


def test_calibration_looks_at_validation_alone(
    data: TrainingData, tracks: list[Track], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every tenth answer on validation is wrong, so it is too sure of itself; on the test part all are right."""
    logits = np.zeros((80, 1, 3))
    answers = data.labels.copy()
    answers[:40:10] = 2
    logits[np.arange(80), 0, answers] = 6.0
    monkeypatch.setattr(scoring_module, "excerpt_logits", scripted(logits))
    result = evaluate_checkpoint(checkpoint_of(GenreNetwork(3, 8, NETWORK)), data, tracks, CPU)
    assert result["temperature"] == fit_temperature(logits[:40], data.labels[:40]) > 1.5
    assert fit_temperature(logits[40:], data.labels[40:]) < 1
    assert result["metrics"]["validation"]["accuracy"] == 0.9
    assert result["metrics"]["test"]["accuracy"] == 1.0
    assert 0.8 < result["confidence_threshold"] < 1.0


def test_figures_by_source_and_among_its_own_genres(
    data: TrainingData, tracks: list[Track], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the small source's ten clips four are called rock, which it does not know; the true genre comes second."""
    logits = np.zeros((80, 1, 3))
    logits[np.arange(80), 0, data.labels] = 6.0
    logits[70:74, 0, 2] = 7.0
    logits[74, 0] = [1.0, 5.0, 9.0]  # a blues whose second answer is jazz: wrong in any case
    monkeypatch.setattr(scoring_module, "excerpt_logits", scripted(logits))
    test = evaluate_checkpoint(checkpoint_of(GenreNetwork(3, 8, NETWORK)), data, tracks, CPU)["metrics"]["test"]
    assert test["n_tracks"] == 40
    assert test["per_source"] == {
        "large": {"n_tracks": 30, "accuracy": 1.0, "accuracy_own_genres": 1.0},
        "small": {"n_tracks": 10, "accuracy": 0.5, "accuracy_own_genres": 0.9},
    }


def test_whole_history_is_kept_with_the_best_epoch(
    finished_run: FinishedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    epochs = [
        {"epoch": i, "train_loss": 1.0, "val_loss": float(i), "val_acc": 0.5, "val_macro_f1": 0.5, "learning_rate": 0.1}
        for i in (1, 2, 3)
    ]

    def first_is_best(_trainer: Any, _epochs: int, save_best: Callable[[dict[str, Any]], None], **_: Any) -> Any:
        weights = GenreNetwork(3, 128, NETWORK).state_dict()
        best = {"epoch": 1, "val_acc": 0.5, "val_loss": 1.0, "history": epochs[:1]}
        save_best({**best, "model_state_dict": weights, "optimizer_state_dict": {}})
        return epochs

    monkeypatch.setattr(run_module, "fit", first_is_best)
    path = train(Recipe(network=NETWORK), finished_run.data, tmp_path, finished_run.cache, CPU)
    checkpoint = load_checkpoint(path)
    assert checkpoint["epoch"] == 1
    assert checkpoint["history"] == epochs
    assert checkpoint["metrics"].keys() == {"validation", "test"}
