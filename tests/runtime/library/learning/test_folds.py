"""No artist is on two sides of a fold, and what is judged has not been learnt from."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genre_runtime.library.learning.folds import (
    Setting,
    assign_folds,
    choose_setting,
    given_probabilities,
    held_out_logits,
    track_probabilities,
)
from genre_runtime.library.learning.heads import track_set
from tests.runtime.library.learning.collections import collection

LABELS = ("Dub", "Polka", "Ska")


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 8), st.lists(st.integers(0, 3), min_size=1, max_size=2)), min_size=1, max_size=60)
)
def test_every_artist_is_in_one_fold(tracks: list[tuple[int, list[int]]]) -> None:
    groups = np.array([f"artist {artist}" for artist, _ in tracks])
    folds = assign_folds([genres for _, genres in tracks], groups, 4)
    for artist in np.unique(groups):
        assert len(np.unique(folds[groups == artist])) == 1
    assert folds.max() + 1 == len(np.unique(folds)) <= 5


def test_folds_share_every_genre() -> None:
    tracks, _ = track_set(collection(), LABELS, (None,) * 3)
    folds = assign_folds(tracks.genres, tracks.groups, 3)
    genres = np.array([own[0] for own in tracks.genres])
    counts = [[int((genres[folds == fold] == genre).sum()) for genre in range(3)] for fold in range(5)]
    assert np.ptp(counts) <= 4  # an artist has four tracks


def test_what_an_artist_sounds_like_is_not_learnt_from_the_artist() -> None:
    """Artists whose genre is drawn at random can be recognised, but teach nothing about other artists."""
    music = collection(of_genre=0.0, of_artist=1.0)
    tracks, _ = track_set(music, LABELS, (None,) * 3)
    folds = assign_folds(tracks.genres, tracks.groups, 3)
    truth = np.array([own[0] for own in tracks.genres])
    by_artist = track_probabilities(held_out_logits(tracks, folds, Setting(10, 0)), tracks.starts, 1.0)
    mixed = np.random.default_rng(0).integers(0, 5, len(truth))
    by_track = track_probabilities(held_out_logits(tracks, mixed, Setting(10, 0)), tracks.starts, 1.0)
    assert (by_artist.argmax(axis=1) == truth).mean() < 0.5
    assert (by_track.argmax(axis=1) == truth).mean() > 0.8  # what folds of tracks would claim


def test_a_start_from_all_tracks_tells_nothing_about_the_held_out() -> None:
    from genre_runtime.library.learning.folds import fitted

    tracks, _ = track_set(collection(of_genre=0.0, of_artist=1.0), LABELS, (None,) * 3)
    folds = assign_folds(tracks.genres, tracks.groups, 3)
    setting = Setting(10, 0)
    cold = held_out_logits(tracks, folds, setting)
    warm = held_out_logits(tracks, folds, setting, fitted(tracks, setting))
    shares = [track_probabilities(one, tracks.starts, 1.0) for one in (cold, warm)]
    assert np.abs(shares[0] - shares[1]).max() < 0.05


def test_answers_are_the_mean_over_excerpts() -> None:
    logits = np.log(np.array([[0.9, 0.1], [0.5, 0.5], [0.2, 0.8]], np.float32))
    shares = track_probabilities(logits, np.array([0, 2]), 1.0)
    np.testing.assert_allclose(shares, [[0.7, 0.3], [0.2, 0.8]], atol=1e-6)
    assert given_probabilities(shares, [(0, 1), (0,)]) == pytest.approx([0.7, 0.2])


def test_a_model_that_knows_the_genres_is_built_on() -> None:
    """With embeddings that say nothing, only the model's own answer can help."""
    from dataclasses import replace

    music = collection(("Rock", "Jazz"), of_genre=0.0, of_artist=0.0)
    for i, (example, old) in enumerate(zip(music.examples, music.predictions, strict=True)):
        rock = 0.8 if example.genres == ("Rock",) else 0.2
        excerpts = tuple(replace(one, probabilities={"rock": rock, "jazz": 1 - rock}) for one in old.excerpts)
        music.predictions[i] = replace(old, excerpts=excerpts)
    tracks, _ = track_set(music, ("Jazz", "Rock"), ("jazz", "rock"))
    assert choose_setting(tracks, builds_on=True)[0].share > 0
    assert choose_setting(tracks, builds_on=False)[0].share == 0
