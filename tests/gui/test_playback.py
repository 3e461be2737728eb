"""Playing, with an output that only notes what it is given."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from genre_gui.playback import NoOutputError, Player, SoundDevice
from genre_gui.workers.background import wait_for_threads
from tests.gui.conftest import OpenWindow, drive, finished
from tests.gui.test_window import press, text
from tests.patience import PATIENCE_SECONDS
from tests.synthetic import RATE, tone, write_audio


class FakeOutput:
    """A device that takes as many samples as the test allows."""

    def __init__(self, rate: int = RATE, n_channels: int = 1, latency: float = 0.0) -> None:
        self.rate, self.n_channels, self.latency = rate, n_channels, latency
        self.room = threading.Semaphore(0)
        self.blocks: list[np.ndarray] = []
        self.closed: bool | None = None

    def write(self, samples: np.ndarray) -> None:
        while not self.room.acquire(timeout=0.01):
            if self.closed is not None:
                return
        self.blocks.append(samples.copy())

    def close(self, *, at_once: bool) -> None:
        self.closed = at_once

    @property
    def samples(self) -> np.ndarray:
        return np.concatenate(self.blocks)

    def let_through(self, seconds: float) -> None:
        for _ in range(round(seconds / 0.05)):
            self.room.release()


class Devices:
    """Opens fake outputs and keeps them."""

    def __init__(self, latency: float = 0.0) -> None:
        self.opened: list[FakeOutput] = []
        self.latency = latency

    def __call__(self, rate: int, n_channels: int) -> FakeOutput:
        self.opened.append(FakeOutput(rate, n_channels, self.latency))
        return self.opened[-1]

    @property
    def last(self) -> FakeOutput:
        until(lambda: bool(self.opened))
        return self.opened[-1]


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_what_is_played_is_the_track(tmp_path: Path) -> None:
    song, devices = tone(1.0), Devices()
    player = Player(devices)
    player.load(write_audio(tmp_path / "song.wav", song))
    player.play()
    devices.last.let_through(2.0)
    until(lambda: not player.playing)
    assert (devices.last.rate, devices.last.n_channels) == (RATE, 1)
    assert np.abs(devices.last.samples[:, 0] - song).max() < 1e-4
    assert devices.last.closed is False, "the end was cut off"
    assert (player.position, player.error) == (0.0, None)


def test_pause_keeps_the_place_and_seek_moves_it(tmp_path: Path) -> None:
    song, devices = tone(10.0), Devices()
    player = Player(devices)
    player.load(write_audio(tmp_path / "song.wav", song))
    player.play()
    devices.last.let_through(2.0)
    until(lambda: player.position == pytest.approx(2.0, abs=0.02))
    player.pause()
    devices.last.let_through(0.05)  # what a device takes while it is told
    until(lambda: devices.opened[0].closed is True)
    assert player.position == pytest.approx(2.0, abs=0.02)
    player.play()
    until(lambda: len(devices.opened) == 2)
    devices.last.let_through(1.0)
    until(lambda: player.position == pytest.approx(3.0, abs=0.02))
    heard, first = devices.last.samples[:, 0], 40 * round(0.05 * RATE)
    assert np.abs(heard - song[first : first + heard.size]).max() < 1e-3
    player.seek(8.0)
    devices.opened[1].let_through(0.05)
    until(lambda: len(devices.opened) == 3)
    assert player.position == pytest.approx(8.0, abs=0.02)
    player.load(tmp_path / "other.wav")
    assert not player.playing
    assert player.position == 0.0
    for device in devices.opened:
        device.let_through(1.0)
    assert wait_for_threads(PATIENCE_SECONDS) == []


def test_the_position_is_what_is_heard_and_not_what_is_written(tmp_path: Path) -> None:
    """A device with a latency of 0.4 s plays 0.6 s when 1 s is written."""
    devices = Devices(latency=0.4)
    player = Player(devices)
    player.load(write_audio(tmp_path / "song.wav", tone(10.0)))
    player.play()
    devices.last.let_through(0.3)
    until(lambda: len(devices.last.blocks) == 6)
    assert player.position == 0.0
    devices.last.let_through(0.7)
    until(lambda: player.position == pytest.approx(0.6, abs=0.02))
    player.pause()
    devices.last.let_through(0.05)
    until(lambda: devices.last.closed is True)


def test_the_latency_is_that_of_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    class Stream:
        latency = 0.25

        def start(self) -> None:
            """Start."""

    class Library:
        @staticmethod
        def OutputStream(*_: object, **__: object) -> Stream:  # noqa: N802
            return Stream()

    monkeypatch.setitem(sys.modules, "sounddevice", Library)
    assert SoundDevice(44_100, 2).latency == 0.25


def test_many_channels_are_mixed(tmp_path: Path) -> None:
    import soundfile

    devices = Devices()
    player = Player(devices)
    soundfile.write(tmp_path / "six.wav", np.stack([tone(0.2)] + [tone(0.2) * 0] * 5, axis=1), RATE)
    player.load(tmp_path / "six.wav")
    player.play()
    devices.last.let_through(1.0)
    until(lambda: not player.playing)
    assert devices.last.samples.shape[1] == 1
    assert np.abs(devices.last.samples).max() == pytest.approx(0.5 / 6, abs=1e-3)


def test_samples_beyond_full_scale_are_clipped(tmp_path: Path) -> None:
    import soundfile

    devices = Devices()
    player = Player(devices)
    soundfile.write(tmp_path / "loud.wav", 4 * tone(0.2), RATE, subtype="FLOAT")
    player.load(tmp_path / "loud.wav")
    player.play()
    devices.last.let_through(1.0)
    until(lambda: not player.playing)
    assert (devices.last.samples.min(), devices.last.samples.max()) == (-1.0, 1.0)


def test_a_file_that_is_gone_is_said(tmp_path: Path) -> None:
    player = Player(Devices())
    player.load(tmp_path / "gone.wav")
    player.play()
    until(lambda: not player.playing)
    assert "no file at" in str(player.error)


def test_without_the_library_or_a_device_the_reason_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(NoOutputError, match="pip install") as missing:
        SoundDevice(44_100, 2)
    assert missing.value.short == "sounddevice is missing"

    class Library:
        @staticmethod
        def OutputStream(*_: object, **__: object) -> Any:  # noqa: N802
            raise RuntimeError("Error querying device -1")

    monkeypatch.setitem(sys.modules, "sounddevice", Library)
    with pytest.raises(NoOutputError, match="querying device -1") as none:
        SoundDevice(44_100, 2)
    assert none.value.short == "no audio output"


def test_button_key_and_mouse_move_the_cursor(open_window: OpenWindow, tmp_path: Path) -> None:
    devices = Devices()
    window = open_window(player=Player(devices))
    window.add([str(write_audio(tmp_path / "song.wav", tone(20)))])
    drive(window, finished(window.controller, 1))
    detail = window.tracks.detail
    drive(window, lambda: text(detail.play) == "▶  Play")
    detail.play.invoke()
    drive(window, lambda: text(detail.play) == "❚❚  Pause" and bool(devices.opened))
    devices.last.let_through(5.0)
    drive(window, lambda: cursor(detail.timeline) == pytest.approx(0.25, abs=0.02))
    press(window, "<Control-p>")
    drive(window, lambda: text(detail.play) == "▶  Play")
    assert cursor(detail.timeline) == pytest.approx(0.25, abs=0.02), "the place is not kept"
    detail.timeline.event_generate("<Button-1>", x=round(detail.timeline.winfo_width() * 0.75), y=10)
    window.update()
    assert cursor(detail.timeline) == pytest.approx(0.75, abs=0.02)
    press(window, "<Control-p>")
    drive(window, lambda: len(devices.opened) == 2)
    window.tracks.clear()
    for device in devices.opened:
        device.let_through(0.05)
    drive(window, lambda: all(device.closed is True for device in devices.opened))


def cursor(timeline: Any) -> float | None:
    """Where the cursor stands, as a share of the width."""
    found = [item for item in timeline.find_withtag("cursor") if timeline.type(item) == "line"]
    return timeline.coords(found[0])[0] / timeline.winfo_width() if found else None


def test_button_says_why_there_is_no_sound(open_window: OpenWindow, tmp_path: Path) -> None:
    def refuse(_: int, __: int) -> FakeOutput:
        raise NoOutputError("no audio output", "the system offers no device")

    window = open_window(player=Player(refuse))
    window.add([str(write_audio(tmp_path / "song.wav", tone(2)))])
    drive(window, finished(window.controller, 1))
    drive(window, window.tracks.detail.play.winfo_ismapped)
    window.tracks.detail.play.invoke()
    drive(window, lambda: text(window.tracks.detail.play) == "No sound: no audio output")
    drive(window, lambda: "offers no device" in text(window.banner.message))
    window.show_page("Model")


def test_closing_while_it_plays_does_not_wait(open_window: OpenWindow, tmp_path: Path) -> None:
    devices = Devices()
    window = open_window(player=Player(devices))
    window.add([str(write_audio(tmp_path / "song.wav", tone(20)))])
    drive(window, finished(window.controller, 1))
    window.update()
    window.tracks.detail.toggle()
    drive(window, lambda: bool(devices.opened))
    window.close()
    devices.last.let_through(0.05)
    until(lambda: devices.last.closed is True)
