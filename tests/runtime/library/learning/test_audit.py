"""Genres that were changed at random are found, and nothing else is said to be doubtful."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from genre_runtime import FileResult
from genre_runtime.errors import InvalidInputError
from genre_runtime.library.learning.audit import audit
from tests.runtime.library.learning.collections import collection, metadata


@pytest.mark.parametrize("seed", range(3))
def test_changed_genres_come_first(seed: int) -> None:
    music = collection(n_artists=15, seed=seed)
    rng = np.random.default_rng(seed)
    changed = set()
    for i in rng.choice(len(music.examples), 18, replace=False).tolist():
        others = [genre for genre in ("Dub", "Ska", "Polka") if genre not in music.examples[i].genres]
        music.examples[i] = replace(music.examples[i], genres=(str(rng.choice(others)),))
        changed.add(music.examples[i].path)
    found = audit(music, metadata())
    first = [result.path in changed for result in found.doubtful[:18]]
    assert np.mean(first) >= 0.85
    assert found.n_tracks == len(music.examples)


def test_clean_genres_are_left_alone() -> None:
    assert audit(collection(), metadata()).doubtful == []


def test_a_doubt_names_the_tag_the_answer_and_like_tracks() -> None:
    music = collection()
    wrong = music.examples[0] = replace(music.examples[0], genres=("Polka",))
    (result,) = audit(music, metadata()).doubtful
    assert result.path == wrong.path
    assert result.prediction is not None
    assert result.doubt is not None
    assert (result.doubt.genres, result.prediction.label) == (("Polka",), "Dub")
    assert result.prediction.confidence > 0.5 > result.doubt.confidence
    assert [neighbour.genres for neighbour in result.doubt.neighbours] == [("Dub",)] * 3
    assert all(neighbour.path != wrong.path for neighbour in result.doubt.neighbours)
    assert FileResult.from_dict(result.to_dict()).doubt is not None
    assert next(iter(result.prediction.probabilities)) == result.prediction.label


def test_an_artist_does_not_vouch_for_a_wrong_genre() -> None:
    """All tracks of an artist are tagged wrongly: only other artists can tell."""
    music = collection(n_artists=10)
    wrong = {i for i, one in enumerate(music.examples) if one.group == "artist Dub 0"}
    for i in wrong:
        music.examples[i] = replace(music.examples[i], genres=("Ska",))
    found = {result.path for result in audit(music, metadata()).doubtful}
    assert found == {music.examples[i].path for i in wrong}


def test_one_genre_says_nothing() -> None:
    with pytest.raises(InvalidInputError, match="expected two or more"):
        audit(collection(("Dub",)), metadata())
