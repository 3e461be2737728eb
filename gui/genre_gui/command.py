"""The command `genre-gui`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from genre_gui.opening import run
from genre_gui.version import __version__

if TYPE_CHECKING:
    from genre_gui.backend import Load
    from genre_gui.controller import Controller


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
    from genre_gui.remote import connecting
    from genre_runtime import GenreError

    try:
        return connecting(url)
    except GenreError as error:
        parser.error(str(error))
