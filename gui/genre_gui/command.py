"""The command `genre-gui`."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from genre_gui.version import __version__

if TYPE_CHECKING:
    from genre_gui.backend import Load

PATIENCE_SECONDS = 5.0
"""How long threads may take to end when the window is closed."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Open the window; returns the exit status."""
    parser = argparse.ArgumentParser(prog="genre-gui", description="Show the genres of music in a window.")
    parser.add_argument("paths", nargs="*", metavar="PATH", help="file or folder to classify when the window is open")
    parser.add_argument("--model", type=Path, metavar="FILE", help="another .onnx model, its .json beside it")
    parser.add_argument("--api", metavar="URL", help="use the service at this address, its key in $GENRE_API_KEY")
    parser.add_argument("--version", action="version", version=__version__)
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl+C ends it, without a traceback
    load: Load | None = None
    if options.api is not None:
        if options.model is not None:
            parser.error("--model and --api exclude each other: the service has a model of its own")
        from genre_gui.remote import connecting
        from genre_runtime import GenreError

        try:
            load = connecting(options.api)
        except GenreError as error:
            parser.error(str(error))
    try:
        import tkinter
    except ImportError as error:
        print(f"genre-gui: Tk is missing ({error}): {_how_to_get_tk()}", file=sys.stderr)
        return 1
    try:
        return _open(options.paths, options.model, load)
    except tkinter.TclError as error:
        print(f"genre-gui: no window can be opened ({error}): start it from a desktop session", file=sys.stderr)
        return 1


def _open(paths: Sequence[str], model: Path | None, load: Load | None) -> int:
    from dataclasses import replace

    from genre_gui import garbage, theme
    from genre_gui.background import outliving
    from genre_gui.controller import Controller
    from genre_gui.settings import load_settings, settings_path
    from genre_gui.window import Window

    file = settings_path()
    settings, word = load_settings(file)
    if model is not None:
        settings = replace(settings, model=str(model.absolute()))
    theme.choose_appearance(settings.theme)
    controller = Controller(load, fixed=True) if load else Controller()

    def show() -> None:
        window = Window(controller, settings, file)
        if word:
            window.banner.say(word)
        window.add(paths)
        window.mainloop()

    try:
        with garbage.collected_here():
            show()
    finally:
        controller.close()  # however the window went
    if outliving(PATIENCE_SECONDS):  # in a call that nothing can end, such as a driver's; Python would wait for it
        sys.stdout.flush()
        os._exit(0)
    return 0


def _how_to_get_tk() -> str:
    if sys.platform.startswith("linux"):
        return "install python3-tk by the system's package manager"
    if sys.platform == "darwin":
        return "install python-tk by Homebrew, or Python from python.org"
    return "run Python's installer again and choose tcl/tk"
