"""The clips of a training or an evaluation, in memory."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genre_runtime.model.metadata import AudioConfig
from genre_training.config import Recipe
from genre_training.data.features import FeatureStore, label_indices
from genre_training.data.splits import Split
from genre_training.data.track import Indices


@dataclass(frozen=True)
class TrainingData:
    """Clips with their labels and their split.

    Attributes
    ----------
    clips : Tensor, float16, shape (n_clips, n_mels, n_frames)
        A clip with a value that is not finite counts as failed: it trains as silence of weight zero.
    labels : int64 array, shape (n_clips,)
    sources : str array, shape (n_clips,)
        Data set of each clip.
    names : tuple of str
        Genre of each label.
    split : Split
    crop_frames : int
        Frames of a training crop.
    picture_frames : int
        Frames of the part of a training crop that the backbone sees.
    excerpt_frames : int
        Frames of an excerpt that is evaluated.
    track_ids : tuple of str
        Name of each clip.
    outliers : Tensor or None, shape (n_outliers, n_mels, n_frames)
        Sounds that are not music, for training with the label -1.
    """

    clips: Tensor
    labels: Indices
    sources: NDArray[np.str_]
    names: tuple[str, ...]
    split: Split
    crop_frames: int
    picture_frames: int
    excerpt_frames: int
    track_ids: tuple[str, ...] = ()
    outliers: Tensor | None = None

    def on(self, device: torch.device) -> TrainingData:
        """Return the same data with the clips on `device`, if it has room for them twice: batches need room too.

        Parameters
        ----------
        device : torch.device
        """
        size = self.clips.numel() * self.clips.element_size()
        if device.type != "cuda" or 2 * size > torch.cuda.mem_get_info(device)[0]:
            return self
        outliers = None if self.outliers is None else self.outliers.to(device)
        return replace(self, clips=self.clips.to(device), outliers=outliers)


def load_clips(
    store: FeatureStore, recipe: Recipe, audio: AudioConfig, names: tuple[str, ...], split: Split
) -> TrainingData:
    """Load the clips of a feature store into memory.

    Parameters
    ----------
    store : FeatureStore
    recipe : Recipe
        Gives the lengths of crops, pictures and excerpts.
    audio : AudioConfig
        Front end of the store.
    names : tuple of str
        Genre of each label.
    split : Split

    Raises
    ------
    DataError
        A clip's genre is not among `names`.
    """
    training = recipe.training
    return TrainingData(
        clips=torch.from_numpy(np.array(store.log_mel)),
        labels=label_indices(store.tracks, names),
        sources=np.array([track.source for track in store.tracks]),
        names=names,
        split=split,
        crop_frames=round(training.crop_seconds / audio.frame_seconds),
        picture_frames=round(training.picture_seconds / audio.frame_seconds),
        excerpt_frames=round(training.excerpt_seconds / audio.frame_seconds),
        track_ids=tuple(track.track_id for track in store.tracks),
    )
