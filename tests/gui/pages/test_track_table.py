"""Thousands of real files in the real window: how long its thread is busy at a stretch.

What is held against the bound is the processor time that the UI's thread takes for one event, a timer's or a key's: a
stall that this program causes. The time on the clock, which other work on the machine stretches, is printed beside it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from genre_gui.backends.base import Backend
from genre_gui.tracks import State
from tests.gui.conftest import OpenWindow, drive, finished
from tests.gui.fake_backend import FakeBackend, prediction
from tests.patience import PATIENCE_SECONDS
from tests.synthetic import tone, write_audio

N_ROWS = 2_000
MOST_SECONDS = 0.1
NO_WAITING = 2
"""Tcl's flag by which an event is handled only if there is one."""


class Stalls:
    """The longest stretch of work of the UI's thread, seconds of its processor time and of the clock."""

    def __init__(self, window: Any) -> None:
        self.window = window
        self.of: dict[str, tuple[float, float]] = {}

    def during(self, name: str, act: Callable[[], object], until: Callable[[], bool] = lambda: True) -> None:
        """Do something as a callback does, and drive the window until a condition holds."""
        self.of[name] = (0.0, 0.0)
        self._measured(name, act)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            while self._measured(name, lambda: self.window.tk.dooneevent(NO_WAITING)):
                pass
            if until():
                return
            assert time.monotonic() < deadline, f"the window did not get there in time: {name}"
            time.sleep(0.001)

    def _measured(self, name: str, act: Callable[[], object]) -> object:
        busy, begun = time.thread_time(), time.monotonic()
        came_of_it = act()
        spent = (time.thread_time() - busy, time.monotonic() - begun)
        self.of[name] = (max(self.of[name][0], spent[0]), max(self.of[name][1], spent[1]))
        return came_of_it

    def __str__(self) -> str:
        lines = [f"{name}: {1000 * busy:.0f} ({1000 * wall:.0f})" for name, (busy, wall) in self.of.items()]
        return f"longest stalls in ms of processor time (of the clock), {N_ROWS} files: {', '.join(lines)}"


def test_two_thousand_files_do_not_stop_the_window(
    open_window: OpenWindow, backend: Backend, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    music = tmp_path / "music"
    music.mkdir()
    songs = [write_audio(music / f"{number}.wav", tone(1 + number / 10)) for number in range(10)]
    for number in range(len(songs), N_ROWS):
        os.link(songs[number % len(songs)], music / f"{number}.wav")
    window = open_window(lambda _: backend)
    drive(window, lambda: window.controller.backend is not None)
    table, stalls = window.tracks.table, Stalls(window)
    table.sort("confidence")
    stalls.during("classified", lambda: window.add([str(music)]), finished(window.controller, N_ROWS))
    assert {track.state for track in window.controller.tracks.values()} == {State.DONE}
    stalls.during("sorted", lambda: table.sort("file"))
    stalls.during("filtered", lambda: table.filter("500.wav"))
    assert [window.controller.tracks[number].path.name for number in table.shown()] == ["1500.wav", "500.wav"]
    stalls.during("filter taken away", lambda: table.filter(""))
    assert len(table.shown()) == N_ROWS
    stalls.during("all chosen", table.select_all)
    stalls.during("begun again", window.tracks.retry)
    stalls.during("cancelled", window.tracks.cancel, lambda: not table.behind)
    stalls.during("removed", window.tracks.clear)
    assert table.tree.get_children() == ()
    with capsys.disabled():
        print(f"\n{stalls}")
    assert max(busy for busy, _ in stalls.of.values()) < MOST_SECONDS, str(stalls)


def test_rows_that_come_while_others_wait_keep_their_places(open_window: OpenWindow, tmp_path: Path) -> None:
    count = 500
    for number in range(count):
        (tmp_path / f"song {number:04}.wav").touch()
    backend = FakeBackend(lambda path, _: prediction(path, "tone", 0.3 + int(path.stem[-3:]) / 2000))
    window = open_window(lambda _: backend)
    table = window.tracks.table
    table.sort("confidence")
    window.add([str(tmp_path)])
    drive(window, lambda: len(window.controller.tracks) == count)
    table.select_all()
    window.tracks.cancel()
    window.tracks.retry()
    drive(window, finished(window.controller, count))
    drive(window, lambda: not table.behind and table.shown()[-1] == count - 1)
    assert len(table.shown()) == count
    for _ in range(2):
        table.sort("confidence")
    assert table.shown() == list(range(count))
