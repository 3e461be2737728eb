"""Seeded splits into training, validation and test clips.

`grouped` keeps every group (artist, album, upload block) whole and honours a source's own held-out part, which
becomes test. `stratified` splits clip by clip, as the original report did; it leaks artists and is
there to compare with.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from genre_training.tracks import DataError, Track

Indices = NDArray[np.int64]

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

    A source that names its own held-out part gives that to test and the rest to training; nothing of it validates,
    unless there is no other source.

    Parameters
    ----------
    tracks : list of Track
    method : {"grouped", "stratified"}
    seed : int
        The same seed gives the same split.
    fold : int
        0 to 4: which fifth is the test part.

    Raises
    ------
    DataError
        Unknown method or fold, or too few clips or groups to split.
    """
    if method not in ("grouped", "stratified") or not 0 <= fold < TEST_FOLDS:
        raise DataError(
            f"split {method!r}, fold {fold}: expected grouped or stratified and a fold from 0 to {TEST_FOLDS - 1}"
        )
    grouped = method == "grouped"
    positions = np.arange(len(tracks))
    fixed = np.array([grouped and track.held_out is not None for track in tracks], dtype=bool)
    fixed_test = np.array([grouped and track.held_out is True for track in tracks], dtype=bool)
    free, test, train = positions[~fixed], positions[fixed_test], positions[fixed & ~fixed_test]
    if free.size or not test.size:
        test_of_free = _folds(tracks, free, grouped, TEST_FOLDS, seed)[fold]
        test, rest = np.union1d(test_of_free, test), np.setdiff1d(free, test_of_free)
    else:  # every source names its own test part: validation comes from what they leave to training
        rest, train = train, free
    validation = _folds(tracks, rest, grouped, VALIDATION_FOLDS, seed)[0]
    return Split(train=np.union1d(np.setdiff1d(rest, validation), train), validation=validation, test=test)


def _folds(tracks: list[Track], positions: Indices, grouped: bool, n_folds: int, seed: int) -> list[Indices]:
    # Stratified by source as well, so that each part holds its share of every data set that is split here.
    strata = [f"{tracks[i].source}/{tracks[i].label}" for i in positions]
    groups = [tracks[i].group for i in positions]
    kind = StratifiedGroupKFold if grouped else StratifiedKFold
    folds = kind(n_folds, shuffle=True, random_state=seed)
    try:
        return [positions[part] for _, part in folds.split(positions, strata, groups if grouped else None)]
    except ValueError as error:
        raise DataError(f"{len(positions)} clips cannot be split into {n_folds} parts: {error}") from error
