"""The commands `genre-gui` and `genre-app`: options, signals and exit status.

`genre-app` is the window with a service of its own (`genre_gui.backends.service`), which ends with the window. Other
programs on this machine can use the service while the window is open.
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
    from genre_gui.window import Window

THREADS_SECONDS = 5.0
"""How long threads may take to end after the window is closed."""

SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")


def run(
    program: str,
    paths: Sequence[str],
    model: Path | None = None,
    head: Path | None = None,
    load: Load | None = None,
    end: Callable[[], object] | None = None,
    state: Path | None = None,
) -> int:
    """Open the window and return the exit status when it is closed.

    Parameters
    ----------
    program : str
        Name of the command.
    paths : sequence of str
        Files and folders to add.
    model : Path or None
        None for the one in the settings.
    head : Path or None
        The user's own genres; None for those in the settings, unless another model is named.
    load : callable, optional
        Makes the backend; by default the model is loaded in this process.
    end : callable, optional
        Called after the window is closed. If given, model and device can be chosen in the window, although `load` is
        given.
    state : Path, optional
        State file of the answers; by default one in the platform's folder.
    """
    try:
        import tkinter
    except ImportError as error:
        print(f"{program}: Tk is missing ({error}): {_tk_instructions()}", file=sys.stderr)
        return 1
    from genre_runtime import silence_decoders

    silence_decoders()
    received: list[int] = []
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl+C ends the program without a traceback
    try:
        with ExitStack() as stack:
            if end is not None:
                stack.callback(end)
            _open_window(paths, model, head, load, received, state, fixed=load is not None and end is None)
    except tkinter.TclError as error:
        print(f"{program}: no window can be opened ({error}): start it from a desktop session", file=sys.stderr)
        return 1
    status = 128 + received[0] if received else 0
    from genre_gui.workers.background import wait_for_threads

    if wait_for_threads(THREADS_SECONDS):  # Python would wait for a call that hangs, for example in a driver
        sys.stdout.flush()
        os._exit(status)
    return status


def _open_window(
    paths: Sequence[str],
    model: Path | None,
    head: Path | None,
    load: Load | None,
    received: list[int],
    state: Path | None,
    *,
    fixed: bool,
) -> None:
    from dataclasses import replace
    from functools import partial

    from genre_gui.backends.base import LocalBackend
    from genre_gui.controller import Controller
    from genre_gui.language import choose_language
    from genre_gui.settings import QUEUE_NAME, STATE_NAME, load_settings, settings_path, state_path
    from genre_gui.widgets import theme
    from genre_gui.window import Window
    from genre_gui.workers.background import ui_thread

    file = settings_path()
    settings, warning = load_settings(file)
    if model is not None:
        settings = replace(settings, model=str(model.absolute()), head="")
    if head is not None:
        settings = replace(settings, head=str(head.absolute()))
    choose_language(settings.language)
    theme.choose_appearance(settings.theme)
    queue = state_path(QUEUE_NAME)
    if load is None:
        controller = Controller(partial(LocalBackend.load, state=state or state_path(STATE_NAME)), queue=queue)
    else:
        controller = Controller(load, fixed=fixed, queue=queue)

    def show() -> None:
        window = Window(controller, settings, file)
        if warning:
            window.banner.show(warning)
        window.add(paths)
        while True:
            _close_on_signals(window, received)
            window.mainloop()
            if not window.replaced:
                return
            window = Window(controller, window.settings, file)

    try:
        with ui_thread():
            show()  # returns, and lets the window go, before the last garbage collection
    finally:
        controller.close()


def _close_on_signals(window: Window, received: list[int]) -> None:
    """Close the window on the first signal; the second one ends the process."""

    def close(number: int, _: object) -> None:
        received.append(number)
        signal.signal(number, signal.SIG_DFL)
        window.after(0, window.close)  # a handler runs between any two instructions of the window

    for name in SIGNALS:
        with suppress(AttributeError, ValueError):  # not every system has all of them
            signal.signal(getattr(signal, name), close)


def _tk_instructions() -> str:
    if sys.platform.startswith("linux"):
        return "install python3-tk by the system's package manager"
    if sys.platform == "darwin":
        return "install python-tk by Homebrew, or Python from python.org"
    return "run Python's installer again and choose tcl/tk"


def _parser(program: str, description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=program, description=description)
    parser.add_argument("paths", nargs="*", metavar="PATH", help="file or folder to classify when the window is open")
    parser.add_argument(
        "--model", type=_model, metavar="FILE|NAME", help="another .onnx model, or a name of `genre model list`"
    )
    parser.add_argument(
        "--head", type=Path, metavar="FILE", help="your own genres, written by genre learn or the window"
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    return parser


def main_app(arguments: Sequence[str] | None = None) -> int:
    """Start the service, open the window, and return the exit status when both have ended.

    Parameters
    ----------
    arguments : sequence of str, optional
        By default those of the command line.
    """
    parser = _parser("genre-app", "Start the genre service and a window on it; closing the window ends both.")
    parser.add_argument("--port", type=_port, help="the only port to listen on (default: 8000, or a free one)")
    options = parser.parse_args(arguments)
    from genre_gui.backends.launcher import find_service

    if find_service() is None:
        print('genre-app needs the service: pip install "./api" "./gui[service]"', file=sys.stderr)
        return 1
    from genre_gui.backends.service import OwnService

    service = OwnService(options.port)
    return run(parser.prog, options.paths, options.model, options.head, service.load, service.close)


def _model(text: str) -> Path:
    from genre_runtime import GenreError, find_model

    try:
        return find_model(text)
    except GenreError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _port(text: str) -> int:
    number = int(text)
    if not 1 <= number <= 65_535:
        raise argparse.ArgumentTypeError(f"{number} is not a port: expected 1 to 65535")
    return number


def main(arguments: Sequence[str] | None = None) -> int:
    """Open the window and return the exit status when it is closed.

    Parameters
    ----------
    arguments : sequence of str, optional
        By default those of the command line.
    """
    parser = _parser("genre-gui", "Show the genres of music in a window.")
    parser.add_argument("--api", metavar="URL", help="use the service at this address, its key in $GENRE_API_KEY")
    parser.add_argument(
        "--state", type=Path, metavar="FILE", help="keep answers in this state file, as genre classify --state does"
    )
    options = parser.parse_args(arguments)
    if options.api is not None and options.state is not None:
        parser.error("--state and --api exclude each other: a service keeps its answers itself")
    if options.api is not None and options.model is not None:
        parser.error("--model and --api exclude each other: the service has a model of its own")
    if options.api is not None and options.head is not None:
        parser.error("--head and --api exclude each other: the service chooses its genres (GENRE_HEAD)")
    load = None if options.api is None else _connecting(options.api, parser)
    return run(parser.prog, options.paths, options.model, options.head, load, state=options.state)


def _connecting(url: str, parser: argparse.ArgumentParser) -> Load:
    from genre_gui.backends.remote import connecting
    from genre_runtime import GenreError

    try:
        return connecting(url)
    except GenreError as error:
        parser.error(str(error))


if __name__ == "__main__":
    sys.exit(main_app())
