"""Optimizers, learning-rate schedules, the running average of the weights, and the loss."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import ReduceLROnPlateau
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from genre_training.config import TrainingConfig

PLATEAU_FACTOR, PLATEAU_PATIENCE = 0.5, 2
"""The rate is halved after more than two epochs without a lower validation loss."""


def make_optimizer(network: nn.Module, config: TrainingConfig) -> torch.optim.Optimizer:
    """Return AdamW, without weight decay for biases and normalisation, or Adam.

    Parameters
    ----------
    network : nn.Module
    config : TrainingConfig
    """
    if config.optimizer == "adam":
        return torch.optim.Adam(network.parameters(), config.learning_rate)
    matrices = [parameter for parameter in network.parameters() if parameter.ndim > 1]
    others = [parameter for parameter in network.parameters() if parameter.ndim <= 1]
    groups: list[dict[str, Any]] = [{"params": matrices}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, config.learning_rate, weight_decay=config.weight_decay)


def learning_rate_factor(step: int, n_steps: int, n_warmup: int) -> float:
    """Return a linear warm-up to 1 over `n_warmup` steps, then a cosine down to 0 at `n_steps`.

    Parameters
    ----------
    step : int
        From 0.
    n_steps, n_warmup : int
    """
    if step < n_warmup:
        return (step + 1) / n_warmup
    return 0.5 * (1 + math.cos(math.pi * (step - n_warmup) / max(1, n_steps - n_warmup)))


class Schedule:
    """The learning rate: `cosine` by step, or `plateau` by validation loss.

    Parameters
    ----------
    optimizer : torch.optim.Optimizer
    config : TrainingConfig
    steps_per_epoch : int
    """

    def __init__(self, optimizer: torch.optim.Optimizer, config: TrainingConfig, steps_per_epoch: int) -> None:
        self._optimizer = optimizer
        self._rate = config.learning_rate
        self._n_steps = config.epochs * steps_per_epoch
        self._n_warmup = round(config.warmup_epochs * steps_per_epoch)
        self._plateau = None
        if config.schedule == "plateau":
            self._plateau = ReduceLROnPlateau(optimizer, factor=PLATEAU_FACTOR, patience=PLATEAU_PATIENCE)

    def before_step(self, step: int) -> None:
        """Set the rate of a step.

        Parameters
        ----------
        step : int
            From 0, counted over all epochs.
        """
        if self._plateau is None:
            for group in self._optimizer.param_groups:
                group["lr"] = self._rate * learning_rate_factor(step, self._n_steps, self._n_warmup)

    def after_epoch(self, validation_loss: float | None) -> None:
        """Lower the rate on a plateau.

        Parameters
        ----------
        validation_loss : float or None
            None without validation clips: the rate stays.
        """
        if self._plateau is not None and validation_loss is not None:
            self._plateau.step(validation_loss)

    def state_dict(self) -> dict[str, object]:
        """Return plain values to continue from."""
        return {} if self._plateau is None else self._plateau.state_dict()

    def load_state_dict(self, state: dict[str, object]) -> None:
        """Continue from a state.

        Parameters
        ----------
        state : dict
            What `state_dict` returned.
        """
        if self._plateau is not None:
            self._plateau.load_state_dict(state)


def running_average(network: nn.Module, decay: float) -> AveragedModel:
    """Return an exponential average of weights and normalisation statistics, to be updated once per step.

    The decay rises from a low value to `decay`, so that the untrained weights are soon forgotten.

    Parameters
    ----------
    network : nn.Module
    decay : float
        0 to 1.
    """

    def average(kept: Sequence[Tensor], current: Sequence[Tensor], n_averaged: Tensor | int) -> None:
        n = float(n_averaged)
        if kept[0].is_floating_point():  # each list has tensors of one type
            get_ema_multi_avg_fn(min(decay, (1 + n) / (10 + n)))(kept, current, n_averaged)
        else:
            for old, new in zip(kept, current, strict=True):
                old.copy_(new)

    return AveragedModel(network, multi_avg_fn=average, use_buffers=True)


def weighted_cross_entropy(logits: Tensor, targets: Tensor, weights: Tensor, label_smoothing: float) -> Tensor:
    """Return the weighted mean cross-entropy of a batch; clips of weight 0 do not count in the mean.

    Parameters
    ----------
    logits, targets : Tensor, shape (batch, n_labels)
    weights : Tensor, shape (batch,)
    label_smoothing : float
    """
    losses = nn.functional.cross_entropy(logits, targets, label_smoothing=label_smoothing, reduction="none")
    return (losses * weights).sum() / (weights > 0).sum().clamp(min=1)
