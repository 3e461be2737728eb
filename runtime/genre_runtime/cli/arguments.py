"""What several verbs of the command take, and how their words become values."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from genre_runtime.terminal import EscapedStream, escaping

if TYPE_CHECKING:
    from genre_runtime.classifier import ExcerptCount


STDERR = 2


class Formatter(argparse.RawDescriptionHelpFormatter):
    """Help that keeps the line breaks of examples and says each default once, in the option's own words."""


def model_options() -> argparse.ArgumentParser:
    """Parent parser of the verbs that load a model."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--model", metavar="FILE", help="another .onnx model, its .json beside it")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, ... (default: %(default)s)")
    return parser


def listening_options() -> argparse.ArgumentParser:
    """Parent parser of the verbs that listen to many files."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument(
        "--excerpts", type=excerpts, metavar="N|all", help="ten-second excerpts a track (default: as the model says, 3)"
    )
    parser.add_argument("--jobs", type=positive, default=0, metavar="N", help="files in work at once (default: a core)")
    return parser


def excerpt_count(options: argparse.Namespace) -> ExcerptCount:
    """Return what `--excerpts` means to the classifier."""
    count: ExcerptCount = options.excerpts
    return count


def path(text: str) -> str:
    """Return a name that is not empty: pathlib takes an empty one, such as an unset variable, for this folder."""
    if not text:
        raise argparse.ArgumentTypeError("the name is empty")
    return text


def file_path(text: str) -> Path:
    """Return the path of a file that a name means.

    Raises
    ------
    argparse.ArgumentTypeError
        The name is empty, or that of a folder.
    """
    named = Path(path(text))
    if os.path.isdir(named):  # noqa: PTH112  # pathlib raises where a folder may not be looked into
        raise argparse.ArgumentTypeError(f"{text!r} is a folder: name a file")
    return named


def state_path(text: str) -> Path:
    """Return the path of a state file, which may be made by this run.

    Raises
    ------
    argparse.ArgumentTypeError
        The name is empty or that of a folder, or lies in a folder that does not exist.
    """
    named = file_path(text)
    if not os.path.isdir(named.absolute().parent):  # noqa: PTH112
        raise argparse.ArgumentTypeError(f"the folder {str(named.parent)!r} does not exist: make it, or name another")
    return named


def is_parquet(name: str) -> bool:
    """Tell whether a file's name is one of Parquet."""
    return name.lower().endswith(".parquet")


def quoted(path: PurePath) -> str:
    """Return a path as this system's shells take it for one word."""
    import shlex
    import subprocess

    return subprocess.list2cmdline([str(path)]) if sys.platform == "win32" else shlex.quote(str(path))


def excerpts(text: str) -> str | int:
    """Return `all` or a positive number."""
    return text if text == "all" else positive(text)


def positive(text: str) -> int:
    """Return a positive whole number."""
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no positive whole number")
    return int(text)


def share(text: str) -> float:
    """Return a number from 0 to 1; percent are taken as well."""
    try:
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no share: expected 0 to 1, or 0% to 100%")
    return value


def silence_decoders() -> None:
    """Keep what C libraries write to the error stream from the terminal; this process's own words still go there.

    libmpg123 remarks on every oddity of an MP3 file, and nothing in libsndfile tells it not to.
    """
    try:
        if sys.stderr.fileno() != STDERR:
            return
        own = os.dup(STDERR)
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, STDERR)
        os.close(nowhere)
    except (OSError, ValueError, AttributeError):  # closed, or replaced by what is no file
        return
    stream = open(own, "w", buffering=1, encoding=sys.stderr.encoding, errors="backslashreplace")  # noqa: SIM115
    sys.stderr = escaping(stream) if isinstance(sys.stderr, EscapedStream) else stream
