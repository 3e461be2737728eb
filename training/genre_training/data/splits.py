"""Seeded splits into training, validation and test clips.

`grouped` keeps every group (artist, album, upload block) whole and leaves clips in the part their source names.
`official` is the sources' own parts and nothing else. `stratified` splits clip by clip, as the original report did; it
leaks artists and is there to compare with.
"""

from __future__ import annotations

import warnings
from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from genre_training.data.track import PARTS, DataError, Track

Indices = NDArray[np.int64]

METHODS = ("grouped", "official", "stratified")
TEST_FOLDS = 5
VALIDATION_FOLDS = 8


@dataclass(frozen=True)
class Split:
    """Positions in the track list, each in exactly one part."""

    train: Indices
    validation: Indices
    test: Indices


def split_tracks(tracks: list[Track], method: str, seed: int, fold: int = 0) -> Split:
    """Divide tracks: one fifth test (fold `fold`), one eighth of the rest validation, the rest training.

    Where groups, or clips of the largest genre, are fewer than parts, there are as many parts as these.

    `grouped` takes a clip's own part for granted; a source that names a training and a test part but no validation
    part gives an eighth of its training clips to validation like the others.

    Parameters
    ----------
    tracks : list of Track
    method : {"grouped", "official", "stratified"}
    seed : int
        The same seed gives the same split.
    fold : int
        0 to 4: which fifth is the test part.

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
        raise DataError(f"split 'official', fold {fold}: it has but one division, expected fold 0")
    if method == "official":
        return _official(tracks)
    grouped = method == "grouped"
    parts = np.array([(track.part or "") if grouped else "" for track in tracks], dtype="<U10")
    free, train, validation, test = (np.flatnonzero(parts == part) for part in ("", *PARTS))
    if not tracks:
        raise DataError("there are no clips to divide: expected some of three artists at least")
    if not free.size and not test.size:
        raise DataError(
            f"every clip names a part, {train.size} train and {validation.size} validation, and none is `test`: name "
            "some, or leave the part of some clips empty, from which a fifth is drawn"
        )
    if free.size:
        folds = _folds(tracks, free, grouped, TEST_FOLDS, seed)
        if fold >= len(folds):
            raise DataError(f"fold {fold}: {free.size} clips make {len(folds)} folds, expected 0 to {len(folds) - 1}")
        drawn = folds[fold]
        test, free = np.union1d(test, drawn), np.setdiff1d(free, drawn)
    validated = {tracks[i].source for i in validation}
    divided = np.array([i for i in np.union1d(free, train) if tracks[i].source not in validated], dtype=np.int64)
    if divided.size:
        validation = np.union1d(validation, _folds(tracks, divided, grouped, VALIDATION_FOLDS, seed)[0])
    train = np.setdiff1d(np.union1d(free, train), validation)
    if not train.size:
        raise DataError(f"no clip is left for training, {validation.size} validate and {test.size} test: expected more")
    return Split(train, validation, test)


def everything_trains(tracks: list[Track]) -> Split:
    """Return the split that holds nothing out."""
    positions = np.arange(len(tracks))
    return Split(positions, positions[:0], positions[:0])


def _official(tracks: list[Track]) -> Split:
    positions = {part: [i for i, track in enumerate(tracks) if track.part == part] for part in PARTS}
    unnamed = [track.track_id for track in tracks if track.part is None]
    if unnamed or not all(positions.values()):
        found = {part: len(members) for part, members in positions.items()}
        raise DataError(
            f"split 'official': {len(unnamed)} of {len(tracks)} clips name no part of their own, the others {found}: "
            "expected train, validation and test for all, as FMA has them; use split 'grouped'"
        )
    return Split(*(np.array(positions[part], dtype=np.int64) for part in PARTS))


def _folds(tracks: list[Track], positions: Indices, grouped: bool, n_folds: int, seed: int) -> list[Indices]:
    # Stratified by source as well, so that each part holds its share of every data set that is split here.
    strata = [f"{tracks[i].source}/{tracks[i].label}" for i in positions]
    groups = [tracks[i].group for i in positions]
    n_groups = len(set(groups)) if grouped else len(groups)
    n_largest = max(Counter(strata).values())
    if min(n_groups, n_largest) < 2:
        raise DataError(
            f"{len(positions)} clips of {n_groups} artists (albums, folders), {n_largest} of the largest genre, are "
            "left to divide: expected three artists in all, one each for training, validation and test, and as many "
            "clips of a genre; add clips, or name parts in a manifest"
        )
    kind = StratifiedGroupKFold if grouped else StratifiedKFold
    folds = kind(min(n_folds, n_groups, n_largest), shuffle=True, random_state=seed)
    try:
        with warnings.catch_warnings():  # a genre of fewer clips than folds is missing in some: so be it
            warnings.filterwarnings("ignore", "The least populated class")
            return [positions[part] for _, part in folds.split(positions, strata, groups if grouped else None)]
    except ValueError as error:
        raise DataError(f"{len(positions)} clips cannot be split into {n_folds} parts: {error}") from error
