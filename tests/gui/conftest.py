"""A screen to open windows on, and the window itself."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from genre_gui.worker import Worker
from genre_runtime import GenreClassifier

DEADLINE_SECONDS = 30.0

OpenWindow = Callable[[Callable[[], GenreClassifier]], Any]


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


@pytest.fixture
def open_window(display: None) -> Iterator[OpenWindow]:
    """Open windows, and close them after the test; an error within a callback of theirs fails it."""
    import tkinter

    import customtkinter

    from genre_gui.window import Window

    customtkinter.set_appearance_mode("light")
    windows: list[Window] = []
    errors: list[object] = []

    def open_one(load: Callable[[], GenreClassifier]) -> Window:
        window = Window(Worker(load))
        window.report_callback_exception = lambda *error: errors.append(error)
        windows.append(window)
        window.update()
        return window

    yield open_one
    for window in windows:
        with contextlib.suppress(tkinter.TclError):  # the test may have closed it
            window.close()
    assert errors == []


def drive(window: Any, until: Callable[[], bool]) -> None:
    """Let the window live until a condition holds; fail at the deadline."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not until():
        if time.monotonic() > deadline:
            pytest.fail("the window did not get there in time")
        window.update()
        time.sleep(0.01)
