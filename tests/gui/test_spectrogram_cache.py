"""Which spectrograms are computed, and which are kept."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from genre_gui.tracks import Track
from genre_gui.workers import tasks
from genre_gui.workers.background import Background, Post, SpectrogramReady
from genre_gui.workers.tasks import MAX_SPECTROGRAMS, SpectrogramCache
from tests.gui.fake_backend import metadata


def opened(work: list[Callable[[Post], None]]) -> SpectrogramCache:
    """Return a cache whose work is only collected."""
    return SpectrogramCache(cast(Background, SimpleNamespace(submit=work.append, stop=None)))


def test_only_the_track_requested_last_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[tuple[int, int]] = []
    monkeypatch.setattr(tasks, "compute_spectrograms", lambda key, *_: decoded.append(key))
    work: list[Callable[[Post], None]] = []
    cache = opened(work)
    for number in range(3):
        assert cache.get(Track(number, Path(f"{number}.wav")), metadata()) is None
    for one in work:
        one(lambda _: None)
    assert decoded == [(2, 0)]


def test_the_spectrograms_of_the_last_tracks_are_kept() -> None:
    cache = opened([])
    for number in range(MAX_SPECTROGRAMS + 1):
        cache.add(SpectrogramReady(number, 0, ()))
    tracks = [Track(number, Path(f"{number}.wav")) for number in range(MAX_SPECTROGRAMS + 1)]
    kept = [track.number for track in tracks if cache.get(track, metadata()) is not None]
    assert MAX_SPECTROGRAMS == 8
    assert kept == list(range(1, 9))
