"""A whole run: which epoch is kept, and what is kept with it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from genre_training.config import NetworkConfig, Recipe, TrainingConfig
from genre_training.model.checkpoint import load_checkpoint
from genre_training.train.run import train
from genre_training.train.trainer import Trainer
from tests.training.conftest import FinishedRun


def test_whole_history_is_kept_with_the_best_epoch(
    finished_run: FinishedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses = iter([1.0, 2.0, 3.0])
    monkeypatch.setattr(Trainer, "validate", lambda _: {"log_loss": next(losses), "accuracy": 0.5, "macro_f1": 0.5})
    recipe = Recipe(network=NetworkConfig(widths=(4,)), training=TrainingConfig(epochs=3, outlier_share=0.0))
    path = train(recipe, finished_run.data, tmp_path, finished_run.cache, torch.device("cpu"))
    checkpoint = load_checkpoint(path)
    assert (checkpoint.epoch, checkpoint.val_loss) == (1, 1.0)
    assert [(entry["epoch"], entry["val_loss"]) for entry in checkpoint.history] == [(1, 1.0), (2, 2.0), (3, 3.0)]
    assert checkpoint.metrics.keys() == {"validation", "test"}
