"""Learns how much each branch of a model counts, on clips that neither branch was trained with.

The answers are those of the branches' folds, so every clip is answered by networks that know no clip of its artist. The
fusion that judges a clip is learnt from clips of other artists too: what is reported had no part in what it judges.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.model_selection import GroupKFold
from torch import Tensor

from genre_training.data.track import Indices
from genre_training.model.fusion import fuse
from genre_training.model.tags import TAG_CLASSES

HALF_RELIABLE = 2
"""Artists of a genre by which the audio branch counts half: a network that knows fewer knows these artists."""
N_FOLDS = 10
N_STEPS = 100

STYLE_PRECISION = 0.85
"""Share of the clips with a named style that have to be of its genre."""
FEWEST_NAMED = 5
RARE_SHARE = 0.05
"""A tag that no label checks is named on that share of the clips at most, and only between these two probabilities."""
LOWEST_THRESHOLD, HIGHEST_THRESHOLD = 0.05, 0.3
MUSIC_THRESHOLD = 0.3


class Fusion(NamedTuple):
    """Few parameters that join the answers of the branches.

    Attributes
    ----------
    weights : float64 array, shape (2,)
        Of the audio branch and of the picture branch.
    reliability : float64 array, shape (n_labels,)
        Of the audio branch for each genre, 0 to 1.
    """

    weights: NDArray[np.float64]
    reliability: NDArray[np.float64]

    def apply(self, logits: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the logits of the model.

        Parameters
        ----------
        logits : float64 array, shape (2, ..., n_labels)
        """
        parts = (torch.from_numpy(np.asarray(one, np.float64)) for one in (logits, self.weights, self.reliability))
        result: NDArray[np.float64] = fuse(*parts).numpy()
        return result


def reliability(labels: Indices, groups: NDArray[np.str_], n_labels: int) -> NDArray[np.float64]:
    """Return how far the audio branch is relied on for each genre, from the number of its artists: 0 to 1.

    Parameters
    ----------
    labels : int64 array, shape (n_clips,)
        Of all clips that exist as audio.
    groups : str array, shape (n_clips,)
        Their artists.
    n_labels : int
    """
    n_artists = np.array([len(np.unique(groups[labels == label])) for label in range(n_labels)])
    # Rounded as the checkpoint stores it.
    known: NDArray[np.float64] = (n_artists / (n_artists + HALF_RELIABLE)).astype(np.float32).astype(np.float64)
    return known


def fit_fusion(
    logits: NDArray[np.float64], labels: Indices, sources: NDArray[np.str_], known: NDArray[np.float64]
) -> Fusion:
    """Fit the weights with the lowest log-loss; all data sets count alike, so that no large one decides alone.

    Parameters
    ----------
    logits : float64 array, shape (2, n_clips, n_excerpts, n_labels)
    labels : int64 array, shape (n_clips,)
    sources : str array, shape (n_clips,)
    known : float64 array, shape (n_labels,)
        Reliability of the audio branch.
    """
    answers, reliable = torch.from_numpy(logits), torch.from_numpy(known)
    _, n_clips, n_excerpts, _ = answers.shape
    _, source, counts = np.unique(sources, return_inverse=True, return_counts=True)
    importance = torch.from_numpy(len(source) / (len(counts) * counts[source]))[:, None]
    targets = torch.from_numpy(labels)[:, None].expand(n_clips, n_excerpts).flatten()
    scale = torch.zeros(2, dtype=torch.float64, requires_grad=True)  # weights stay positive
    optimizer = torch.optim.LBFGS([scale], max_iter=N_STEPS, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        fused = fuse(answers, scale.exp(), reliable).flatten(0, 1)
        losses = torch.nn.functional.cross_entropy(fused, targets, reduction="none")
        value = (losses.view(n_clips, n_excerpts) * importance).mean()
        value.backward()
        return value

    optimizer.step(loss)
    return Fusion(scale.exp().detach().float().double().numpy(), known)  # rounded as the checkpoint stores them


def judged_fusion(
    logits: NDArray[np.float64],
    labels: Indices,
    sources: NDArray[np.str_],
    known: NDArray[np.float64],
    groups: NDArray[np.str_],
    answered: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Return fused logits of each clip, by a fusion that was fitted to clips of other artists.

    Parameters
    ----------
    logits, labels, sources, known
        As for `fit_fusion`.
    groups : str array, shape (n_clips,)
        Artist of each clip.
    answered : float64 array, shape (2, n_clips, n_excerpts, n_labels), optional
        Logits that are fused, if these are not the logits to which the fusions are fitted.

    Returns
    -------
    float64 array, shape (n_clips, n_excerpts, n_labels)
    """
    answered = logits if answered is None else answered
    fused = np.zeros(logits.shape[1:])
    n_folds = min(N_FOLDS, len(np.unique(groups)))
    for others, part in GroupKFold(n_folds).split(labels, groups=groups):
        fused[part] = fit_fusion(logits[:, others], labels[others], sources[others], known).apply(answered[:, part])
    return fused


def tag_thresholds(probabilities: NDArray[np.float64], genres: NDArray[np.str_]) -> dict[str, float]:
    """Return the smallest probability at which each tag is named, chosen on clips that training had not.

    A style that belongs to a genre is named where enough of the clips are of that genre. What other tags say, no label
    of the data can check: they are named where the network is surer than on nearly all other music.

    Parameters
    ----------
    probabilities : float64 array, shape (n_clips, n_tags)
        Of `TAG_CLASSES`.
    genres : str array, shape (n_clips,)
        Genre of each clip.
    """
    chosen = {}
    for tag, column in zip(TAG_CLASSES, probabilities.T, strict=True):
        threshold = float(np.quantile(column, 1 - RARE_SHARE))
        if tag.genre is not None:
            order = np.argsort(-column, kind="stable")
            right = (genres[order] == tag.genre).cumsum() / np.arange(1, len(order) + 1)
            enough = np.flatnonzero((right >= STYLE_PRECISION) & (np.arange(len(order)) + 1 >= FEWEST_NAMED))
            threshold = float(column[order[enough[-1]]]) if enough.size else HIGHEST_THRESHOLD
        chosen[tag.name] = float(np.clip(threshold, LOWEST_THRESHOLD, HIGHEST_THRESHOLD))
        if tag.kind == "music":
            chosen[tag.name] = MUSIC_THRESHOLD
    return chosen
