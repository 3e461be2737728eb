"""Clips of three labels that a tiny network tells apart within seconds."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from genre_training.config import DataConfig, NetworkConfig, Recipe, TrainingConfig
from genre_training.data.splits import Split, TrainingData
from genre_training.model.checkpoint import Checkpoint
from genre_training.train.trainer import State, Trainer

RECIPE = Recipe(
    DataConfig(seed=1),
    NetworkConfig(widths=(4, 8), blocks=1, dropout=0.0),
    TrainingConfig(
        epochs=6,
        batch_size=12,
        learning_rate=1e-2,
        warmup_epochs=1,
        mixup_alpha=0.0,
        equaliser_db=0.0,
        low_pass_share=0.0,
        frequency_mask=4,
        time_mask=2,
        ema_decay=0.8,
    ),
)


def easy_data() -> TrainingData:
    """Ninety clips of three labels: every fourth band is loud, every fourth frame, or neither."""
    rng = np.random.default_rng(0)
    labels = np.arange(90) % 3
    values = rng.uniform(-80, -50, (90, 48, 40))
    values[labels == 0, ::4] += 40
    values[labels == 1, :, ::4] += 40
    positions = np.arange(90)
    split = Split(positions[:60], positions[60:75], positions[75:])
    sources = np.full(90, "synthetic")
    clips = torch.from_numpy(values).half()
    return TrainingData(
        clips, labels, sources, ("a", "b", "c"), split, crop_frames=20, picture_frames=20, excerpt_frames=20
    )


def fit(
    trainer: Trainer,
    n_epochs: int,
    save_best: Callable[[Checkpoint], object] = lambda _: None,
    save_state: Callable[[State], object] = lambda _: None,
) -> list[dict[str, Any]]:
    """Train to the end, as a run does; returns the history."""
    while len(trainer.history) < n_epochs:
        if trainer.run_epoch():
            save_best(copy.deepcopy(trainer.checkpoint()))
        save_state(copy.deepcopy(trainer.state()))
    return trainer.history
