"""Thousands of rows; the longest stall of the UI thread is measured and printed, for people to judge."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from genre_gui.tracks import State
from tests.gui.conftest import DEADLINE_SECONDS, OpenWindow, finished
from tests.gui.fake_backend import FakeBackend, prediction

N_ROWS = 2_000


def longest_stall(window: Any, until: Any) -> float:
    """Drive the window and return the longest time, in seconds, that one pass of its loop took."""
    deadline, longest = time.monotonic() + 4 * DEADLINE_SECONDS, 0.0
    while not until():
        if time.monotonic() > deadline:
            pytest.fail("the window did not get there in time")
        begin = time.monotonic()
        window.update()
        longest = max(longest, time.monotonic() - begin)
        time.sleep(0.001)
    return longest


def test_two_thousand_rows(open_window: OpenWindow, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(N_ROWS):
        (tmp_path / f"song {number:04}.wav").touch()
    backend = FakeBackend(lambda path, _: prediction(path, "tone", 0.3 + int(path.stem[-3:]) / 2000))
    window = open_window(lambda _: backend)
    table = window.tracks.table
    table.sort("confidence")
    window.add([str(tmp_path)])
    stall = longest_stall(window, finished(window.controller, N_ROWS))
    drive_end = longest_stall(window, lambda: table.shown()[-1] % 1000 == 999)
    begin = time.monotonic()
    table.sort("file")
    table.filter("0500.wav")
    window.update()
    arranging = time.monotonic() - begin
    with capsys.disabled():
        print(
            f"\n{N_ROWS} rows: longest stall {1000 * max(stall, drive_end):.0f} ms while they came, "
            f"sorted and filtered in {1000 * arranging:.0f} ms"
        )
    assert table.shown() == [500]
    table.filter("")
    assert table.shown() == list(range(N_ROWS))
    begin = time.monotonic()
    table.choose_all()
    window.tracks.retry()
    window.tracks.cancel()
    window.update()
    with capsys.disabled():
        print(f"all begun again and cancelled in {1000 * (time.monotonic() - begin):.0f} ms")
    assert {track.state for track in window.controller.tracks.values()} == {State.CANCELLED}
    window.tracks.clear()
    assert table.tree.get_children() == ()
