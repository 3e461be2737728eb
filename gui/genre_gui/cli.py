"""Opening the window, living in it, and leaving nothing behind; what the commands have in common.

The command `genre-app`: the service and the window on it, which begin and end together.

The service is the command `genre-api`, started by `genre_gui.backends.service` behind a guard that outlives neither;
other programs on this machine may use it while the window is open.

The command `genre-gui`.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from genre_gui import __version__

if TYPE_CHECKING:
    from genre_gui.backends.base import Load
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
    from genre_gui.workers.background import outliving

    if outliving(PATIENCE_SECONDS):  # in a call that nothing can end, such as a driver's; Python would wait for it
        sys.stdout.flush()
        os._exit(status)
    return status


def _live(paths: Sequence[str], model: Path | None, controller: Controller, received: list[int] | None) -> None:
    from dataclasses import replace

    from genre_gui.settings import load_settings, settings_path
    from genre_gui.widgets import theme
    from genre_gui.window import Window
    from genre_gui.workers import background

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
        with background.undisturbed():
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


def main_app(arguments: Sequence[str] | None = None) -> int:
    """Open the window and start the service; returns the exit status when both have ended."""
    parser = argparse.ArgumentParser(
        prog="genre-app", description="Start the genre service and a window on it; closing the window ends both."
    )
    parser.add_argument("paths", nargs="*", metavar="PATH", help="file or folder to classify when the window is open")
    parser.add_argument("--model", type=Path, metavar="FILE", help="another .onnx model, its .json beside it")
    parser.add_argument("--port", type=_port, help="the only port to listen on (default: 8000, or a free one)")
    parser.add_argument("--version", action="version", version=__version__)
    options = parser.parse_args(arguments)
    from genre_gui.backends.service import OwnService

    service = OwnService(options.port)

    def make_controller() -> Controller:
        from genre_gui.controller import Controller

        return Controller(service.load)

    return run(parser.prog, options.paths, options.model, make_controller, service.close)


def _port(text: str) -> int:
    number = int(text)
    if not 1 <= number <= 65_535:
        raise argparse.ArgumentTypeError(f"{number} is no port: expected 1 to 65535")
    return number


def main(arguments: Sequence[str] | None = None) -> int:
    """Open the window; returns the exit status."""
    parser = argparse.ArgumentParser(prog="genre-gui", description="Show the genres of music in a window.")
    parser.add_argument("paths", nargs="*", metavar="PATH", help="file or folder to classify when the window is open")
    parser.add_argument("--model", type=Path, metavar="FILE", help="another .onnx model, its .json beside it")
    parser.add_argument("--api", metavar="URL", help="use the service at this address, its key in $GENRE_API_KEY")
    parser.add_argument("--version", action="version", version=__version__)
    options = parser.parse_args(arguments)
    if options.api is not None and options.model is not None:
        parser.error("--model and --api exclude each other: the service has a model of its own")
    load = None if options.api is None else _connecting(options.api, parser)

    def make_controller() -> Controller:
        from genre_gui.controller import Controller

        return Controller() if load is None else Controller(load, fixed=True)

    return run(parser.prog, options.paths, options.model, make_controller)


def _connecting(url: str, parser: argparse.ArgumentParser) -> Load:
    from genre_gui.backends.remote import connecting
    from genre_runtime import GenreError

    try:
        return connecting(url)
    except GenreError as error:
        parser.error(str(error))


if __name__ == "__main__":
    sys.exit(main_app())
