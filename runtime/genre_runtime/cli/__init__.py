"""Command `genre`: its verbs and what they share. `EPILOG` describes exit statuses and environment."""

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
from difflib import get_close_matches
from importlib import import_module
from typing import Any

from genre_runtime import __version__
from genre_runtime.cli import arguments
from genre_runtime.errors import (
    DeviceUnavailableError,
    GenreError,
    InvalidHeadError,
    MissingDependencyError,
    ModelNotFoundError,
    UsageError,
)
from genre_runtime.terminal import escaped_streams

VERBS = (
    "classify",
    "tag",
    "watch",
    "report",
    "playlist",
    "similar",
    "embed",
    "learn",
    "audit",
    "demo",
    "model",
    "info",
    "config",
    "completion",
)
"""Each is a module of `genre_runtime.cli`."""

WRONG_USAGE = (DeviceUnavailableError, InvalidHeadError, MissingDependencyError, ModelNotFoundError, UsageError)
"""Errors about what the command was told or where it was installed, not about a file."""


EPILOG = """examples:
  genre classify song.mp3                            one file
  genre classify ~/Music --state music.state --format jsonl --output genres.jsonl
                                                     a library; repeated, it analyses only new files
  genre report genres.jsonl                          an HTML page
  genre tag --from genres.jsonl                      show what would be written into tags
  genre tag --from genres.jsonl --write              write it, and print the command that undoes it
  genre similar song.mp3 --in ~/Music --state music.state
                                                     tracks that sound like this song
  genre embed ~/Music --output music.npz             the embeddings, for other programs
  genre learn ~/Music --output mine.genre            learn your own genres from the tags of your files
  genre audit ~/Music                                files whose genre the audio contradicts

`genre COMMAND --help` explains a command and has more examples.

exit status:
  0     every file was classified, tagged or restored
  1     some files failed, each named on stderr with the reason, or none were found
  2     wrong usage: options, settings, devices or packages that are not available
  130   interrupted (143: SIGTERM, 129: terminal closed); the last line says what is complete

environment:
  GENRE_MODEL      the model if --model is not given
  XDG_CONFIG_HOME  folder of the configuration file, genre/config.toml; see `genre config --help`
  XDG_STATE_HOME   folder of the journals of `genre tag`, in genre/journals (default: ~/.local/state; on Windows
                   below %LOCALAPPDATA%, on macOS below ~/Library/Application Support)
  RAY_ADDRESS      the cluster of `genre classify --engine ray`
  NO_COLOR         has no effect: the output has no colours

Results go to stdout, everything else to stderr, with a progress bar if stderr is a terminal. Names that are not UTF-8
or have control characters are shown with escapes; jsonl and json keep them.
"""

ADVICE = {errno.ENOSPC: "free some space, or name another place", errno.EACCES: "check the permissions"}


def main(words: Sequence[str] | None = None) -> int:
    """Run the command.

    Parameters
    ----------
    words : sequence of str or None
        Arguments; None for those of the process.

    Returns
    -------
    int
        Exit status.
    """
    words = sys.argv[1:] if words is None else words
    _prepare_streams()
    with escaped_streams():
        return _main(words)


def _main(words: Sequence[str]) -> int:
    mistake = _without_verb(words)
    if mistake is not None:
        print(f"genre: {mistake}", file=sys.stderr)
        return 2
    # Only the verb that is named first is imported.
    parser = command_parser(words[:1] if words[0] in VERBS else VERBS)
    try:
        _configure(parser)
    except UsageError as error:
        print(f"genre: {error}", file=sys.stderr)
        return 2
    options, rest = parser.parse_known_args(words)
    if rest and all(word == "-" or not word.startswith("-") for word in rest):
        apart = " ".join(map(arguments.quoted, rest))
        print(f"genre: {apart} stands apart: write all paths together, before or after the options", file=sys.stderr)
        return 2
    if rest:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    if "configured" in options:
        from genre_runtime.cli import configuration

        configuration.drop_excluded(options, parser)
    with _ended_cleanly():
        return _run(options)


def _without_verb(words: Sequence[str]) -> str | None:
    """Return what to type instead of words that do not begin with a verb; None if they do, or ask for help."""
    first = words[0] if words else ""
    if first in VERBS or first in ("-h", "--help", "--version"):
        return None
    expected = f"expected {', '.join(VERBS)}; see `genre --help`"
    if not first:
        return f"no command was given: {expected}"
    if first.startswith("-") and first != "-":
        verb = next((word for word in words if word in VERBS), "COMMAND")
        return f"{first!r} stands before the command: write options after it, `genre {verb} {first} ...`"
    alike = get_close_matches(first.lower(), VERBS, n=1)
    if os.path.lexists(first) or _looks_like_music(first):
        return f"{first!r} is not a command: to classify it, run `genre classify {arguments.quoted(first)}`"
    return f"{first!r} is not a command: {f'did you mean `genre {alike[0]}`?' if alike else expected}"


def _looks_like_music(name: str) -> bool:
    from genre_runtime.library.scan import AUDIO_SUFFIXES

    suffixes = (*AUDIO_SUFFIXES, ".csv", ".jsonl", ".parquet")
    return name.lower().endswith(suffixes) or any(part in name for part in ("/", os.sep, "*"))


def _configure(parser: argparse.ArgumentParser) -> None:
    """Take the defaults of the user's configuration file, if there is one."""
    from genre_runtime.cli import configuration

    path = configuration.config_path()
    shows_it = list(configuration.verb_parsers(parser)) == ["config"]  # and what is wrong with it
    if path is not None and path.is_file() and not shows_it:
        configuration.apply_config(parser, path, configuration.verb_parsers(command_parser()))


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
        kept = f"; {options.kept(options)}" if "kept" in options else ""
        print(f"genre: interrupted{kept}", file=sys.stderr)
        return 128 + (interruption.args[0] if interruption.args else signal.SIGINT)


@contextmanager
def _ended_cleanly() -> Iterator[None]:
    """Treat SIGTERM and SIGHUP like Ctrl-C, so that unfinished work is cleaned up."""

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
    """Return the parser of the command.

    Parameters
    ----------
    names : sequence of str
        Verbs to include.
    """
    modules = [import_module(f"genre_runtime.cli.{name}") for name in names]
    parser = argparse.ArgumentParser(
        prog="genre",
        description="Classify music files by genre, write genres into tags, report on a library. Works offline.",
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
