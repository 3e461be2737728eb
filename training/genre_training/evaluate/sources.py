"""Can the data set of a clip be told from what a network sees of it? A check of every folder with several data sets.

A network that recognises data sets learns which genres each of them has, and answers the files of others wrongly. So a
linear classifier is asked for the data set of clips of one genre, and, where clips are there as pictures and as audio
files, which of the two it has before it. It sees the standardised bands that the network sees. Half right is chance for
two data sets; different music of one genre, and different codecs, can be told apart to some degree.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from genre_training.data.splits import TrainingData
from genre_training.model.network import standardise

N_FOLDS = 5
FEWEST_CLIPS = 10
"""Of each data set, by `N_FOLDS` artists at least."""
MOST_CLIPS = 150
"""Of each data set, so that the largest does not decide."""


class Recognition(NamedTuple):
    """How well a data set is recognised.

    Attributes
    ----------
    what : str
        The genre, or `picture or file`.
    sources : tuple of str
        What was to be told apart.
    n_clips : int
    accuracy : float
        Mean over the sources of the share of their clips that were recognised, on artists that were not learnt from.
    """

    what: str
    sources: tuple[str, ...]
    n_clips: int
    accuracy: float

    @property
    def chance(self) -> float:
        """The accuracy of a guess."""
        return 1 / len(self.sources)


def clip_statistics(clips: Tensor, bands: Sequence[int]) -> NDArray[np.float32]:
    """Return statistics of each band over time: level, spread, change by frame, and distance from the next band.

    Parameters
    ----------
    clips : Tensor, shape (n_clips, n_mels, n_frames)
    bands : sequence of int
        Mel bands that the network sees.

    Returns
    -------
    float32 array, shape (n_clips, n_features)
    """
    seen = standardise(clips[:, list(bands)].float())
    ends = torch.quantile(seen, torch.tensor([0.05, 0.95]), dim=2)
    parts = [
        seen.mean(dim=2),
        seen.std(dim=2),
        seen.diff(dim=2).abs().mean(dim=2),
        ends[0],
        ends[1],
        seen.diff(dim=1).abs().mean(dim=2),
    ]
    statistics: NDArray[np.float32] = torch.cat(parts, dim=1).numpy()
    return statistics


def recognise_sources(data: TrainingData, bands: Sequence[int], noise_db: float, seed: int = 0) -> list[Recognition]:
    """Measure how well data sets are recognised within each genre that several of them have.

    Parameters
    ----------
    data : TrainingData
    bands : sequence of int
        Mel bands that the network sees.
    noise_db : float
        Range of uniform noise added to every value, as training adds it, in the unit of the clips.
    seed : int

    Returns
    -------
    list of Recognition
        By genre; last, if there are enough such clips, pictures against audio files of the same clips.
    """
    rng = np.random.default_rng(seed)
    generator = torch.Generator().manual_seed(seed)

    def statistics(clips: Tensor) -> NDArray[np.float32]:
        noise = 2 * torch.rand(clips.shape, generator=generator) - 1
        return clip_statistics(clips.float() + noise_db * noise, bands)

    finite = torch.isfinite(data.clips).all(dim=2).all(dim=1).numpy()
    found = []
    for label, name in enumerate(data.names):
        members = [
            rng.permutation(rows)[:MOST_CLIPS]
            for source in np.unique(data.sources)
            if len(rows := np.flatnonzero((data.labels == label) & (data.sources == source) & finite)) >= FEWEST_CLIPS
            and len(np.unique(data.groups_of(rows))) >= N_FOLDS
        ]
        if len(members) > 1:
            rows = np.concatenate(members)
            found.append(_recognise(name, statistics(data.clips[rows]), data.sources[rows], data.groups_of(rows)))
    artists_of_twins = np.unique(data.groups_of(data.twin_positions))
    if len(data.twin_positions) >= FEWEST_CLIPS and len(artists_of_twins) >= N_FOLDS:
        both = torch.cat([data.clips[data.twin_positions], data.twins])
        kinds = np.repeat(["picture", "file"], len(data.twin_positions))
        artists = np.tile(data.groups_of(data.twin_positions), 2)
        found.append(_recognise("picture or file", statistics(both), kinds, artists))
    return found


def _recognise(what: str, features: NDArray[np.float32], kinds: NDArray[Any], artists: NDArray[Any]) -> Recognition:
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=500, class_weight="balanced"))
    folds = StratifiedGroupKFold(N_FOLDS, shuffle=True, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        answers = cross_val_predict(model, features, kinds, groups=artists, cv=folds)
    names = tuple(np.unique(kinds).tolist())
    return Recognition(what, names, len(kinds), float(balanced_accuracy_score(kinds, answers)))


def describe(found: Sequence[Recognition]) -> str:
    """Return a table for the terminal.

    Parameters
    ----------
    found : sequence of Recognition
    """
    if not found:
        return f"no genre has {FEWEST_CLIPS} clips in each of two data sets: there is nothing to compare"
    width = max(len(one.what) for one in found)
    lines = [
        f"  {one.what:<{width}}  {one.accuracy:6.1%} right, by chance {one.chance:.1%}  "
        f"({', '.join(one.sources)}; {one.n_clips} clips)"
        for one in found
    ]
    return "\n".join(["data set recognised from what the network sees, among clips of one genre:", *lines])
