"""Splits: groups whole, a source's own held-out part respected, seeded, every clip in exactly one part."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from genre_training.config import TEST_FOLDS
from genre_training.data.splits import FEWEST_HELD_OUT, Split, almost_everything_trains, split_tracks
from genre_training.data.track import DataError, Track

PARTS = ("train", "validation", "test")


def make_tracks(n_blocks: int = 60, block_size: int = 3) -> list[Track]:
    """Two genres of `n_blocks / 2` blocks each, and forty clips that say themselves whether they are held out."""
    tracks = [
        Track(f"fma/{block}-{i}", Path("x.png"), "ab"[block % 2], "fma", f"fma/{block}")
        for block in range(n_blocks)
        for i in range(block_size)
    ]
    for i in range(40):
        tracks.append(
            Track(
                f"gtzan/{i}", Path("x.png"), "ab"[i % 2], "gtzan", f"gtzan/{i}", part="test" if i % 4 < 2 else "train"
            )
        )
    return tracks


def ids(tracks: list[Track], split: Split) -> dict[str, set[str]]:
    return {part: {tracks[i].track_id for i in getattr(split, part)} for part in PARTS}


def test_every_source_keeps_its_share_in_each_part() -> None:
    tracks = [
        Track(f"{source}/{i}", Path("x"), "a", source, f"{source}/{i}")
        for source, n_clips in (("small", 10), ("large", 190))
        for i in range(n_clips)
    ]
    for fold in range(TEST_FOLDS):
        split = split_tracks(tracks, "stratified", 0, fold)
        assert [sum(tracks[i].source == "small" for i in getattr(split, part)) for part in PARTS] == [7, 1, 2]


@pytest.mark.parametrize("method", ["grouped", "stratified"])
@pytest.mark.parametrize("fold", range(TEST_FOLDS))
def test_every_clip_is_in_exactly_one_part(method: str, fold: int) -> None:
    tracks = make_tracks()
    split = split_tracks(tracks, method, seed=0, fold=fold)
    together = np.concatenate([split.train, split.validation, split.test])
    assert sorted(together) == list(range(len(tracks)))
    assert len(split.train) > len(split.test) > len(split.validation) > 0


def test_more_parts_leave_fewer_clips_to_validate() -> None:
    tracks = make_tracks(n_blocks=120)
    few, many = (split_tracks(tracks, "artists", 0, validation_folds=folds) for folds in (24, 8))
    assert few.test.tolist() == many.test.tolist()
    assert 0 < 2 * len(few.validation) < len(many.validation)


@pytest.mark.parametrize(("n_blocks", "held_out"), [(200, False), (600, True)])
def test_refit_holds_artists_out_if_they_are_enough_to_tell_something(n_blocks: int, held_out: bool) -> None:
    tracks = make_tracks(n_blocks)
    split = almost_everything_trains(tracks, "artists", 0)
    assert len(split.train) + len(split.test) == len(tracks)
    groups = {tracks[i].group for i in split.test}
    assert len(groups) >= FEWEST_HELD_OUT if held_out else not groups
    assert groups.isdisjoint(tracks[i].group for i in split.train)


@pytest.mark.parametrize("seed", range(4))
def test_groups_stay_whole(seed: int) -> None:
    tracks = make_tracks()
    split = split_tracks(tracks, "grouped", seed)
    groups = [{tracks[i].group for i in getattr(split, part)} for part in PARTS]
    assert all(not first & second for first, second in combinations(groups, 2))


def test_stratified_tears_groups_apart() -> None:
    """What makes its figures too good: the same groups stand on both sides."""
    tracks = make_tracks()
    split = split_tracks(tracks, "stratified", 0)
    assert {tracks[i].group for i in split.train} & {tracks[i].group for i in split.test}


def test_own_test_part_is_kept_and_an_eighth_of_the_rest_validates() -> None:
    tracks = make_tracks()
    own_test = {i for i, track in enumerate(tracks) if track.part == "test"}
    own_train = {i for i, track in enumerate(tracks) if track.part == "train"}
    for fold in range(TEST_FOLDS):
        split = split_tracks(tracks, "grouped", 0, fold)
        assert own_test == {i for i in split.test if tracks[i].source == "gtzan"}
        assert 1 <= len(own_train & set(split.validation)) <= 4
        assert own_train <= {*split.train, *split.validation}


def test_own_validation_part_is_kept() -> None:
    tracks = make_tracks()
    tracks = [
        replace(track, part="validation") if track.part and i % 8 == 3 else track
        for i, track in enumerate(make_tracks())
    ]
    split = split_tracks(tracks, "grouped", 0)
    own = {i for i, track in enumerate(tracks) if track.part == "validation"}
    assert own == {i for i in split.validation if tracks[i].source == "gtzan"}


def test_source_with_only_its_own_split_still_validates() -> None:
    tracks = [track for track in make_tracks() if track.part is not None]
    split = split_tracks(tracks, "grouped", 0)
    assert all(tracks[i].part == "test" for i in split.test)
    assert len(split.test) == 20
    assert not any(tracks[i].part == "test" for i in (*split.train, *split.validation))
    assert 1 <= len(split.validation) <= 4
    assert len(split.train) + len(split.validation) == 20


def test_official_is_what_the_source_says() -> None:
    tracks = [replace(track, part=PARTS[i % 3]) for i, track in enumerate(make_tracks())]
    split = split_tracks(tracks, "official", 0)
    assert [list(getattr(split, part)) for part in PARTS] == [list(range(k, len(tracks), 3)) for k in range(3)]


def test_official_without_parts_is_an_error() -> None:
    with pytest.raises(DataError, match=r"none of 180 clips names a part.*use split 'grouped'"):
        split_tracks([track for track in make_tracks() if track.part is None], "official", 0)


def test_folds_test_every_free_clip_once() -> None:
    tracks = make_tracks()
    free = [i for i, track in enumerate(tracks) if track.part is None]
    tested = [i for fold in range(TEST_FOLDS) for i in split_tracks(tracks, "grouped", 0, fold).test if i in set(free)]
    assert sorted(tested) == free


def test_genres_keep_their_shares() -> None:
    tracks = make_tracks()
    split = split_tracks(tracks, "grouped", 0)
    for part in PARTS:
        share = np.mean([tracks[i].label == "a" for i in getattr(split, part)])
        assert 0.35 < share < 0.65


@pytest.mark.parametrize("method", ["grouped", "stratified"])
def test_same_seed_same_split_other_seed_other_split(method: str) -> None:
    tracks = make_tracks()
    assert ids(tracks, split_tracks(tracks, method, 3)) == ids(tracks, split_tracks(tracks, method, 3))
    assert ids(tracks, split_tracks(tracks, method, 3)) != ids(tracks, split_tracks(tracks, method, 4))


@pytest.mark.parametrize(("method", "fold"), [("random", 0), ("grouped", -1), ("grouped", 5), ("stratified", 5)])
def test_unknown_method_or_fold_is_an_error(method: str, fold: int) -> None:
    with pytest.raises(DataError, match="expected grouped, artists, official, stratified and a fold from 0 to 4"):
        split_tracks(make_tracks(), method, 0, fold)


@pytest.mark.parametrize(
    ("tracks", "words"),
    [
        ([], "there are no clips to split"),
        (make_tracks(2, 30)[:60], "30 clips of 1 artist .* left to split: expected at least three artists"),
        ([replace(one, label=str(i)) for i, one in enumerate(make_tracks(9, 1)[:9])], "1 of the largest genre"),
        ([replace(one, part="train") for one in make_tracks(9)], "67 train and 0 validation, but none `test`"),
    ],
)
def test_too_few_clips_or_groups_are_an_error(tracks: list[Track], words: str) -> None:
    with pytest.raises(DataError, match=words):
        split_tracks(tracks, "grouped", 0)


@pytest.mark.parametrize(("n_blocks", "block_size"), [(3, 5), (4, 3), (6, 1)])
def test_few_groups_make_fewer_parts(n_blocks: int, block_size: int) -> None:
    tracks = make_tracks(n_blocks, block_size)[: n_blocks * block_size]
    split = split_tracks(tracks, "grouped", 0)
    groups = [{tracks[i].group for i in part} for part in (split.train, split.validation, split.test)]
    assert all(groups)
    assert sum(map(len, groups)) == n_blocks
    with pytest.raises(DataError, match=r"fold 4: .* in . folds"):
        split_tracks(tracks, "grouped", 0, fold=4)


def test_official_has_no_folds() -> None:
    tracks = [replace(track, part=PARTS[i % 3]) for i, track in enumerate(make_tracks())]
    with pytest.raises(DataError, match="it has one division only"):
        split_tracks(tracks, "official", 0, fold=1)


def test_nothing_left_to_train_is_an_error() -> None:
    tracks = [replace(track, part=PARTS[1 + i % 2]) for i, track in enumerate(make_tracks())]
    with pytest.raises(DataError, match="no clip is left for training, 110 validate and 110 test"):
        split_tracks(tracks, "grouped", 0)
