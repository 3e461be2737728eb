"""Which spectrograms are made, and which are kept."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from genre_gui.controller import MOST_KEPT, Ear
from genre_gui.tracks import Track
from genre_gui.workers import tasks
from genre_gui.workers.background import Background, Heard, Post
from tests.gui.fake_backend import metadata


def opened(work: list[Callable[[Post], None]]) -> Ear:
    """Return an ear whose work is only collected."""
    return Ear(cast(Background, SimpleNamespace(chore=work.append, stop=None)))


def test_only_the_track_wanted_last_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[tuple[int, int]] = []
    monkeypatch.setattr(tasks, "listen", lambda key, *_: decoded.append(key))
    work: list[Callable[[Post], None]] = []
    ear = opened(work)
    for number in range(3):
        assert ear.listen(Track(number, Path(f"{number}.wav")), metadata()) is None
    for one in work:
        one(lambda _: None)
    assert decoded == [(2, 0)]


def test_the_spectrograms_of_the_last_tracks_are_kept() -> None:
    ear = opened([])
    for number in range(MOST_KEPT + 1):
        ear.take(Heard(number, 0, ()))
    tracks = [Track(number, Path(f"{number}.wav")) for number in range(MOST_KEPT + 1)]
    kept = [track.number for track in tracks if ear.listen(track, metadata()) is not None]
    assert MOST_KEPT == 8
    assert kept == list(range(1, 9))
