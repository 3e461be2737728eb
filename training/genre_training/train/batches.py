"""Which clips an epoch draws and in which order, and the batches made of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genre_training.config import TrainingConfig
from genre_training.data.splits import TrainingData
from genre_training.data.track import Indices
from genre_training.train.augment import Augmentation
from genre_training.train.distributed import own_share, rank

SILENCE_DB = -80.0


def class_weights(labels: Indices, n_labels: int, strength: float) -> Tensor:
    """Return the weight of each genre in the loss: its number of clips to the power of minus `strength`.

    Parameters
    ----------
    labels : int array, shape (n_clips,)
    n_labels : int
    strength : float

    Returns
    -------
    Tensor, shape (n_labels,)
        The mean weight of a clip is 1; a genre without clips gets weight 0.
    """
    counts = np.bincount(labels, minlength=n_labels).astype(np.float64)
    weights = np.where(counts > 0, np.maximum(counts, 1) ** -strength, 0)
    return torch.from_numpy(weights * counts.sum() / (weights * counts).sum()).float()


def draw_clips(kinds: NDArray[Any], exponent: float, rng: np.random.Generator) -> Indices:
    """Draw as many positions as there are clips, shuffled; each kind's share is spread evenly over its clips.

    Parameters
    ----------
    kinds : array, shape (n_clips,)
        Data set, or genre, of each clip.
    exponent : float
        A kind of n clips is drawn in proportion to n to this power: 1 draws all clips equally often, 0 all kinds.
    rng : numpy.random.Generator

    Returns
    -------
    int array, shape (n_clips,)
    """
    found, counts = np.unique(kinds, return_counts=True)
    exact = counts**exponent / (counts**exponent).sum() * len(kinds)
    numbers = np.rint(exact).astype(np.int64)
    # Rounding may give too few, added to the kinds that lost most by it, or too many, which are cut off at the end.
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
    """Yield the full batches of an epoch; the clips of an incomplete last batch are left out.

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

    Yields
    ------
    int array, shape (batch_size,)
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
    """Return the share of each genre in what `epoch_batches` draws.

    Parameters
    ----------
    sources, labels : array, shape (n_clips,)
    n_labels : int
    exponents : tuple of two floats
        As in `epoch_batches`.

    Returns
    -------
    float64 array, shape (n_labels,)
    """
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
    """Return the number of full batches of an epoch, at least 1.

    Parameters
    ----------
    n_clips, batch_size : int
    """
    return max(1, n_clips // batch_size)


class Batch(NamedTuple):
    """The clips of one step.

    Attributes
    ----------
    clips : Tensor, shape (batch,)
        Position of each clip among all; the last ones may have been replaced by sounds that are not music.
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
        """Return the batch with every tensor changed.

        Parameters
        ----------
        change : callable
            Maps a tensor to another one.
        """
        return Batch(*(change(values) for values in self))


class Batches:
    """The batches of a run; those of an epoch follow from the seed and its number.

    Parameters
    ----------
    data : TrainingData
    config : TrainingConfig
    seed : int
    bands : int64 Tensor
        Mel bands that the network sees.

    Attributes
    ----------
    failed : set of int
        Clips with a value that is not finite.
    """

    def __init__(self, data: TrainingData, config: TrainingConfig, seed: int, bands: Tensor) -> None:
        self._data, self._config, self._seed = data, config, seed
        train, n_labels = data.split.train, len(data.names)
        labels = data.labels[train]
        self._exponents = (config.source_exponent, config.label_exponent)
        self._class_weights = class_weights(labels, n_labels, config.class_weights)
        shares = label_shares(data.sources[train], labels, n_labels, self._exponents)
        # A genre without clips gets no correction.
        priors = config.prior_correction * torch.from_numpy(np.log(np.where(shares > 0, shares, 1))).float()
        device = data.clips.device
        self._log_priors, self._class_weights = priors.to(device), self._class_weights.to(device)
        self._labels = torch.from_numpy(data.labels).to(device)
        self._bands = bands.to(device)
        self.failed: set[int] = set()

    def __len__(self) -> int:
        """Batches of an epoch."""
        return n_batches(len(self._data.split.train), self._config.batch_size)

    def of_epoch(self, epoch: int) -> Iterator[Batch]:
        """Yield this process's share of the batches of an epoch, augmented.

        Parameters
        ----------
        epoch : int
            From 1.
        """
        data, config, train = self._data, self._config, self._data.split.train
        # Two apart, since (seed, epoch, 1) draws the outliers. In the first process the zero changes nothing.
        seed = (self._seed, epoch, 2 * rank())
        augment = Augmentation(config, data.crop_frames, len(data.names), self._bands, seed, data.decibels)
        rng = np.random.default_rng((self._seed, epoch, 1))
        order = np.random.default_rng((self._seed, epoch))
        for drawn in epoch_batches(
            train, data.sources[train], data.labels[train], config.batch_size, self._exponents, order
        ):
            own = own_share(drawn)
            clips, labels, weights = self._usable(own)
            clips, labels, weights = self._with_outliers(
                clips, labels, weights, own_share(self._outliers(rng, len(drawn)))
            )
            crops, targets = augment(clips, labels)
            log_priors = self._log_priors * (labels >= 0)[:, None]
            yield Batch(torch.from_numpy(own), crops, targets, weights, log_priors)

    def _usable(self, batch: Indices) -> tuple[Tensor, Tensor, Tensor]:
        """Return the clips of a batch, their labels and weights; a failed clip becomes silence of weight 0."""
        chosen = torch.from_numpy(batch).to(self._labels.device)
        clips, labels = self._data.clips[chosen], self._labels[chosen]
        weights = self._class_weights[labels]
        failed = ~torch.isfinite(clips).all(dim=2).all(dim=1)
        if failed.any():
            self.failed.update(batch[failed.cpu().numpy()].tolist())
            clips = torch.where(failed[:, None, None], torch.full_like(clips, SILENCE_DB / self._data.decibels), clips)
            labels = torch.where(failed, -1, labels)  # mixup may blend in its silence, but not its genre
            weights = weights * ~failed
        return clips, labels, weights

    def _outliers(self, rng: np.random.Generator, size: int) -> Indices:
        """Draw the sounds that replace the last clips of a batch; -1 for the other clips."""
        drawn = np.full(size, -1, dtype=np.int64)
        n_outliers = round(self._config.outlier_share * size)
        if self._data.outliers is not None and n_outliers:
            drawn[-n_outliers:] = rng.integers(len(self._data.outliers), size=n_outliers)
        return drawn

    def _with_outliers(
        self, clips: Tensor, labels: Tensor, weights: Tensor, drawn: Indices
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Replace the last clips by sounds that are not music."""
        chosen = torch.from_numpy(drawn[drawn >= 0]).to(clips.device)
        if self._data.outliers is None or not len(chosen):
            return clips, labels, weights
        n_music = len(clips) - len(chosen)
        return (
            torch.cat([clips[:n_music], self._data.outliers[chosen]]),
            torch.cat([labels[:n_music], labels.new_full((len(chosen),), -1)]),
            torch.cat([weights[:n_music], weights.new_ones(len(chosen))]),
        )
