"""Whether data sets are told apart: by a planted trace, and not by chance."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from genre_training.data.splits import TrainingData, everything_trains
from genre_training.evaluate.sources import FEWEST_CLIPS, describe, recognise_sources

BANDS = range(8)


def make_data(n_clips: int, trace_db: float) -> TrainingData:
    """Noise of one genre in two data sets, of which one has `trace_db` more in its fourth band."""
    rng = np.random.default_rng(0)
    clips = torch.from_numpy(rng.standard_normal((2 * n_clips, 8, 50))).half() * 10 - 40
    clips[n_clips:, 3] += trace_db
    sources = np.repeat(["one", "other"], n_clips)
    groups = np.array([f"artist {i // 2}" for i in range(2 * n_clips)])
    labels, names = np.zeros(2 * n_clips, np.int64), ("rock",)
    split = everything_trains(2 * n_clips)
    return TrainingData(clips, labels, sources, names, split, 4, 4, 4, groups=groups)


@pytest.mark.parametrize(("trace_db", "recognised"), [(0.0, False), (15.0, True)])
def test_a_trace_is_found_if_there_is_one(trace_db: float, recognised: bool) -> None:
    (found,) = recognise_sources(make_data(60, trace_db), BANDS, 0.5)
    assert (found.what, found.sources, found.n_clips, found.chance) == ("rock", ("one", "other"), 120, 0.5)
    assert (found.accuracy > 0.9) == recognised
    assert recognised or found.accuracy < 0.7


def test_bands_that_the_network_does_not_see_leave_no_trace() -> None:
    (found,) = recognise_sources(make_data(60, 15.0), [0, 1, 2, 5, 6, 7], 0.5)
    assert found.accuracy < 0.7


def test_pictures_are_told_from_files_if_they_differ() -> None:
    data = make_data(60, 0.0)
    positions = np.arange(40)
    for shift, recognised in ((0.0, False), (15.0, True)):
        twins = data.clips[positions].clone()
        twins[:, 2] += shift
        both = TrainingData(**{**vars(data), "twins": twins, "twin_positions": positions})
        found = recognise_sources(both, BANDS, 0.5)[-1]
        assert (found.what, found.n_clips) == ("picture or file", 80)
        assert (found.accuracy > 0.9) == recognised


def test_too_few_clips_are_not_compared() -> None:
    found = recognise_sources(make_data(FEWEST_CLIPS - 1, 15.0), BANDS, 0.5)
    assert found == []
    assert "nothing to compare" in describe(found)


def test_table_for_the_terminal() -> None:
    lines = describe(recognise_sources(make_data(60, 15.0), BANDS, 0.5)).splitlines()
    assert len(lines) == 2
    assert "by chance 50.0%  (one, other; 120 clips)" in lines[1]
