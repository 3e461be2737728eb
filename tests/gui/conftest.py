"""A screen to open windows on, and the window itself."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from genre_gui.backends.base import Backend, Load, LocalBackend, ModelRequest
from genre_gui.controller import Controller
from genre_gui.language import choose_language
from genre_gui.playback import Player
from genre_gui.settings import Settings
from genre_gui.tracks import State, Track
from genre_gui.workers.background import Event, ui_thread, wait_for_threads
from genre_runtime import GenreClassifier
from tests.patience import PATIENCE_SECONDS

OpenWindow = Callable[..., Any]
OpenController = Callable[..., Controller]
Kind = TypeVar("Kind")


@pytest.fixture(scope="session")
def display() -> Iterator[None]:
    """Set $DISPLAY to a screen: the one there is, or one without a monitor for the time of the tests."""
    pytest.importorskip("tkinter", reason="tkinter is missing: install python3-tk")
    if not sys.platform.startswith("linux") or os.environ.get("DISPLAY"):
        yield
        return
    program = shutil.which("Xvfb")
    if program is None:
        pytest.skip("there is no screen and no Xvfb: install xvfb")
    reading, writing = os.pipe()
    arguments = ["-displayfd", str(writing), "-screen", "0", "1280x1024x24", "-nolisten", "tcp", "-noreset"]
    server = subprocess.Popen([program, *arguments], pass_fds=[writing], stderr=subprocess.DEVNULL)
    os.close(writing)
    try:
        with os.fdopen(reading) as answer, pytest.MonkeyPatch.context() as environment:
            number = answer.readline().strip()
            if not number:
                pytest.fail("Xvfb did not start")
            environment.setenv("DISPLAY", f":{number}")
            yield
    finally:
        server.terminate()
        server.wait()


@pytest.fixture(autouse=True)
def _usual_desktop(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the system speak English and have no dialogs of its own, whatever this machine has."""
    monkeypatch.setenv("LANGUAGE", "en")
    monkeypatch.setattr("genre_gui.widgets.desktop_dialogs.program", lambda: None)
    choose_language("en")
    yield
    choose_language("en")


@pytest.fixture
def backend(classifier: GenreClassifier) -> Backend:
    """The tiny model, ready to work."""
    return LocalBackend(classifier)


@pytest.fixture
def open_controller(backend: Backend) -> Iterator[OpenController]:
    """Make controllers over the tiny model or another one, and close them after the test."""
    controllers: list[Controller] = []

    def make(load: Load | None = None, jobs: int | None = 2, *, loaded: bool = True, fixed: bool = False) -> Controller:
        controller = Controller(load or (lambda _: backend), jobs, fixed=fixed)
        controllers.append(controller)
        if loaded:
            controller.load(ModelRequest())
        return controller

    yield make
    for controller in controllers:
        controller.close()
    left = wait_for_threads(PATIENCE_SECONDS)
    assert not left, f"these threads go on after their controller was closed: {left}"


@pytest.fixture
def open_window(
    display: None, open_controller: OpenController, monkeypatch: pytest.MonkeyPatch
) -> Iterator[OpenWindow]:
    """Open windows, and close them after the test; an error within a callback of theirs fails it."""
    import tkinter

    import customtkinter

    from genre_gui.window import Window

    def ask(dialog: Any, **_: Any) -> None:
        raise AssertionError(f"a test has no one to answer this dialog: {dialog.command} {dialog.options}")

    monkeypatch.setattr("tkinter.commondialog.Dialog.show", ask)
    customtkinter.set_appearance_mode("light")
    windows: list[Window] = []
    errors: list[tuple[Any, ...]] = []

    def open_one(
        load: Load | None = None,
        settings: Settings | None = None,
        file: Path | None = None,
        jobs: int | None = 2,
        *,
        fixed: bool = False,
        player: Player | None = None,
    ) -> Window:
        controller = open_controller(load, jobs, loaded=False, fixed=fixed)
        window = Window(controller, settings or Settings(theme="light"), file, player)
        window.report_callback_exception = lambda *error: errors.append(error)
        windows.append(window)
        window.update()
        return window

    with ui_thread():
        yield open_one
        while windows:
            with contextlib.suppress(tkinter.TclError):  # the test may have closed it
                windows.pop().close()
    assert not errors, "".join(traceback.format_exception(errors[0][1]))


def wait(controller: Controller, until: Callable[[], bool]) -> list[Event]:
    """Take reports in until a condition holds, and return them; fail at the deadline."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    events: list[Event] = []
    while not until():
        if time.monotonic() > deadline:
            pytest.fail(f"the controller did not get there in time: {events}")
        events += controller.poll(100)
        time.sleep(0.002)
    return events


def wait_for(controller: Controller, kind: type[Kind], found: list[Event] | None = None) -> Kind:
    """Take reports in until there is one of a kind, and return it; `found` receives all that came."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        events = controller.poll(1)  # one by one: what comes after it is for the next wait
        if found is not None:
            found.extend(events)
        for event in events:
            if isinstance(event, kind):
                return event
        time.sleep(0.002)
    pytest.fail(f"the controller reported no {kind.__name__} in time: {found}")


def finished(controller: Controller, count: int) -> Callable[[], bool]:
    """Return a condition: there are that many tracks, and none waits or is in work."""
    return lambda: len(controller.tracks) == count and not controller.n_unfinished


def named(controller: Controller, name: str) -> Track:
    """Return the track of a file."""
    return next(track for track in controller.tracks.values() if track.path.name == name)


def states(controller: Controller) -> list[State]:
    """Return how the tracks stand, in the order of adding."""
    return [track.state for track in controller.tracks.values()]


def drive(window: Any, until: Callable[[], bool]) -> None:
    """Let the window live until a condition holds; fail at the deadline."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not until():
        if time.monotonic() > deadline:
            pytest.fail("the window did not get there in time")
        window.update()
        time.sleep(0.01)
