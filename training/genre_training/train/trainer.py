"""What each branch of a network is shown in training.

The training loop: steps, a validation an epoch, and a state to go on from after an interruption.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from genre_training.config import Recipe, TrainingConfig
from genre_training.data.track import DataError, Indices
from genre_training.evaluate.metrics import excerpt_logits, score, track_probabilities
from genre_training.model.network import GenreNetwork
from genre_training.train.augment import SpecAugment
from genre_training.train.batches import Batch, Batches, TrainingData
from genre_training.train.distributed import (
    autocast_dtype,
    mean_over_processes,
    n_processes,
    own_share,
    rank,
    share_gradients,
)
from genre_training.train.optim import Schedule, make_optimizer, running_average, weighted_cross_entropy


class Branches(nn.Module):
    """A network in training: its body sees a part of each crop through masks, statistics are taken of the whole.

    Short masked pictures are many different pictures, and quick to learn from. Statistics want the longest
    stretch there is, and no masks: those would change every one of them.
    """

    def __init__(self, network: GenreNetwork, config: TrainingConfig, picture_frames: int) -> None:
        super().__init__()
        self.network = network
        self._picture_frames = picture_frames
        self._spec_augment = SpecAugment(config.frequency_mask, config.time_mask)

    def forward(self, log_mel: Tensor) -> Tensor:
        """Map crops (batch, n_mels, n_frames) to the logits of each branch, (n_branches, batch, n_labels)."""
        picture = self._spec_augment(self._part(log_mel))
        logits = [self.network.read_picture(picture)[0].float()]
        if self.network.statistics is not None:
            logits.append(self.network.read_statistics(log_mel)[0].float())
        return torch.stack(logits)

    def _part(self, log_mel: Tensor) -> Tensor:
        """Cut a part of each crop, from a place of its own; a number read back from the device would stop it there."""
        n_clips, n_mels, n_frames = log_mel.shape
        length = min(self._picture_frames, n_frames)
        starts = torch.randint(0, n_frames - length + 1, (n_clips, 1), device=log_mel.device)
        frames = starts + torch.arange(length, device=log_mel.device)
        return log_mel.gather(2, frames[:, None, :].expand(n_clips, n_mels, length))


MAX_GRADIENT_NORM = 5.0

UNKNOWN: dict[str, Any] = {"log_loss": None, "accuracy": None, "macro_f1": None}
"""Figures of a validation part without clips."""

History = list[dict[str, Any]]

State = dict[str, Any]
"""What `Trainer.state` gives: plain values and tensors."""


class NonFiniteLossError(DataError):
    """The loss became NaN or infinite; the best checkpoint so far is kept."""

    code = "non_finite_loss"


class Trainer:
    """A network on its way.

    All that is random in an epoch follows from the seed and the epoch's number, so a run that goes on from
    the state after an epoch ends with the same weights as one that was never interrupted.
    """

    def __init__(self, data: TrainingData, recipe: Recipe, device: torch.device) -> None:
        config = recipe.training
        data = data.on(device)
        self._data, self._config, self._seed, self._device = data, config, recipe.data.seed, device
        torch.manual_seed(self._seed)
        network = GenreNetwork(len(data.names), data.clips.shape[1], recipe.network).to(device)
        # A CPU takes up to half as long again in the default layout; the stubs do not know the argument.
        self._network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        wrapped = share_gradients(Branches(self._network, config, data.picture_frames), device)
        self._model: nn.Module = torch.compile(wrapped) if config.compile else wrapped  # type: ignore[assignment]
        self._optimizer = make_optimizer(self._network, config)
        self._average = running_average(self._network, config.ema_decay)
        self._batches = Batches(data, config, self._seed)
        self._schedule = Schedule(self._optimizer, config, len(self._batches))
        self.history: History = []
        self.best_loss = math.inf

    def state(self) -> State:
        """Everything to go on from after an epoch."""
        return {
            "network": self._network.state_dict(),
            "average": self._average.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "schedule": self._schedule.state_dict(),
            "history": list(self.history),
            "best_loss": self.best_loss,
            "failed": sorted(self._batches.failed),
        }

    def resume(self, state: State) -> None:
        """Go on from `state`."""
        self._network.load_state_dict(state["network"])
        self._average.load_state_dict(state["average"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._schedule.load_state_dict(state["schedule"])
        self.history, self.best_loss = list(state["history"]), state["best_loss"]
        self._batches.failed = set(state["failed"])

    def best(self) -> State:
        """Return the checkpoint of the last epoch: the averaged weights, which are those that were validated."""
        last, weights = self.history[-1], self._average.module.state_dict()
        if not all(tensor.isfinite().all() for tensor in weights.values()):
            raise NonFiniteLossError("the weights are no finite numbers any more: lower learning_rate")
        return {
            "epoch": int(last["epoch"]),
            "model_state_dict": weights,
            "optimizer_state_dict": self._optimizer.state_dict(),
            "val_acc": last["val_acc"],
            "val_loss": last["val_loss"],
            "history": list(self.history),
        }

    def run_epoch(self) -> bool:
        """Train and validate one epoch; returns whether its validation loss is the best so far.

        Raises
        ------
        NonFiniteLossError
        """
        started = time.perf_counter()
        epoch = len(self.history) + 1
        train_loss = self._train_epoch(epoch)
        validation = self._data.split.validation
        metrics = UNKNOWN
        if validation.size:
            metrics = evaluate(self._average.module, self._data, validation, self._device)
            # Each process has its own normalisation statistics: all have to come to one judgement.
            metrics["log_loss"] = mean_over_processes(metrics["log_loss"], self._device)
        self._schedule.after_epoch(metrics["log_loss"])
        seconds = time.perf_counter() - started
        self.history.append(
            {
                "epoch": epoch,
                "learning_rate": self._optimizer.param_groups[0]["lr"],
                "train_loss": train_loss,
                "val_loss": metrics["log_loss"],
                "val_acc": metrics["accuracy"],
                "val_macro_f1": metrics["macro_f1"],
                "failed_clips": len(self._batches.failed),
                "seconds": seconds,
            }
        )
        if rank() == 0:
            tqdm.write(self._summary())
        if not validation.size:
            return True  # there is no better than the last
        better = bool(metrics["log_loss"] < self.best_loss)
        self.best_loss = min(self.best_loss, metrics["log_loss"])
        return better

    def _summary(self) -> str:
        last = self.history[-1]
        parts = [f"epoch {last['epoch']}: training loss {last['train_loss']:.4f}"]
        if last["val_loss"] is not None:
            parts.append(f"validation loss {last['val_loss']:.4f}, accuracy {last['val_acc']:.1%}")
            parts.append(f"macro F1 {last['val_macro_f1']:.3f}")
        if self._batches.failed:
            parts.append(f"{len(self._batches.failed)} clips failed and were not learnt from")
        return ", ".join([*parts, f"{last['seconds']:.0f} s"])

    def _train_epoch(self, epoch: int) -> float:
        config = self._config
        # Dropout and masks fall on each process's own clips: they shall not be the same in all of them.
        torch.manual_seed((self._seed * 1_000_003 + epoch) * n_processes() + rank())
        self._model.train()
        losses: list[float] = []
        batches = self._batches.of_epoch(epoch)
        name = f"epoch {epoch}/{config.epochs}"
        bar = tqdm(batches, name, len(self._batches), unit="batch", disable=rank() > 0)
        for whole in bar:
            self._schedule.before_step((epoch - 1) * len(self._batches) + len(losses))
            batch = whole.map(lambda values: own_share(values).to(self._device))
            loss = _step(self._model, self._optimizer, batch, config.label_smoothing)
            if not math.isfinite(loss):
                raise NonFiniteLossError(
                    f"the loss is {loss} in epoch {epoch}, batch {len(losses) + 1} "
                    f"(clips {whole.clips[:4].tolist()}...): lower learning_rate; the best checkpoint so far is kept"
                )
            self._average.update_parameters(self._network)
            losses.append(loss)
            bar.set_postfix(loss=f"{np.mean(losses):.3f}")
        return float(np.mean(losses))


def _step(network: nn.Module, optimizer: torch.optim.Optimizer, batch: Batch, label_smoothing: float) -> float:
    """One optimizer step; returns the batch's loss, which leaves the weights alone unless it is finite."""
    device = batch.crops.device
    dtype = autocast_dtype(device)
    with torch.autocast(device.type, dtype, enabled=dtype is not None):
        branches = network(batch.crops)  # (n_branches, batch, n_labels)
    # Each learns by itself: trained on their sum, the quicker one would leave the other little to do.
    losses = [
        weighted_cross_entropy(one + batch.log_priors, batch.targets, batch.weights, label_smoothing)
        for one in branches
    ]
    loss = torch.stack(losses).sum()
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(network.parameters(), MAX_GRADIENT_NORM)
    value = mean_over_processes(loss.item() / len(losses), device)
    if math.isfinite(value):
        optimizer.step()
    return value


def fit(
    trainer: Trainer, epochs: int, save_best: Callable[[State], None], save_state: Callable[[State], None]
) -> History:
    """Train up to `epochs`; every new best checkpoint goes to `save_best`, the state after each epoch to `save_state`.

    Returns
    -------
    list of dict
        One entry an epoch: epoch, learning_rate, train_loss, val_loss, val_acc, val_macro_f1, failed_clips, seconds.

    Raises
    ------
    NonFiniteLossError
    """
    while len(trainer.history) < epochs:
        if trainer.run_epoch():
            save_best(trainer.best())
        save_state(trainer.state())
    return trainer.history


def evaluate(network: nn.Module, data: TrainingData, part: Indices, device: torch.device) -> dict[str, Any]:
    """Score the tracks of one part of the split: see `genre_training.evaluate.metrics.score`.

    Raises
    ------
    NonFiniteLossError
    """
    logits = excerpt_logits(network, data.clips[part], data.excerpt_frames, device)
    if not np.isfinite(logits).all():
        raise NonFiniteLossError(
            "the network's answers are no finite numbers any more: lower learning_rate; the best checkpoint so far is "
            "kept"
        )
    return score(track_probabilities(logits), data.labels[part], data.names)
