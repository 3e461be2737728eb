"""The command `genre-app`: the service and the window on it, which begin and end together.

The service is the command `genre-api`, started by `genre_gui.own_service` behind a guard that outlives neither; other
programs on this machine may use it while the window is open.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from genre_gui.opening import run
from genre_gui.version import __version__

if TYPE_CHECKING:
    from genre_gui.controller import Controller


def main(arguments: Sequence[str] | None = None) -> int:
    """Open the window and start the service; returns the exit status when both have ended."""
    parser = argparse.ArgumentParser(
        prog="genre-app", description="Start the genre service and a window on it; closing the window ends both."
    )
    parser.add_argument("paths", nargs="*", metavar="PATH", help="file or folder to classify when the window is open")
    parser.add_argument("--model", type=Path, metavar="FILE", help="another .onnx model, its .json beside it")
    parser.add_argument("--port", type=_port, help="the only port to listen on (default: 8000, or a free one)")
    parser.add_argument("--version", action="version", version=__version__)
    options = parser.parse_args(arguments)
    from genre_gui.own_service import OwnService

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


if __name__ == "__main__":
    sys.exit(main())
