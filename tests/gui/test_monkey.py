"""Somebody who presses everything in any order: the window shows what is the case all the same, and ends cleanly."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from genre_gui.backends.base import Backend, LocalBackend, ModelRequest
from genre_gui.playback import Player
from genre_gui.widgets.controls import PAGES
from genre_runtime.errors import DeviceUnavailableError, InvalidModelError
from tests.gui.conftest import OpenWindow, drive
from tests.gui.odd_service import READY, odd_service
from tests.gui.test_playback import Devices
from tests.synthetic import RATE, noise, tone, write_audio

N_ACTS = 250


@pytest.mark.parametrize("seed", range(3))
def test_anything_in_any_order(
    open_window: OpenWindow, backend: Backend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    for name in ("XDG_STATE_HOME", "LOCALAPPDATA", "HOME"):
        monkeypatch.setenv(name, str(tmp_path / "state"))
    chance = random.Random(seed)
    music = tmp_path / "music"
    music.mkdir()
    for number in range(12):
        write_audio(music / f"{number} tone.flac", tone(1 + number))
    write_audio(music / "noise.wav", noise(2))
    write_audio(music / "silence.wav", np.zeros(RATE, np.float32))
    (music / "words.mp3").write_text("no music")

    def load(request: ModelRequest) -> Backend:
        if request.device == "cuda":
            raise DeviceUnavailableError("cuda", ("cpu",), "not built for it")
        if request.model is not None:
            raise InvalidModelError("no model")
        return backend

    devices = Devices()
    window = open_window(load, player=Player(devices))
    table, tracks, controller = window.tracks.table, window.tracks, window.controller
    drive(window, lambda: controller.backend is not None)  # without any model, tracks would wait for one for ever
    monkeypatch.setattr("genre_gui.widgets.dialogs.model_file", lambda _: Path("wrong.onnx"))
    monkeypatch.setattr("genre_gui.widgets.dialogs.audio_files", lambda *_: [str(music / "noise.wav"), "/none.wav"])
    monkeypatch.setattr("genre_gui.widgets.dialogs.audio_folder", lambda *_: str(music))
    monkeypatch.setattr("genre_gui.widgets.dialogs.export_file", lambda *_: tmp_path / "out.csv")

    def choose_some() -> None:
        shown = table.shown()
        table.tree.selection_set([str(number) for number in chance.sample(shown, min(len(shown), 5))])

    acts: list[Callable[[], object]] = [
        *[window.ask_files, window.ask_folder, window.ask_model, window.export, window.undo_tags],
        *[tracks.cancel, tracks.retry, lambda: tracks.retry(whole=True), tracks.remove, tracks.clear],
        *[choose_some, table.select_all, lambda: table.sort(chance.choice(table.tree.cget("columns")))],
        lambda: table.filter(chance.choice(["", "tone", "nothing at all", "[{$"])),
        lambda: window.show_page(chance.choice(PAGES)),
        *[lambda: window.learn.start.invoke(), lambda: window.check_tags.start.invoke(), window.more_like_this],
        *[lambda: window.learn.cancel.invoke(), lambda: window.check_tags.mend.invoke()],
        lambda: window.choose_device(chance.choice(["cpu", "cuda", "auto"])),
        lambda: window.choose("theme", chance.choice(["light", "dark"])),
        lambda: window.banner.answers[0].invoke() if window.banner.answers[0].winfo_ismapped() else None,
        lambda: window.tags.write.invoke(),
        tracks.detail.toggle,
        lambda: tracks.detail.timeline.event_generate("<Button-1>", x=chance.randrange(300), y=5),
        lambda: window.event_generate(chance.choice(["<Escape>", "<Control-p>", "<Next>", "<Prior>"])),
        lambda: window.geometry(chance.choice(["920x680", "1200x800"])),
        controller.probe_devices,
    ]
    for _ in range(N_ACTS):
        chance.choice(acts)()
        for device in devices.opened:
            device.let_through(0.05)
        if chance.random() < 0.7:
            window.update()
    table.filter("")
    table.sort("file")  # no similarity in place of the state
    window.choose_device("cpu")
    drive(window, lambda: not controller.loading and not controller.n_unfinished and not table.behind)
    window.update()
    assert sorted(table.shown()) == sorted(controller.tracks)
    for number, track in controller.tracks.items():
        assert table.tree.item(str(number), "values")[4].strip() == track.state
    window.close()
    for device in devices.opened:
        device.let_through(1.0)


def test_a_service_that_answers_nonsense(open_window: OpenWindow, tmp_path: Path) -> None:
    from genre_gui.backends.remote import connecting

    chance = random.Random(0)
    values: list[object] = [None, 0, -1, 1e300, "x\ny", [], {}, [None], {"a": []}, True]

    def predict(_: bytes) -> tuple[int, dict[str, object], dict[str, str]]:
        names = ("label", "confidence", "probabilities", "excerpts", "duration_seconds", "device", "code", "detail")
        status = chance.choice([200, 200, 302, 400, 413, 415, 500, 503])
        return status, {name: chance.choice(values) for name in names}, {"Retry-After": "0"}

    pages = {
        "/readyz": {"status": "ready"},
        "/api/health": {"model": ["x"], "device": {"a": 1}, "device_requested": 7},
        "/api/genres": {"genres": ["tone", "noise"]},
        "/api/input": READY["/api/input"],
        "/api/metrics": {"val_acc": "good", "epoch": [1], "test": 3, "provenance": {"split": 5, "versions": [1]}},
        "/api/metrics/history": {"history": [{"epoch": "x", "val_loss": None}, 5, {"val_acc": 1e308}]},
        "/api/metrics/confusion": {"matrix": [["x", None], [1]]},
    }
    songs = [str(write_audio(tmp_path / f"{number}.wav", tone(1))) for number in range(40)]
    with odd_service(predict, pages) as address:
        window = open_window(connecting(address), fixed=True)
        window.add(songs)
        window.show_page("Model")
        drive(window, lambda: len(window.controller.tracks) == 40)
        window.show_page("Tracks")
        for number in range(0, 40, 5):
            window.tracks.table.select(number)
            window.update()
        drive(window, lambda: sum(track.result is not None for track in window.controller.tracks.values()) > 10)
        window.close()


def test_models_exchanged_while_files_are_running(open_window: OpenWindow, model_path: Path, tmp_path: Path) -> None:
    window = open_window(LocalBackend.load)
    songs = [str(write_audio(tmp_path / f"{number}.wav", tone(20))) for number in range(30)]
    window.add(songs)
    for _ in range(5):
        window.controller.load(ModelRequest(model_path, "cpu"))
        for _ in range(3):
            window.update()
    drive(window, lambda: len(window.controller.tracks) == 30 and not window.controller.n_unfinished)
    assert all(track.prediction is not None for track in window.controller.tracks.values())
