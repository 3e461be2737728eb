"""The clips of a run in memory, and their seeded split into training, validation and test.

`grouped` keeps every group (artist, album, upload block) whole and every clip in the part that its source names.
`artists` keeps groups whole and divides all clips alike, whatever part a source names.
`official` follows the official split of a source as well, and divides the clips of the others as `grouped` does.
`stratified` splits clip by clip, as the original report did: artists leak, so it serves for comparison only.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold
from torch import Tensor

from genre_runtime import KALDI_SPAN, AudioConfig
from genre_runtime.errors import counted
from genre_training.config import TEST_FOLDS, VALIDATION_FOLDS, Recipe, SplitMethod
from genre_training.data.features import FeatureStore, label_indices
from genre_training.data.track import PARTS, DataError, Indices, Track

METHODS = get_args(SplitMethod)
PARTED = ("grouped", "official")
"""Methods that keep a clip in the part that its source names."""
REFIT_FOLDS = 16
FEWEST_HELD_OUT = 20
"""Artists that a refit holds out, or none: the answers on fewer tell nothing, and training has use for them."""


@dataclass(frozen=True)
class Split:
    """Positions in the track list, each in exactly one part."""

    train: Indices
    validation: Indices
    test: Indices


def split_tracks(
    tracks: list[Track], method: str, seed: int, fold: int = 0, validation_folds: int = VALIDATION_FOLDS
) -> Split:
    """Divide tracks: one fifth test (fold `fold`), a part of the rest validation, the rest training.

    With fewer groups, or fewer clips of the largest genre, than parts, there are only as many parts.

    `grouped` keeps the part that a clip's source names. If a source names a training and a test part only, a part of
    its training clips validates.

    Parameters
    ----------
    tracks : list of Track
    method : {"grouped", "artists", "official", "stratified"}
    seed : int
        The same seed gives the same split.
    fold : int
        Which fifth is the test part, 0 to 4.
    validation_folds : int
        Into how many parts the rest is divided, one of which validates.

    Raises
    ------
    DataError
        Unknown method or fold, a part that is missing, or too few clips or groups to split.
    """
    if method not in METHODS or not 0 <= fold < TEST_FOLDS:
        raise DataError(
            f"split {method!r}, fold {fold}: expected {', '.join(METHODS)} and a fold from 0 to {TEST_FOLDS - 1}"
        )
    if method == "official" and fold:
        raise DataError(f"split 'official', fold {fold}: it has one division only, expected fold 0")
    grouped = method != "stratified"
    named = [track.part or (track.official if method == "official" else None) for track in tracks]
    if method == "official" and tracks and not any(named):
        raise DataError(
            f"split 'official': none of {counted(len(tracks), 'clip')} names a part: expected FMA, or a manifest with "
            "the column split; use split 'grouped'"
        )
    parts = np.array([(part or "") if method in PARTED else "" for part in named], dtype="<U10")
    free, train, validation, test = (np.flatnonzero(parts == part) for part in ("", *PARTS))
    if not tracks:
        raise DataError("there are no clips to split: expected clips of at least three artists")
    if not free.size and not test.size:
        raise DataError(
            f"every clip names a part, {train.size} train and {validation.size} validation, but none `test`: name test "
            "clips, or leave the part of some clips empty, of which a fifth is drawn"
        )
    if free.size:
        folds = _folds(tracks, free, grouped, TEST_FOLDS, seed)
        if fold >= len(folds):
            raise DataError(
                f"fold {fold}: {counted(free.size, 'clip')} in {counted(len(folds), 'fold')}, expected 0 "
                f"to {len(folds) - 1}"
            )
        drawn = folds[fold]
        test, free = np.union1d(test, drawn), np.setdiff1d(free, drawn)
    validated = {tracks[i].source for i in validation}
    divided = np.array([i for i in np.union1d(free, train) if tracks[i].source not in validated], dtype=np.int64)
    if divided.size:
        validation = np.union1d(validation, _folds(tracks, divided, grouped, validation_folds, seed)[0])
    train = np.setdiff1d(np.union1d(free, train), validation)
    if not train.size:
        raise DataError(f"no clip is left for training, {validation.size} validate and {test.size} test: expected more")
    return Split(train, validation, test)


def everything_trains(n_tracks: int) -> Split:
    """Return the split that holds nothing out.

    Parameters
    ----------
    n_tracks : int
    """
    positions = np.arange(n_tracks)
    return Split(positions, positions[:0], positions[:0])


def almost_everything_trains(tracks: list[Track], method: str, seed: int) -> Split:
    """Return the split of a refit: a sixteenth of the artists is the test part, nothing validates.

    Where this part would have fewer than `FEWEST_HELD_OUT` artists, none is held out.

    Parameters
    ----------
    tracks : list of Track
    method : {"grouped", "official", "stratified"}
    seed : int
    """
    grouped = method != "stratified"
    positions = np.arange(len(tracks))
    try:
        folds = _folds(tracks, positions, grouped, REFIT_FOLDS, seed)
    except DataError:
        folds = []
    if len(folds) < REFIT_FOLDS or len({tracks[i].group for i in folds[0]}) < FEWEST_HELD_OUT:
        return everything_trains(len(tracks))
    return Split(np.setdiff1d(positions, folds[0]), positions[:0], folds[0])


def stored_split(held_out: Mapping[str, Sequence[str]], track_ids: Sequence[str]) -> Split:
    """Restore a split by the names of its clips: a new split would differ once a clip was added or removed.

    Parameters
    ----------
    held_out : mapping of str to sequence of str
        Names of the clips of the parts `validation` and `test`.
    track_ids : sequence of str
        Names of the clips that are there; the others of these train.

    Raises
    ------
    DataError
        None of the clips of a part is there.
    """
    part_of = {track_id: part for part, ids in held_out.items() for track_id in ids}
    parts = np.array([part_of.get(track_id, "train") for track_id in track_ids])
    split = Split(*(np.flatnonzero(parts == part) for part in PARTS))
    if not split.validation.size or not split.test.size:
        raise DataError("the data folder has no clip that the checkpoint was validated or tested with: name another")
    return split


def _folds(tracks: list[Track], positions: Indices, grouped: bool, n_folds: int, seed: int) -> list[Indices]:
    # Stratified by source as well, so that each part has its share of every data set.
    strata = [f"{tracks[i].source}/{tracks[i].label}" for i in positions]
    groups = [tracks[i].group for i in positions]
    n_groups = len(set(groups)) if grouped else len(groups)
    n_largest = max(Counter(strata).values())
    if min(n_groups, n_largest) < 2:
        raise DataError(
            f"{counted(len(positions), 'clip')} of {counted(n_groups, 'artist')} (or album, or folder), {n_largest} of "
            "the largest genre, left to split: expected at least three artists, one each for training, validation and "
            "test, and as many clips of a genre; add clips, or name parts in a manifest"
        )
    kind = StratifiedGroupKFold if grouped else StratifiedKFold
    folds = kind(min(n_folds, n_groups, n_largest), shuffle=True, random_state=seed)
    try:
        with warnings.catch_warnings():  # a genre with fewer clips than folds may be missing in some
            warnings.filterwarnings("ignore", "The least populated class")
            return [positions[part] for _, part in folds.split(positions, strata, groups if grouped else None)]
    except ValueError as error:
        raise DataError(f"{counted(len(positions), 'clip')} cannot be split into {n_folds} parts: {error}") from error


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
    groups : str array, shape (n_clips,) or empty
        Artist of each clip, or what stands for it; empty if every clip is by another one.
    is_file : bool array, shape (n_clips,) or empty
        Whether a clip was read from an audio file, not from a picture.
    twins : Tensor, float16, shape (n_twins, n_mels, n_frames)
        Clips that are there as pictures, read from their audio files.
    twin_positions : int64 array, shape (n_twins,)
        Position of the picture of each.
    outliers : Tensor or None, shape (n_outliers, n_mels, n_frames)
        Sounds that are not music, for training with the label -1.
    decibels : float
        Decibels that one unit of the spectrograms stands for.
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
    groups: NDArray[np.str_] = field(default_factory=lambda: np.zeros(0, dtype=str))
    is_file: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, dtype=bool))
    twins: Tensor = field(default_factory=lambda: torch.zeros(0))
    twin_positions: Indices = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    outliers: Tensor | None = None
    decibels: float = 1.0

    def groups_of(self, positions: Indices) -> NDArray[Any]:
        """Return the artist of some clips.

        Parameters
        ----------
        positions : int64 array, shape (n,)
        """
        return self.groups[positions] if len(self.groups) else positions

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
    store: FeatureStore,
    recipe: Recipe,
    audio: AudioConfig,
    names: tuple[str, ...],
    split: Split,
    twins: FeatureStore | None = None,
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
    twins : FeatureStore, optional
        Audio of clips that are pictures in `store`.

    Raises
    ------
    DataError
        A clip's genre is not among `names`.
    """
    training = recipe.training
    position = {track.track_id: i for i, track in enumerate(store.tracks)}
    pictured = [i for i, track in enumerate(twins.tracks) if track.track_id in position] if twins else []
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
        groups=np.array([track.group for track in store.tracks]),
        is_file=np.array([track.path.suffix != ".png" for track in store.tracks]),
        twins=torch.from_numpy(np.array(twins.log_mel[pictured])) if twins else torch.zeros(0),
        decibels=KALDI_SPAN * 10 / np.log(10) if audio.scale == "kaldi" else 1.0,
        twin_positions=np.array([position[twins.tracks[i].track_id] for i in pictured if twins], dtype=np.int64),
    )
