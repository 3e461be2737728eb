"""A whole run: which epoch is kept, and what is kept with it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from genre_training.config import NetworkConfig, Recipe, TrainingConfig
from genre_training.data.folders import read_tracks
from genre_training.model.checkpoint import CheckpointError, load_checkpoint
from genre_training.train import run as run_module
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
    assert checkpoint.metrics.keys() == {"validation", "test", "files"}


def test_resuming_names_what_changed_before_features_are_computed(
    finished_run: FinishedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_: Trainer) -> None:
        raise KeyboardInterrupt

    def run(*, resume: bool = True) -> None:
        train(recipe, finished_run.data, tmp_path, cache, torch.device("cpu"), resume=resume)

    recipe = Recipe(network=NetworkConfig(widths=(4,)), training=TrainingConfig(epochs=3, outlier_share=0.0))
    cache = finished_run.cache
    monkeypatch.setattr(Trainer, "run_epoch", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run(resume=False)
    cache = tmp_path / "no features yet"
    training, recipe = recipe.training, replace(recipe, training=replace(recipe.training, learning_rate=1e-3))
    with pytest.raises(CheckpointError, match=r"^training.learning_rate is 0.002 in the interrupted run and 0.001 now"):
        run()
    recipe = replace(recipe, training=training)
    tracks = read_tracks(finished_run.data)
    found: Any = tracks[1:]
    monkeypatch.setattr(run_module, "read_branch_tracks", lambda *_: found)
    with pytest.raises(CheckpointError, match=rf"had 96 clips, now there are 95; .* is {tracks[0].track_id} \("):
        run()
    found = [replace(track, label="new") if track.label == "low" else track for track in tracks]
    with pytest.raises(CheckpointError, match=r"the genres \['bursts', 'high', 'low'\], now there are .*'new'\]"):
        run()
    found = [replace(track, group=f"{i % 9}") for i, track in enumerate(tracks)]
    with pytest.raises(CheckpointError, match="held out other clips: resume with the same artists and parts"):
        run()
    assert not cache.exists()
    cache, found = finished_run.cache, tracks
    with pytest.raises(KeyboardInterrupt):
        run()
