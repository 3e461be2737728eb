"""Which clips an epoch draws, in which order.

What the training loop learns from: clips in memory, and the batches that are made of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genre_training.config import TrainingConfig
from genre_training.data.splits import Split
from genre_training.data.track import Indices
from genre_training.evaluate.metrics import Labels
from genre_training.train.augment import Augmentation


def class_weights(labels: Indices, n_labels: int, strength: float) -> Tensor:
    """Weight of each genre in the loss: its number of clips to the power of minus `strength`.

    The mean weight of a clip is 1; a genre without clips gets weight 0.
    """
    counts = np.bincount(labels, minlength=n_labels).astype(np.float64)
    weights = np.where(counts > 0, np.maximum(counts, 1) ** -strength, 0)
    return torch.from_numpy(weights * counts.sum() / (weights * counts).sum()).float()


def draw_clips(kinds: NDArray[Any], exponent: float, rng: np.random.Generator) -> Indices:
    """Return as many positions as there are clips, shuffled: each kind gets its share and spreads it evenly.

    Parameters
    ----------
    kinds : array, shape (n_clips,)
        Data set, or genre, of each clip.
    exponent : float
        A kind of n clips is drawn from in proportion to n to this power: 1 takes every clip as often as any
        other, 0 every kind.
    rng : numpy.random.Generator
    """
    found, counts = np.unique(kinds, return_counts=True)
    exact = counts**exponent / (counts**exponent).sum() * len(kinds)
    numbers = np.rint(exact).astype(np.int64)
    # Rounding may leave a few too few, which those get that lost most by it, or a few too many, cut off at the end.
    n_lacking = max(0, len(kinds) - int(numbers.sum()))
    numbers[np.argsort(numbers - exact, kind="stable")[:n_lacking]] += 1
    chosen = []
    for kind, n_drawn in zip(found, numbers.tolist(), strict=True):
        positions = np.flatnonzero(kinds == kind)
        rounds = [rng.permutation(positions) for _ in range(-(-n_drawn // len(positions)))]
        chosen.append(np.concatenate(rounds)[:n_drawn])
    return rng.permutation(np.concatenate(chosen))[: len(kinds)]


def epoch_batches(
    clips: Indices,
    sources: NDArray[np.str_],
    labels: Indices,
    batch_size: int,
    exponents: tuple[float, float],
    rng: np.random.Generator,
) -> Iterator[Indices]:
    """Yield an epoch's full batches; what an incomplete last one would hold waits for another epoch.

    Parameters
    ----------
    clips : int array, shape (n_clips,)
        The training clips.
    sources, labels : array, shape (n_clips,)
        Their data sets and genres.
    batch_size : int
    exponents : tuple of two floats
        `source_exponent` and `label_exponent` of the recipe; genres are balanced within each data set.
    rng : numpy.random.Generator
    """
    source_exponent, label_exponent = exponents
    order = draw_clips(sources, source_exponent, rng)
    if label_exponent < 1:
        for source in np.unique(sources):
            places = np.flatnonzero(sources[order] == source)
            own = np.flatnonzero(sources == source)
            drawn = own[np.resize(draw_clips(labels[own], label_exponent, rng), len(places))]
            order[places] = drawn
    for i in range(n_batches(len(order), batch_size)):
        yield clips[order[i * batch_size : (i + 1) * batch_size]]


def label_shares(
    sources: NDArray[np.str_], labels: Indices, n_labels: int, exponents: tuple[float, float]
) -> NDArray[np.float64]:
    """Share of each genre, shape (n_labels,), in what `epoch_batches` draws."""
    source_exponent, label_exponent = exponents
    names, counts = np.unique(sources, return_counts=True)
    weights = counts**source_exponent / (counts**source_exponent).sum()
    shares = np.zeros(n_labels)
    for name, weight in zip(names, weights, strict=True):
        within = np.bincount(labels[sources == name], minlength=n_labels).astype(np.float64)
        within[within > 0] **= label_exponent
        shares += weight * within / within.sum()
    return shares


def n_batches(n_clips: int, batch_size: int) -> int:
    """Batches of an epoch: full ones, but at least one."""
    return max(1, n_clips // batch_size)


SILENCE_DB = -80.0


@dataclass(frozen=True)
class TrainingData:
    """Everything to learn from.

    Attributes
    ----------
    clips : Tensor, float16, shape (n_clips, n_mels, n_frames)
        A clip that holds anything but finite numbers counts as failed: it trains as silence of weight zero.
    labels : int64 array, shape (n_clips,)
    sources : str array, shape (n_clips,)
        Data set of each clip.
    names : tuple of str
        Genre of each label.
    split : Split
    crop_frames : int
        Frames of a training crop.
    picture_frames : int
        Frames of the part of a training crop that a network's body is shown.
    excerpt_frames : int
        Frames of an excerpt that is evaluated.
    outliers : Tensor or None, shape (n_outliers, n_mels, n_frames)
        What is no music: training shows it with the label -1.
    bands : tuple of int
        Mel bands that the network looks at; none given means all.
    """

    clips: Tensor
    labels: Labels
    sources: NDArray[np.str_]
    names: tuple[str, ...]
    split: Split
    crop_frames: int
    picture_frames: int
    excerpt_frames: int
    outliers: Tensor | None = None
    bands: tuple[int, ...] = ()

    def on(self, device: torch.device) -> TrainingData:
        """Return the same with the clips on `device`, if it has room for them twice over; a batch needs some too."""
        size = self.clips.numel() * self.clips.element_size()
        if device.type != "cuda" or 2 * size > torch.cuda.mem_get_info(device)[0]:
            return self
        outliers = None if self.outliers is None else self.outliers.to(device)
        return replace(self, clips=self.clips.to(device), outliers=outliers)


class Batch(NamedTuple):
    """What one step learns from.

    Attributes
    ----------
    clips : Tensor, shape (batch,)
        Position of each clip among all; the last ones may have given way to sounds that are no music.
    crops : Tensor, shape (batch, n_mels, n_frames)
    targets : Tensor, shape (batch, n_labels)
        Distribution over the genres.
    weights : Tensor, shape (batch,)
        Weight in the loss, 0 for a clip that failed.
    log_priors : Tensor, shape (batch, n_labels)
        Added to the network's logits in the loss.
    """

    clips: Tensor
    crops: Tensor
    targets: Tensor
    weights: Tensor
    log_priors: Tensor

    def map(self, change: Callable[[Tensor], Tensor]) -> Batch:
        """Return the batch with every tensor changed."""
        return Batch(*(change(values) for values in self))


class Batches:
    """The batches of a run, each epoch's from the seed and the epoch's number.

    Attributes
    ----------
    failed : set of int
        Clips that turned out to hold anything but finite numbers.
    """

    def __init__(self, data: TrainingData, config: TrainingConfig, seed: int) -> None:
        self._data, self._config, self._seed = data, config, seed
        train, n_labels = data.split.train, len(data.names)
        labels = data.labels[train]
        self._exponents = (config.source_exponent, config.label_exponent)
        self._class_weights = class_weights(labels, n_labels, config.class_weights)
        shares = label_shares(data.sources[train], labels, n_labels, self._exponents)
        # A genre without clips gets no correction: it has no logit worth one.
        priors = config.prior_correction * torch.from_numpy(np.log(np.where(shares > 0, shares, 1))).float()
        device = data.clips.device
        self._log_priors, self._class_weights = priors.to(device), self._class_weights.to(device)
        self._labels = torch.from_numpy(data.labels).to(device)
        self._bands = torch.tensor(data.bands or range(data.clips.shape[1]), device=device)
        self.failed: set[int] = set()

    def __len__(self) -> int:
        """Batches of an epoch."""
        return n_batches(len(self._data.split.train), self._config.batch_size)

    def of_epoch(self, epoch: int) -> Iterator[Batch]:
        """Yield the batches of an epoch, augmented."""
        data, config, train = self._data, self._config, self._data.split.train
        augment = Augmentation(config, data.crop_frames, len(data.names), self._bands, (self._seed, epoch))
        rng = np.random.default_rng((self._seed, epoch, 1))
        order = np.random.default_rng((self._seed, epoch))
        for drawn in epoch_batches(
            train, data.sources[train], data.labels[train], config.batch_size, self._exponents, order
        ):
            clips, labels, weights = self._usable(drawn)
            clips, labels, weights = self._with_outliers(clips, labels, weights, rng)
            crops, targets = augment(clips, labels)
            log_priors = self._log_priors * (labels >= 0)[:, None]
            yield Batch(torch.from_numpy(drawn), crops, targets, weights, log_priors)

    def _usable(self, batch: Indices) -> tuple[Tensor, Tensor, Tensor]:
        """Clips of a batch, their labels and weights in the loss; what failed is silence without any weight."""
        chosen = torch.from_numpy(batch).to(self._labels.device)
        clips, labels = self._data.clips[chosen], self._labels[chosen]
        weights = self._class_weights[labels]
        failed = ~torch.isfinite(clips).all(dim=2).all(dim=1)
        if failed.any():
            self.failed.update(batch[failed.cpu().numpy()].tolist())
            clips = torch.where(failed[:, None, None], torch.full_like(clips, SILENCE_DB), clips)
            labels = torch.where(failed, -1, labels)  # mixup may blend it into another clip, but not its genre
            weights = weights * ~failed
        return clips, labels, weights

    def _with_outliers(
        self, clips: Tensor, labels: Tensor, weights: Tensor, rng: np.random.Generator
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Put sounds that are no music in the place of a batch's last clips."""
        n_outliers = round(self._config.outlier_share * len(clips))
        if self._data.outliers is None or not n_outliers:
            return clips, labels, weights
        chosen = torch.from_numpy(rng.integers(len(self._data.outliers), size=n_outliers)).to(clips.device)
        return (
            torch.cat([clips[:-n_outliers], self._data.outliers[chosen]]),
            torch.cat([labels[:-n_outliers], labels.new_full((n_outliers,), -1)]),
            torch.cat([weights[:-n_outliers], weights.new_ones(n_outliers)]),
        )
