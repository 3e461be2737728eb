"""Answer sets by hand: the next artist counts, clips of one artist count together, and no set is empty."""

from __future__ import annotations

import numpy as np
import pytest

from genre_runtime.calibration import SMALLEST_THRESHOLD, genre_set_threshold, genre_sets


@pytest.mark.parametrize(("n_artists", "n_missed"), [(19, 0), (29, 1), (39, 2)])
def test_one_answer_set_in_ten_may_miss_the_genre_the_next_artist_counted(n_artists: int, n_missed: int) -> None:
    given = np.linspace(0.9, 0.1, n_artists)
    assert genre_set_threshold(given, np.arange(n_artists)) == np.sort(given)[n_missed]


def test_fewer_than_nine_artists_give_the_set_of_all_genres() -> None:
    assert genre_set_threshold(np.full(8, 0.9), np.arange(8)) == SMALLEST_THRESHOLD


def test_clips_of_one_artist_count_as_one_in_answer_sets() -> None:
    """Of 29 artists one may be missed: the one with ten clips."""
    given = np.concatenate([np.full(10, 0.05), np.linspace(0.2, 0.9, 28)])
    artists = np.concatenate([np.zeros(10, np.int64), np.arange(1, 29)])
    assert genre_set_threshold(given, artists) == 0.2


def test_an_answer_set_has_the_most_probable_genre_and_all_that_reach_the_threshold() -> None:
    sets = genre_sets(np.array([[0.5, 0.3, 0.2], [0.4, 0.35, 0.25]]), 0.3)
    assert sets.tolist() == [[True, True, False], [True, True, False]]
    assert genre_sets(np.array([[0.4, 0.35, 0.25]]), 0.9).tolist() == [[True, False, False]]
