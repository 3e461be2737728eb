"""Command `genre`: its verbs, and what is the same for all of them.

The exit statuses and the environment are described where users read of them, in `EPILOG`.
"""

from __future__ import annotations

import argparse
import errno
import io
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from genre_runtime import __version__
from genre_runtime.cli import arguments
from genre_runtime.errors import (
    DeviceUnavailableError,
    GenreError,
    MissingDependencyError,
    ModelNotFoundError,
    UsageError,
)
from genre_runtime.terminal import escaped_streams

VERBS = ("classify", "tag", "report", "playlist", "similar", "demo", "info", "completion")
"""Each is a module of `genre_runtime.cli`."""

WRONG_USAGE = (DeviceUnavailableError, MissingDependencyError, ModelNotFoundError, UsageError)
"""Errors about what the command was told or where it was installed, not about a file."""


EPILOG = """examples:
  genre classify song.mp3                            one file
  genre classify ~/Music --state music.genre --format jsonl --output genres.jsonl
                                                     a library; the same line again listens to what is new
  genre report genres.jsonl                          a page to look at
  genre tag --from genres.jsonl                      what would be written into the files' tags
  genre tag --from genres.jsonl --write              write it; the line to undo it is printed
  genre similar song.mp3 --in ~/Music --state music.genre
                                                     what sounds like this song

`genre COMMAND --help` explains a command and has more examples.

exit status:
  0     every file was classified, tagged or restored
  1     some were not, each named on the error stream with the reason, or there were none
  2     wrong usage: words, files of settings, devices or packages that cannot be had
  130   interrupted (143 ended, 129 its terminal closed); what was printed or written is complete

environment:
  GENRE_MODEL      the model to use where --model names none
  XDG_STATE_HOME   the journals of `genre tag` lie below it in genre/journals (default: ~/.local/state; on Windows
                   below %LOCALAPPDATA%, on macOS below ~/Library/Application Support)
  RAY_ADDRESS      the cluster of `genre classify --engine ray`
  NO_COLOR         need not be set: nothing is ever coloured

Results go to the output stream, all else to the error stream; a bar with rate and time left is shown where that is a
terminal. Names that are no UTF-8, or have control characters, are shown with escapes; jsonl and json have them whole.
"""

ADVICE = {errno.ENOSPC: "make room, or name another place to write to", errno.EACCES: "check the permissions"}


def main(words: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    words = sys.argv[1:] if words is None else words
    _prepare_streams()
    with escaped_streams():
        return _main(words)


def _main(words: Sequence[str]) -> int:
    # A verb named first is the only one whose code is read: a short command is over before all eight would be.
    options = command_parser(words[:1] if words[:1] and words[0] in VERBS else VERBS).parse_args(words)
    with _ended_cleanly():
        return _run(options)


def _run(options: argparse.Namespace) -> int:
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
        named = f"{error.filename}: " if error.filename else ""
        advice = f": {ADVICE[error.errno]}" if error.errno in ADVICE else ""
        print(f"genre: {named}{error.strerror or error}{advice}", file=sys.stderr)
        return 1
    except KeyboardInterrupt as interruption:
        print("genre: interrupted; what was printed is complete", file=sys.stderr)
        return 128 + (interruption.args[0] if interruption.args else signal.SIGINT)


@contextmanager
def _ended_cleanly() -> Iterator[None]:
    """Take a request to end, or a terminal that is closed, for Ctrl-C: what is half done is cleared away."""

    def end(number: int, frame: object) -> None:  # noqa: ARG001
        raise KeyboardInterrupt(number)

    former: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():  # no other may
        for name in ("SIGTERM", "SIGHUP"):
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) is signal.SIG_DFL:  # nohup's stays
                former[number] = signal.signal(number, end)
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def command_parser(names: Sequence[str] = VERBS) -> argparse.ArgumentParser:
    """Return the parser of the command, with all of its verbs or some."""
    modules = [import_module(f"genre_runtime.cli.{name}") for name in names]
    parser = argparse.ArgumentParser(
        prog="genre",
        description="Tell the genres of music files, write them into their tags, report on a library. Works offline.",
        epilog=EPILOG,
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
