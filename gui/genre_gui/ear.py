"""Spectrograms of the tracks looked at: made when wanted, only for the one wanted last, and a few of them kept."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from typing import TYPE_CHECKING

from genre_gui import chores
from genre_gui.background import Background, Post
from genre_gui.events import Heard
from genre_gui.tracks import Track

if TYPE_CHECKING:
    from genre_gui.pictures import Sound
    from genre_runtime.metadata import ModelMetadata

MOST_KEPT = 8


class Ear:
    """Listens to tracks once more, for the eye."""

    def __init__(self, background: Background) -> None:
        self._background = background
        self._kept: OrderedDict[tuple[int, int], tuple[Sound, ...]] = OrderedDict()
        self._wanted: tuple[int, int] | None = None

    def listen(self, track: Track, metadata: ModelMetadata) -> tuple[Sound, ...] | None:
        """Return a track's spectrograms, or None: then they come as an event."""
        key = (track.number, track.turn)
        if key not in self._kept and key != self._wanted:
            self._wanted = key
            path, whole, stop = track.path, track.whole, self._background.stop
            if not metadata.graphs and track.prediction is not None:  # a service does not tell what it listens to
                excerpts = track.prediction.excerpts
                seconds = max(excerpt.end_seconds - excerpt.start_seconds for excerpt in excerpts)
                metadata = replace(metadata, n_excerpts=len(excerpts), excerpt_seconds=seconds)

            def work(post: Post) -> None:
                if self._wanted == key:  # the user may have gone on to another track
                    chores.listen(key, path, metadata, whole, stop, post)

            self._background.chore(work)
        return self._kept.get(key)

    def take(self, event: Heard) -> None:
        """Keep what was heard."""
        key = (event.number, event.turn)
        self._kept[key] = event.sounds
        if self._wanted == key:
            self._wanted = None
        while len(self._kept) > MOST_KEPT:
            self._kept.popitem(last=False)
