"""The training loop: AdamW, warm-up and cosine, a running average of the weights that is validated and kept."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel
from tqdm import tqdm

from genre_training.augmentation import Augmentation
from genre_training.config import Recipe, TrainingConfig
from genre_training.devices import autocast_dtype
from genre_training.evaluation import Labels, excerpt_logits, score, track_probabilities
from genre_training.networks import ResidualCnn
from genre_training.splits import Indices, Split
from genre_training.tracks import DataError

MAX_GRADIENT_NORM = 5.0


class NonFiniteLossError(DataError):
    """The loss became NaN or infinite; the best checkpoint so far is kept."""

    code = "non_finite_loss"


@dataclass(frozen=True)
class TrainingData:
    """Everything to learn from.

    Attributes
    ----------
    clips : Tensor, float16, shape (n_clips, n_mels, n_frames)
    labels : int64 array, shape (n_clips,)
    sources : str array, shape (n_clips,)
        Data set of each clip.
    names : tuple of str
        Genre of each label.
    split : Split
    crop_frames : int
        Frames of a training crop and of an evaluated excerpt.
    """

    clips: Tensor
    labels: Labels
    sources: NDArray[np.str_]
    names: tuple[str, ...]
    split: Split
    crop_frames: int


def learning_rate_factor(step: int, n_steps: int, n_warmup: int) -> float:
    """Linear warm-up to 1 over `n_warmup` steps, then a cosine down to 0 at `n_steps`."""
    if step < n_warmup:
        return (step + 1) / n_warmup
    return 0.5 * (1 + math.cos(math.pi * (step - n_warmup) / max(1, n_steps - n_warmup)))


def running_average(network: nn.Module, decay: float) -> AveragedModel:
    """Exponential average of weights and normalisation statistics, updated once a step.

    The decay starts low and rises to `decay`, so that the untrained weights are soon forgotten.
    """

    def average(kept: Sequence[Tensor], current: Sequence[Tensor], n_averaged: Tensor | int) -> None:
        n = float(n_averaged)
        share = 1 - min(decay, (1 + n) / (10 + n))
        for old, new in zip(kept, current, strict=True):
            if old.is_floating_point():
                old.lerp_(new, share)
            else:
                old.copy_(new)

    return AveragedModel(network, multi_avg_fn=average, use_buffers=True)


def fit(
    data: TrainingData,
    recipe: Recipe,
    device: torch.device,
    save_best: Callable[[dict[str, Any]], None],
) -> list[dict[str, float]]:
    """Train a network and hand every new best one, by validation loss, to `save_best`.

    Returns
    -------
    list of dict
        One entry an epoch: epoch, learning_rate, train_loss, val_loss, val_acc, val_macro_f1, seconds.

    Raises
    ------
    NonFiniteLossError
    """
    config = recipe.training
    torch.manual_seed(recipe.data.seed)
    rng = np.random.default_rng(recipe.data.seed)
    network = ResidualCnn(len(data.names), data.clips.shape[1], recipe.network).to(device)
    # A CPU takes up to half as long again in the default layout; the stubs do not know the argument.
    network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(network.parameters(), config.learning_rate, weight_decay=config.weight_decay)
    average = running_average(network, config.ema_decay)
    augment = Augmentation(config, data.crop_frames, len(data.names), recipe.data.seed)
    n_batches = max(1, len(data.split.train) // config.batch_size)
    n_warmup = round(config.warmup_epochs * n_batches)
    history: list[dict[str, float]] = []
    best_loss = math.inf

    for epoch in range(1, config.epochs + 1):
        started = time.perf_counter()
        network.train()
        losses: list[float] = []
        batches = _batches(data, config, rng)
        bar = tqdm(batches, f"epoch {epoch}/{config.epochs}", n_batches, unit="batch")
        for batch in bar:
            factor = learning_rate_factor((epoch - 1) * n_batches + len(losses), config.epochs * n_batches, n_warmup)
            for group in optimizer.param_groups:
                group["lr"] = config.learning_rate * factor
            crops, targets = augment(data.clips[batch], torch.from_numpy(data.labels[batch]))
            loss = _step(network, optimizer, crops.to(device), targets.to(device), config.label_smoothing)
            if not math.isfinite(loss):
                raise NonFiniteLossError(
                    f"the loss is {loss} in epoch {epoch}, batch {len(losses) + 1} (clips {batch[:4].tolist()}...): "
                    "lower learning_rate; the best checkpoint so far is kept"
                )
            average.update_parameters(network)
            losses.append(loss)
            bar.set_postfix(loss=f"{np.mean(losses):.3f}")
        metrics = evaluate(average.module, data, data.split.validation, device)
        history.append(
            {
                "epoch": epoch,
                "learning_rate": optimizer.param_groups[0]["lr"],
                "train_loss": float(np.mean(losses)),
                "val_loss": metrics["log_loss"],
                "val_acc": metrics["accuracy"],
                "val_macro_f1": metrics["macro_f1"],
                "seconds": time.perf_counter() - started,
            }
        )
        tqdm.write(
            f"epoch {epoch}: validation loss {metrics['log_loss']:.4f}, accuracy {metrics['accuracy']:.1%}, "
            f"macro F1 {metrics['macro_f1']:.3f}, {history[-1]['seconds']:.0f} s"
        )
        if metrics["log_loss"] < best_loss:
            best_loss = metrics["log_loss"]
            save_best(
                {
                    "epoch": epoch,
                    "model_state_dict": average.module.state_dict(),
                    "optimizer_state_dict": optimizer.state_dict(),
                    "val_acc": metrics["accuracy"],
                    "val_loss": metrics["log_loss"],
                    "history": list(history),
                }
            )
    return history


def evaluate(network: nn.Module, data: TrainingData, part: Indices, device: torch.device) -> dict[str, Any]:
    """Score the tracks of one part of the split: see `genre_training.evaluation.score`.

    Raises
    ------
    NonFiniteLossError
    """
    logits = excerpt_logits(network, data.clips[part], data.crop_frames, device)
    if not np.isfinite(logits).all():
        raise NonFiniteLossError(
            "the network's answers are no finite numbers any more: lower learning_rate; the best checkpoint so far is "
            "kept"
        )
    return score(track_probabilities(logits), data.labels[part], data.names)


def _batches(data: TrainingData, config: TrainingConfig, rng: np.random.Generator) -> Iterator[Indices]:
    """Yield full batches of training clips; what an incomplete last one would hold waits for another epoch."""
    order = draw_clips(data.sources[data.split.train], config.source_exponent, rng)
    order = data.split.train[order]
    for i in range(max(1, len(order) // config.batch_size)):
        yield order[i * config.batch_size : (i + 1) * config.batch_size]


def draw_clips(sources: NDArray[np.str_], exponent: float, rng: np.random.Generator) -> Indices:
    """Return as many positions as there are clips, shuffled: each source gets its share and spreads it evenly."""
    kinds, counts = np.unique(sources, return_counts=True)
    shares = counts**exponent / (counts**exponent).sum()
    chosen = []
    for kind, share in zip(kinds, shares, strict=True):
        positions = np.flatnonzero(sources == kind)
        n_drawn = round(share * len(sources))
        rounds = [rng.permutation(positions) for _ in range(-(-n_drawn // len(positions)))]
        chosen.append(np.concatenate(rounds)[:n_drawn])
    return rng.permutation(np.concatenate(chosen))


def _step(
    network: nn.Module, optimizer: torch.optim.Optimizer, crops: Tensor, targets: Tensor, label_smoothing: float
) -> float:
    """One optimizer step; returns the batch's loss."""
    dtype = autocast_dtype(crops.device)
    with torch.autocast(crops.device.type, dtype, enabled=dtype is not None):
        logits, _ = network(crops)
    loss = nn.functional.cross_entropy(logits.float(), targets, label_smoothing=label_smoothing)
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(network.parameters(), MAX_GRADIENT_NORM)
    if math.isfinite(value := loss.item()):
        optimizer.step()
    return value
