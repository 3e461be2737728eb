"""Genres that were changed at random are found, and nothing else is said to be doubtful."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from genre_runtime import FileResult
from genre_runtime.errors import InvalidInputError
from genre_runtime.library.learning.audit import audit
from genre_runtime.library.learning.folds import Setting, TrackSet
from genre_runtime.library.learning.heads import Judgement
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


def test_only_plausible_genres_of_judged_files_raise_doubts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files tagged Ska have it with 0.9 on average: 0.8 is evident, 0.5 is not plausible."""
    music = collection()
    labels = ("Dub", "Polka", "Ska")

    def judged(tracks: TrackSet, setting: Setting, **_: object) -> Judgement:
        rows = np.full((len(tracks.genres), 3), 0.05)
        for row, (own,) in zip(rows, tracks.genres, strict=True):
            row[own] = 0.9
        rows[:4] = [[0.4, 0.1, 0.5], [0.1, 0.05, 0.85], [0.02, 0.03, 0.95], [0.05, 0.05, 0.9]]
        judged = np.arange(len(rows)) != 3
        return Judgement(tracks, rows, 1.0, np.zeros(len(rows), np.int64), judged)

    assert {music.examples[i].genres for i in range(4)} == {(labels[0],)}
    monkeypatch.setattr("genre_runtime.library.learning.audit.judge", judged)
    found = audit(music, metadata()).doubtful
    assert [result.path for result in found] == [music.examples[i].path for i in (2, 1)]  # the largest difference first
    assert [result.prediction.label for result in found if result.prediction] == ["Ska", "Ska"]


def test_one_genre_says_nothing() -> None:
    with pytest.raises(InvalidInputError, match="expected two or more"):
        audit(collection(("Dub",)), metadata())
