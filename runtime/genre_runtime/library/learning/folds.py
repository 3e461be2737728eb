"""Cross-validation of a regression on embeddings, with every artist on one side of each fold.

A track has one or more rows, its excerpts. The regression is fitted on the mean of each track's rows, and answers
for each row; the answer for a track is the mean of their probabilities, as the classifier computes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genre_runtime.audio.excerpts import FloatArray
from genre_runtime.calibration import softmax
from genre_runtime.library.learning.regression import fit_regression

N_FOLDS = 5
PENALTIES = (2.0, 10.0, 50.0, 200.0)
SHARES = (0.0, 0.5, 1.0)
TEMPERATURES = np.geomspace(0.25, 4.0, 33)
MOST_TRIED = 2_000
"""Tracks on which penalty and share are chosen; the choice changes little with more."""


@dataclass(frozen=True, eq=False)
class TrackSet:
    """Tracks with their genres and embeddings.

    Attributes
    ----------
    rows : float16 array, shape (n_rows, n_features)
        Embedding of each audible excerpt.
    known : float32 array, shape (n_rows, n_labels)
        The model's probability of what each genre is known as; 1 for a genre that it does not know.
    track_of_row : int64 array, shape (n_rows,)
        Ascending; each track has at least one row.
    genres : tuple of tuple of int
        Genres of each track, the first is the main one.
    groups : array of str, shape (n_tracks,)
    n_labels : int
    scale : float
        Factor of the embeddings that makes a feature about 1, see `scale_of`.
    """

    rows: NDArray[np.float16]
    known: FloatArray
    track_of_row: NDArray[np.int64]
    genres: tuple[tuple[int, ...], ...]
    groups: NDArray[np.str_]
    n_labels: int
    scale: float

    @cached_property
    def starts(self) -> NDArray[np.int64]:
        """First row of each track."""
        starts: NDArray[np.int64] = np.searchsorted(self.track_of_row, np.arange(len(self.genres)))
        return starts

    @cached_property
    def features(self) -> FloatArray:
        """Mean of each track's rows, times `scale`; (n_tracks, n_features)."""
        sums: FloatArray = np.add.reduceat(self.rows.astype(np.float32), self.starts, axis=0)
        return (sums / self._n_rows * self.scale).astype(np.float32)

    @cached_property
    def offsets(self) -> FloatArray:
        """Mean logarithm of `known` over each track's rows; (n_tracks, n_labels)."""
        return (np.add.reduceat(_log(self.known), self.starts, axis=0) / self._n_rows).astype(np.float32)

    @cached_property
    def targets(self) -> FloatArray:
        """Share of each genre; several genres of a track share its weight. (n_tracks, n_labels)."""
        shares = np.zeros((len(self.genres), self.n_labels), np.float32)
        for track, genres in enumerate(self.genres):
            shares[track, list(genres)] = 1 / len(genres)
        return shares

    def only(self, tracks: NDArray[np.int64]) -> TrackSet:
        """Return some of the tracks.

        Parameters
        ----------
        tracks : int64 array, shape (n_chosen,)
            Ascending.
        """
        rows = np.isin(self.track_of_row, tracks)
        return TrackSet(
            self.rows[rows],
            self.known[rows],
            np.searchsorted(tracks, self.track_of_row[rows]),
            tuple(self.genres[track] for track in tracks),
            self.groups[tracks],
            self.n_labels,
            self.scale,
        )

    @property
    def _n_rows(self) -> NDArray[np.int64]:
        return np.diff(np.append(self.starts, len(self.rows)))[:, None]


@dataclass(frozen=True)
class Setting:
    """How a regression is fitted.

    Attributes
    ----------
    penalty : float
        See `fit_regression`.
    share : float
        Factor of the logarithm of the model's own probability.
    """

    penalty: float
    share: float


def scale_of(rows: NDArray[np.float16]) -> float:
    """Return the factor after which a feature has a mean square of 1.

    Parameters
    ----------
    rows : float16 array, shape (n_rows, n_features)
    """
    mean_square = float(np.square(rows, dtype=np.float32).mean(dtype=np.float64))
    return mean_square**-0.5 if mean_square else 1.0


def fitted(tracks: TrackSet, setting: Setting, start: FloatArray | None = None) -> FloatArray:
    """Fit a regression on all tracks.

    Parameters
    ----------
    tracks : TrackSet
    setting : Setting
    start : float32 array, optional
        See `fit_regression`.

    Returns
    -------
    float32 array, shape (n_features + 1, n_labels)
    """
    offsets = tracks.offsets * np.float32(setting.share) if setting.share else None
    return fit_regression(tracks.features, tracks.targets, offsets=offsets, penalty=setting.penalty, start=start)


def row_logits(tracks: TrackSet, coefficients: FloatArray, share: float) -> FloatArray:
    """Return the logits of each excerpt.

    Parameters
    ----------
    tracks : TrackSet
    coefficients : float32 array, shape (n_features + 1, n_labels)
    share : float

    Returns
    -------
    float32 array, shape (n_rows, n_labels)
    """
    scaled = tracks.rows.astype(np.float32) * np.float32(tracks.scale)
    logits: FloatArray = scaled @ coefficients[:-1] + coefficients[-1]
    return logits + np.float32(share) * _log(tracks.known) if share else logits


def track_probabilities(logits: FloatArray, starts: NDArray[np.int64], temperature: float) -> NDArray[np.float64]:
    """Return the mean probabilities over the excerpts of each track.

    Parameters
    ----------
    logits : float32 array, shape (n_rows, n_labels)
    starts : int64 array, shape (n_tracks,)
        First row of each track.
    temperature : float
        Divisor of the logits.

    Returns
    -------
    float64 array, shape (n_tracks, n_labels)
    """
    shares = softmax(logits.astype(np.float64) / temperature)
    counts = np.diff(np.append(starts, len(logits)))[:, None]
    means: NDArray[np.float64] = np.add.reduceat(shares, starts, axis=0) / counts
    return means


def assign_folds(
    genres: Sequence[Sequence[int]], groups: NDArray[np.str_], n_labels: int, n_folds: int = N_FOLDS, seed: int = 0
) -> NDArray[np.int64]:
    """Assign each group to the fold where its genres are rarest, the largest groups first.

    Parameters
    ----------
    genres : sequence of sequence of int
        Genres of each track.
    groups : array of str, shape (n_tracks,)
    n_labels : int
    n_folds : int
    seed : int
        Order of groups of the same size.

    Returns
    -------
    int64 array, shape (n_tracks,)
        At most as many folds as there are groups.
    """
    names, number = np.unique(groups, return_inverse=True)
    counts = np.zeros((len(names), n_labels))
    for track, own in enumerate(genres):
        counts[number[track], list(own)] += 1
    order = np.random.default_rng(seed).permutation(len(names))
    order = order[np.argsort(-counts[order].sum(axis=1), kind="stable")]
    wanted = np.maximum(counts.sum(axis=0) / n_folds, 1e-9)
    filled, fold_of = np.zeros((n_folds, n_labels)), np.zeros(len(names), np.int64)
    for group in order:
        fullness = (filled / wanted) @ (counts[group] / max(counts[group].sum(), 1))
        fold_of[group] = np.lexsort((filled.sum(axis=1), fullness))[0]
        filled[fold_of[group]] += counts[group]
    used = np.unique(fold_of)
    folds: NDArray[np.int64] = np.searchsorted(used, fold_of)[number]
    return folds


def held_out_logits(
    tracks: TrackSet, folds: NDArray[np.int64], setting: Setting, start: FloatArray | None = None
) -> FloatArray:
    """Return the logits of each excerpt from a regression that learnt from the other folds.

    Parameters
    ----------
    tracks : TrackSet
    folds : int64 array, shape (n_tracks,)
        Two or more.
    setting : Setting
    start : float32 array, optional
        Coefficients of all tracks, which shorten the fits; what they know of the held-out tracks is unlearnt by a
        convex fit.

    Returns
    -------
    float32 array, shape (n_rows, n_labels)
    """
    logits = np.zeros((len(tracks.rows), tracks.n_labels), np.float32)
    fold_of_row = folds[tracks.track_of_row]
    for fold in np.unique(folds):
        coefficients = fitted(tracks.only(np.flatnonzero(folds != fold)), setting, start)
        held_out = tracks.only(np.flatnonzero(folds == fold))
        logits[fold_of_row == fold] = row_logits(held_out, coefficients, setting.share)
    return logits


def best_temperature(logits: FloatArray, tracks: TrackSet) -> tuple[float, float]:
    """Return the temperature with the smallest log loss, and that loss.

    Parameters
    ----------
    logits : float32 array, shape (n_rows, n_labels)
        Of tracks that were not learnt from.
    tracks : TrackSet
    """
    losses = []
    for temperature in TEMPERATURES:
        given = given_probabilities(track_probabilities(logits, tracks.starts, float(temperature)), tracks.genres)
        losses.append(float(-np.log(np.maximum(given, 1e-12)).mean()))
    best = int(np.argmin(losses))
    return float(TEMPERATURES[best]), losses[best]


def given_probabilities(probabilities: NDArray[np.float64], genres: Sequence[Sequence[int]]) -> NDArray[np.float64]:
    """Return the largest probability among the genres of each track.

    Parameters
    ----------
    probabilities : float64 array, shape (n_tracks, n_labels)
    genres : sequence of sequence of int

    Returns
    -------
    float64 array, shape (n_tracks,)
    """
    track = np.repeat(np.arange(len(genres)), [len(own) for own in genres])
    label = np.fromiter((genre for own in genres for genre in own), np.int64, len(track))
    given: NDArray[np.float64] = np.maximum.reduceat(
        probabilities[track, label], np.searchsorted(track, np.arange(len(genres)))
    )
    return given


def default_setting(*, builds_on: bool) -> Setting:
    """Return the setting for tracks that cannot be judged.

    Parameters
    ----------
    builds_on : bool
        Whether the model knows one of the genres.
    """
    return Setting(PENALTIES[1], SHARES[-1] if builds_on else 0.0)


def choose_setting(tracks: TrackSet, *, builds_on: bool) -> tuple[Setting, FloatArray | None]:
    """Return the setting whose answers on held-out artists have the smallest log loss, and their logits.

    Parameters
    ----------
    tracks : TrackSet
        Of at least two groups.
    builds_on : bool
        Whether the model knows one of the genres.

    Returns
    -------
    Setting
    float32 array, shape (n_rows, n_labels), or None
        Logits of each excerpt from a regression that learnt from the other folds; None if only some tracks were used.
    """
    some = tracks if len(tracks.genres) <= MOST_TRIED else tracks.only(_some_tracks(tracks.groups))
    folds = assign_folds(some.genres, some.groups, some.n_labels)
    start: Any = None
    best: tuple[float, FloatArray] | None = None

    def loss(setting: Setting) -> float:
        nonlocal start, best
        start = fitted(some, setting, start)
        logits = held_out_logits(some, folds, setting, start)
        value = best_temperature(logits, some)[1]
        if best is None or value < best[0]:
            best = value, logits
        return value

    shares = {
        Setting(PENALTIES[1], share): loss(Setting(PENALTIES[1], share)) for share in SHARES if builds_on or not share
    }
    share = min(shares, key=lambda setting: shares[setting]).share
    others = (Setting(penalty, share) for penalty in PENALTIES)
    losses = shares | {setting: loss(setting) for setting in others if setting not in shares}
    logits = best[1] if best is not None and some is tracks else None
    return min(losses, key=lambda setting: losses[setting]), logits


def _some_tracks(groups: NDArray[np.str_]) -> NDArray[np.int64]:
    """Return the tracks of randomly drawn groups, about `MOST_TRIED`."""
    names, number, counts = np.unique(groups, return_inverse=True, return_counts=True)
    order = np.random.default_rng(0).permutation(len(names))
    n_groups = max(2, int(np.searchsorted(np.cumsum(counts[order]), MOST_TRIED)))
    return np.flatnonzero(np.isin(number, order[:n_groups]))


def _log(probabilities: FloatArray) -> FloatArray:
    logarithms: FloatArray = np.log(np.maximum(probabilities, np.float32(1e-6)))
    return logarithms
