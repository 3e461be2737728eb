"""Opening the window, living in it, and leaving nothing behind; what the commands have in common."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from genre_gui.controller import Controller
    from genre_gui.window import Window

PATIENCE_SECONDS = 5.0
"""How long threads may take to end when the window is closed."""

SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")


def run(
    program: str,
    paths: Sequence[str],
    model: Path | None,
    make_controller: Callable[[], Controller],
    end: Callable[[], object] | None = None,
) -> int:
    """Open the window and return the exit status when it is closed.

    Parameters
    ----------
    program : str
        Name of the command.
    paths : sequence of str
        Files and folders to begin with.
    model : Path or None
        None: the one of the settings.
    make_controller : callable
    end : callable, optional
        Called when the window is gone. Where there is one, signals close the window in order.
    """
    try:
        import tkinter
    except ImportError as error:
        print(f"{program}: Tk is missing ({error}): {_how_to_get_tk()}", file=sys.stderr)
        return 1
    received: list[int] = []
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl+C ends it, without a traceback
    try:
        with ExitStack() as stack:
            if end is not None:
                stack.callback(end)
            _live(paths, model, make_controller(), received if end is not None else None)
    except tkinter.TclError as error:
        print(f"{program}: no window can be opened ({error}): start it from a desktop session", file=sys.stderr)
        return 1
    status = 128 + received[0] if received else 0
    from genre_gui.background import outliving

    if outliving(PATIENCE_SECONDS):  # in a call that nothing can end, such as a driver's; Python would wait for it
        sys.stdout.flush()
        os._exit(status)
    return status


def _live(paths: Sequence[str], model: Path | None, controller: Controller, received: list[int] | None) -> None:
    from dataclasses import replace

    from genre_gui import theme, ui_thread
    from genre_gui.settings import load_settings, settings_path
    from genre_gui.window import Window

    file = settings_path()
    settings, word = load_settings(file)
    if model is not None:
        settings = replace(settings, model=str(model.absolute()))
    theme.choose_appearance(settings.theme)

    def show() -> None:
        window = Window(controller, settings, file)
        if received is not None:
            _close_at_signals(window, received)
        if word:
            window.banner.say(word)
        window.add(paths)
        window.mainloop()

    try:
        with ui_thread.undisturbed():
            show()
    finally:
        controller.close()  # however the window went


def _close_at_signals(window: Window, received: list[int]) -> None:
    """Close the window at the first signal; the second one ends this program as it is."""

    def close(number: int, _: object) -> None:
        received.append(number)
        signal.signal(number, signal.SIG_DFL)
        window.after(0, window.close)  # Python may be anywhere in the window's code now

    for name in SIGNALS:
        with suppress(AttributeError, ValueError):  # not every system has each of them
            signal.signal(getattr(signal, name), close)


def _how_to_get_tk() -> str:
    if sys.platform.startswith("linux"):
        return "install python3-tk by the system's package manager"
    if sys.platform == "darwin":
        return "install python-tk by Homebrew, or Python from python.org"
    return "run Python's installer again and choose tcl/tk"
