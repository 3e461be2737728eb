"""The training loop: steps, a validation per epoch, and a state from which an interrupted run continues.

Below it are the optimizer, the schedule of the learning rate, the running average of the weights and the loss.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from copy import deepcopy
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import ReduceLROnPlateau
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm import tqdm

from genre_runtime.errors import counted
from genre_training.config import Recipe, TrainingConfig
from genre_training.data.splits import TrainingData
from genre_training.data.track import DataError
from genre_training.evaluate.metrics import excerpt_logits, fit_temperature, metrics, track_probabilities
from genre_training.model.checkpoint import Checkpoint
from genre_training.model.network import GenreNetwork, front_end
from genre_training.model.pretrained import drawn_back, initialise, learning_shares
from genre_training.train.augment import SpecAugment
from genre_training.train.batches import Batch, Batches
from genre_training.train.distributed import (
    autocast_dtype,
    mean_over_processes,
    n_processes,
    rank,
    share_gradients,
    union_over_processes,
)
from genre_training.train.probe import fit_to_training_clips

MAX_GRADIENT_NORM = 5.0
PLATEAU_FACTOR, PLATEAU_PATIENCE = 0.5, 2
"""The rate is halved after more than two epochs without a lower validation loss."""

State = dict[str, Any]
"""What `Trainer.state` returns: plain values and tensors."""


class NonFiniteLossError(DataError):
    """The loss became NaN or infinite; the best checkpoint so far is kept."""

    code = "non_finite_loss"


class Answers(NamedTuple):
    """What a network in training answers.

    Attributes
    ----------
    logits : Tensor, shape (n_readers, batch, n_labels)
        Of the backbone and of the clip statistics.
    classes, taught : Tensor, shape (batch, n_classes) or None
        Logits of AudioSet's classes: the network's own, and those of the weights that it started from.
    """

    logits: Tensor
    classes: Tensor | None = None
    taught: Tensor | None = None


class NetworkInTraining(nn.Module):
    """A network in training: its backbone sees a masked part of each crop, its statistics branch the whole crop.

    Short masked parts are many different pictures, and fast to train on. Statistics need the longest crop possible
    and no masks, which would change all of them.

    Parameters
    ----------
    network : GenreNetwork
    config : TrainingConfig
        Gives the sizes of the masks.
    picture_frames : int
        Frames of the part that the backbone sees.
    """

    def __init__(self, network: GenreNetwork, config: TrainingConfig, picture_frames: int) -> None:
        super().__init__()
        self.network = network
        self._picture_frames = picture_frames
        self._keep_statistics = config.init_statistics
        self._spec_augment = SpecAugment(config.frequency_mask, config.time_mask)
        self._teacher = deepcopy(network).requires_grad_(False) if network.classes is not None else None

    def train(self, mode: bool = True) -> NetworkInTraining:
        """Set the mode; the teacher, and kept normalisation statistics, stay as in evaluation.

        Parameters
        ----------
        mode : bool
        """
        super().train(mode)
        if self._teacher is not None:
            self._teacher.eval()
        if self._keep_statistics:
            for module in self.network.body.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()
        return self

    def forward(self, log_mel: Tensor) -> Answers:
        """Return what the network answers.

        Parameters
        ----------
        log_mel : Tensor, shape (batch, n_mels, n_frames)
        """
        n_clips, n_mels, n_frames = log_mel.shape
        length = min(self._picture_frames, n_frames)
        # Each crop's part begins at its own frame; indices stay on the device, so that it need not wait for the host.
        starts = torch.randint(0, n_frames - length + 1, (n_clips, 1), device=log_mel.device)
        frames = starts + torch.arange(length, device=log_mel.device)
        picture = log_mel.gather(2, frames[:, None, :].expand(n_clips, n_mels, length))
        logits, embedding = self.network.read_picture(self._spec_augment(picture))
        readers = [logits.float()]
        if self.network.statistics is not None:
            readers.append(self.network.read_statistics(log_mel)[0].float())
        if self._teacher is None:
            return Answers(torch.stack(readers))
        with torch.no_grad():
            taught = self._teacher.read_classes(self._teacher.read_picture(picture)[1]).float()
        return Answers(torch.stack(readers), self.network.read_classes(embedding).float(), taught)


class Trainer:
    """Trains a network epoch by epoch; can continue an interrupted run.

    All randomness of an epoch follows from the seed and the number of the epoch, so a run that continues from the
    state after an epoch ends with the same weights as an uninterrupted one.

    Parameters
    ----------
    data : TrainingData
    recipe : Recipe
    device : torch.device
    weights : dict of str to Tensor, optional
        To start from, if the recipe names some.

    Attributes
    ----------
    history : list of dict
        One entry per epoch, see `genre_training.model.checkpoint.Checkpoint`.
    best_loss : float
        Lowest validation loss so far, each after calibration.
    """

    def __init__(
        self,
        data: TrainingData,
        recipe: Recipe,
        device: torch.device,
        weights: dict[str, Tensor] | None = None,
    ) -> None:
        data = data.on(device)
        self._data, self._recipe, self._device = data, recipe, device
        config = recipe.training
        torch.manual_seed(recipe.data.seed)
        network = GenreNetwork(len(data.names), data.clips.shape[1], recipe.network).to(device)
        if weights is not None:
            initialise(network, weights)
            if config.probe:
                fit_to_training_clips(network, data, config, device)
        self._start = {name: tensor.clone() for name, tensor in network.state_dict().items()}
        # A CPU takes up to half as long again in the default layout; the stubs do not know the argument.
        self._network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        wrapped = share_gradients(NetworkInTraining(self._network, config, data.picture_frames), device)
        self._model: nn.Module = torch.compile(wrapped) if config.compile else wrapped  # type: ignore[assignment]
        self._optimizer = make_optimizer(self._network, config)
        self._average = running_average(self._network, config.ema_decay)
        self._batches = Batches(data, config, recipe.data.seed, self._network.bands)
        self._schedule = Schedule(self._optimizer, config, len(self._batches))
        self.history: list[dict[str, Any]] = []
        self.best_loss = math.inf

    def state(self) -> State:
        """Return everything that continuing after an epoch needs."""
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
        """Continue from a state.

        Parameters
        ----------
        state : dict
            What `state` returned.
        """
        self._network.load_state_dict(state["network"])
        self._average.load_state_dict(state["average"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._schedule.load_state_dict(state["schedule"])
        self.history, self.best_loss = list(state["history"]), state["best_loss"]
        self._batches.failed = set(state["failed"])

    def checkpoint(self) -> Checkpoint:
        """Return the checkpoint of the last epoch, with the weights that were validated.

        Raises
        ------
        NonFiniteLossError
            A weight is NaN or infinite.
        """
        weights = self._kept().state_dict()
        if not all(tensor.isfinite().all() for tensor in weights.values()):
            raise NonFiniteLossError("the weights are not finite numbers any more: lower learning_rate")
        last = self.history[-1]
        return Checkpoint(
            epoch=last["epoch"],
            model_state_dict=weights,
            val_acc=last["val_acc"],
            val_loss=last["val_loss"],
            labels=self._data.names,
            audio=front_end(self._recipe.network.branch),
            network=self._recipe.network,
            optimizer_state_dict=self._optimizer.state_dict(),
            recipe=self._recipe.to_dict(),
            excerpt_seconds=self._recipe.training.excerpt_seconds,
            history=list(self.history),
        )

    def run_epoch(self) -> bool:
        """Train and validate one epoch, and add it to the history.

        Returns
        -------
        bool
            Whether its validation loss is the lowest so far; always true without validation clips.

        Raises
        ------
        NonFiniteLossError
        """
        started = time.perf_counter()
        epoch = len(self.history) + 1
        train_loss = self._train(epoch)
        scores = (
            self.validate() if self._data.split.validation.size else dict.fromkeys(("log_loss", "accuracy", "macro_f1"))
        )
        val_loss = scores["log_loss"]
        self._schedule.after_epoch(val_loss)
        self._batches.failed = union_over_processes(self._batches.failed)
        n_failed = len(self._batches.failed)
        entry = {
            "epoch": epoch,
            "learning_rate": self._optimizer.param_groups[0]["lr"],
            "train_loss": train_loss,
            "val_loss": val_loss,
            "val_acc": scores["accuracy"],
            "val_macro_f1": scores["macro_f1"],
            "failed_clips": n_failed,
            "seconds": time.perf_counter() - started,
        }
        self.history.append(entry)
        if rank() == 0:
            parts = [f"epoch {epoch}: training loss {train_loss:.4f}"]
            if val_loss is not None:
                parts.append(f"validation loss {val_loss:.4f}, accuracy {scores['accuracy']:.1%}")
                parts.append(f"macro F1 {scores['macro_f1']:.3f}")
            if n_failed:
                parts.append(f"{counted(n_failed, 'clip')} failed, not trained on")
            tqdm.write(", ".join([*parts, f"{entry['seconds']:.0f} s"]))
        if val_loss is None:
            return True
        better = bool(val_loss < self.best_loss)
        self.best_loss = min(self.best_loss, val_loss)
        return better

    def validate(self) -> dict[str, Any]:
        """Return the metrics of the kept weights on the validation part, calibrated as the finished model is.

        An overconfident network has a high log-loss even if most of its answers are right. The temperature mends that,
        so it must not decide which epoch is kept.

        Raises
        ------
        NonFiniteLossError
            A logit is NaN or infinite.
        """
        data, part = self._data, self._data.split.validation
        logits = excerpt_logits(self._kept(), data.clips[part], data.excerpt_frames, self._device)
        if not np.isfinite(logits).all():
            raise NonFiniteLossError(
                "the network's answers are not finite numbers any more: lower learning_rate; the best checkpoint so "
                "far is kept"
            )
        labels = data.labels[part]
        result = metrics(track_probabilities(logits, fit_temperature(logits, labels)), labels, data.names)
        # Each process has its own normalisation statistics, but all have to agree on whether an epoch is the best.
        return {**result, "log_loss": mean_over_processes(result["log_loss"], self._device)}

    def _kept(self) -> nn.Module:
        """Return the averaged network, drawn back towards its start as far as the recipe says."""
        share = self._recipe.training.start_share
        return drawn_back(self._average.module, self._start, share) if share else self._average.module

    def _train(self, epoch: int) -> float:
        """Train one epoch; returns its mean loss."""
        config, n_steps = self._recipe.training, len(self._batches)
        # Dropout and masks apply to each process's own clips, so they must differ between processes.
        torch.manual_seed((self._recipe.data.seed * 1_000_003 + epoch) * n_processes() + rank())
        self._model.train()
        losses: list[float] = []
        bar = tqdm(
            self._batches.of_epoch(epoch), f"epoch {epoch}/{config.epochs}", n_steps, unit="batch", disable=rank() > 0
        )
        for drawn in bar:
            self._schedule.before_step((epoch - 1) * n_steps + len(losses))
            batch = drawn.map(lambda values: values.to(self._device))
            loss = _step(self._model, self._optimizer, batch, config)
            if not math.isfinite(loss):
                raise NonFiniteLossError(
                    f"the loss is {loss} in epoch {epoch}, batch {len(losses) + 1} "
                    f"(clips {drawn.clips[:4].tolist()}...): lower learning_rate; the best checkpoint so far is kept"
                )
            self._average.update_parameters(self._network)
            losses.append(loss)
            bar.set_postfix(loss=f"{np.mean(losses):.3f}")
        return float(np.mean(losses))


def _step(network: nn.Module, optimizer: torch.optim.Optimizer, batch: Batch, config: TrainingConfig) -> float:
    """Take one optimizer step; returns the batch's loss. Unless it is finite, the weights are left alone."""
    device = batch.crops.device
    dtype = autocast_dtype(device)
    with torch.autocast(device.type, dtype, enabled=dtype is not None):
        answers: Answers = network(batch.crops)
    # Each branch has its own loss: trained on the sum of logits, the faster one would leave the other little to learn.
    losses = [
        weighted_cross_entropy(one + batch.log_priors, batch.targets, batch.weights, config.label_smoothing)
        for one in answers.logits
    ]
    loss = torch.stack(losses).sum()
    if answers.classes is not None and answers.taught is not None:
        loss = loss + config.tag_weight * (answers.classes - answers.taught).square().mean()
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(network.parameters(), MAX_GRADIENT_NORM)
    value = mean_over_processes(loss.item() / len(losses), device)
    if math.isfinite(value):
        optimizer.step()
    return value


def make_optimizer(network: nn.Module, config: TrainingConfig) -> torch.optim.Optimizer:
    """Return AdamW, without weight decay for biases and normalisation, or Adam.

    Parameters
    ----------
    network : nn.Module
    config : TrainingConfig
    """
    if config.optimizer == "adam":
        return torch.optim.Adam(network.parameters(), config.learning_rate)
    groups: list[dict[str, Any]] = []
    for layers, share in learning_shares(network, config):
        parameters = [parameter for layer in layers for parameter in layer.parameters()]
        for parameter in parameters:
            parameter.requires_grad_(share > 0)
        rate = {"lr": share * config.learning_rate, "share": share}
        matrices = [parameter for parameter in parameters if parameter.ndim > 1 and share]
        others = [parameter for parameter in parameters if parameter.ndim <= 1 and share]
        groups += [{"params": matrices, **rate}, {"params": others, **rate, "weight_decay": 0.0}]
    groups = [group for group in groups if group["params"]]
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
                factor = learning_rate_factor(step, self._n_steps, self._n_warmup)
                group["lr"] = group.get("share", 1.0) * self._rate * factor

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
