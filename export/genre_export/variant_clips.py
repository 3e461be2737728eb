"""What variants are measured on: networks, and clips that each of them has not seen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor, from_numpy

from genre_runtime.features import FloatArray
from genre_runtime.metadata import ModelMetadata
from genre_training.calibration import Labels
from genre_training.checkpoint import Checkpoint
from genre_training.cross_validation import FOLDS_FOLDER, fold_name, read_folds
from genre_training.sources import read_tracks
from genre_training.store import FeatureStore, label_indices, open_store
from genre_training.tracks import DataError

N_CALIBRATION = 128


@dataclass(frozen=True)
class Clips:
    """Spectrograms that a network's validation held out.

    Attributes
    ----------
    validation : Tensor, float16, shape (n_clips, n_mels, clip_frames)
    labels : int64 array, shape (n_clips,)
    calibration : float32 array, shape (n_calibration, n_mels, n_frames)
        An excerpt of each of some clips that training saw.
    n_frames : int
        Frames of an excerpt.
    """

    validation: Tensor
    labels: Labels
    calibration: FloatArray
    n_frames: int


class VariantData:
    """The clips of a data folder, as one network or another has seen them or not.

    Parameters
    ----------
    metadata : ModelMetadata
        Of the published model.
    data_folder : Path
        What it was trained on.
    cache : Path
        Folder for computed features.

    Raises
    ------
    DataError
        The folder cannot be read.
    """

    def __init__(self, metadata: ModelMetadata, data_folder: Path, cache: Path) -> None:
        self._metadata, self._folder = metadata, data_folder
        self._store: FeatureStore = open_store(read_tracks(data_folder), metadata.audio, cache)
        self._ids = [track.track_id for track in self._store.tracks]

    def calibration(self, checkpoint: Checkpoint) -> FloatArray:
        """Return an excerpt of each of some clips that a checkpoint trained on: `Clips.calibration`.

        Raises
        ------
        DataError
            There are none.
        """
        held_out = {name for ids in checkpoint.get("held_out", {}).values() for name in ids}
        trained = [i for i, name in enumerate(self._ids) if name not in held_out]
        if not trained:
            raise DataError(f"{self._folder} holds no clip that the checkpoint trained on: expected its data folder")
        drawn = np.random.default_rng(0).choice(trained, min(N_CALIBRATION, len(trained)), replace=False)
        start = max(0, (self._store.log_mel.shape[2] - self._n_frames) // 2)
        return self._store.log_mel[np.sort(drawn), :, start : start + self._n_frames].astype(np.float32)

    def held_out(self, checkpoint: Checkpoint) -> Clips:
        """Return the clips that a checkpoint's validation held out.

        Raises
        ------
        DataError
            The folder holds none of them, or nothing else.
        """
        validation = set(checkpoint.get("held_out", {}).get("validation", ()))
        rows = [i for i, name in enumerate(self._ids) if name in validation]
        if not rows:
            raise DataError(
                f"{self._folder} holds 0 of the {len(validation)} clips that the checkpoint's validation held out: "
                "expected the data folder it was trained with"
            )
        return Clips(
            validation=from_numpy(np.array(self._store.log_mel[rows])),
            labels=label_indices([self._store.tracks[i] for i in rows], self._metadata.labels),
            calibration=self.calibration(checkpoint),
            n_frames=self._n_frames,
        )

    @property
    def _n_frames(self) -> int:
        return round(self._metadata.excerpt_seconds / self._metadata.audio.frame_seconds)


def measured_networks(checkpoint: Checkpoint, path: Path) -> Iterator[Checkpoint]:
    """Yield the networks that tell what a variant loses.

    That is the checkpoint itself when it held clips out. One that learnt from everything has no clips left: then its
    folds, whose weights lie beside it, stand for it, since they are of the same recipe.

    Parameters
    ----------
    checkpoint : Checkpoint
    path : Path
        Where it was read from.

    Raises
    ------
    DataError
        It held nothing out and has no folds.
    CheckpointError
        A fold is missing or of another recipe.
    """
    n_folds = int(checkpoint.get("folds", 0))
    if n_folds:
        yield from read_folds([path.parent / FOLDS_FOLDER / fold_name(i) for i in range(n_folds)])
    elif checkpoint.get("held_out", {}).get("validation"):
        yield checkpoint
    else:
        raise DataError(
            "the checkpoint held no clips out for validation and has no folds, so what a variant loses cannot be "
            "measured: take one that was trained on a split or cross-validated"
        )
