"""Command `genre`: its verbs, and what is the same for all of them.

Exit status: 0 every file was classified, 1 some were not, 2 wrong usage, 130 interrupted.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from genre_runtime.commands import arguments
from genre_runtime.errors import DeviceUnavailableError, GenreError, MissingDependencyError, ModelNotFoundError
from genre_runtime.version import __version__

VERBS = ("classify", "tag", "report", "playlist", "similar", "demo", "info", "completion")
"""Each is a module of `genre_runtime.commands`."""

WRONG_USAGE = (DeviceUnavailableError, MissingDependencyError, ModelNotFoundError)
"""Errors about what the command was told or where it was installed, not about a file."""


def main(words: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    words = sys.argv[1:] if words is None else words
    # A verb named first is the only one whose code is read: a short command is over before all eight would be.
    options = command_parser(words[:1] if words[:1] and words[0] in VERBS else VERBS).parse_args(words)
    _prepare_streams()
    try:
        status: int = options.run(options)
        sys.stdout.flush()
        return status
    except GenreError as error:
        print(f"genre: {error}", file=sys.stderr)
        return 2 if isinstance(error, WRONG_USAGE) else 1
    except BrokenPipeError:  # the reader of our output has gone: nothing left to do
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:  # a folder that cannot be written, a full disk
        print(f"genre: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("genre: interrupted; what was printed is complete", file=sys.stderr)
        return 130


def command_parser(names: Sequence[str] = VERBS) -> argparse.ArgumentParser:
    """Return the parser of the command, with all of its verbs or some."""
    modules = [import_module(f"genre_runtime.commands.{name}") for name in names]
    parser = argparse.ArgumentParser(
        prog="genre",
        description="Music genres of audio files, without torch.",
        epilog=getattr(modules[0], "EXAMPLES", None),
        formatter_class=arguments.Formatter,
    )
    parser.add_argument("--version", action="version", version=f"genre {__version__}")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="COMMAND")
    for module in modules:
        module.add_parser(verbs)
    return parser


def _prepare_streams() -> None:
    # A stream that the caller closed is None.
    sys.stdout = sys.stdout or io.StringIO()
    sys.stderr = sys.stderr or io.StringIO()
    for stream in (sys.stdout, sys.stderr):  # a terminal that lacks a character gets its number instead
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
