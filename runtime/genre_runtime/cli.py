"""Command `genre`: its verbs, and what is the same for all of them.

Exit status: 0 every file was classified, 1 some were not, 2 wrong usage, 130 interrupted.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence

from genre_runtime.commands import arguments, classify, completion, demo, info, playlist, report, similar, tag
from genre_runtime.errors import DeviceUnavailableError, GenreError, MissingDependencyError, ModelNotFoundError
from genre_runtime.version import __version__

VERBS = (classify, tag, report, playlist, similar, demo, info, completion)

WRONG_USAGE = (DeviceUnavailableError, MissingDependencyError, ModelNotFoundError)
"""Errors about what the command was told or where it was installed, not about a file."""


def main(words: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    options = command_parser().parse_args(words)
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


def command_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command."""
    parser = argparse.ArgumentParser(
        prog="genre",
        description="Music genres of audio files, without torch.",
        epilog=classify.EXAMPLES,
        formatter_class=arguments.Formatter,
    )
    parser.add_argument("--version", action="version", version=f"genre {__version__}")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="COMMAND")
    for verb in VERBS:
        verb.add_parser(verbs)
    return parser


def _prepare_streams() -> None:
    # A stream that the caller closed is None.
    sys.stdout = sys.stdout or io.StringIO()
    sys.stderr = sys.stderr or io.StringIO()
    for stream in (sys.stdout, sys.stderr):  # a terminal that lacks a character gets its number instead
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
