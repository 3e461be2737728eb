"""What several verbs of the command take, and how their words become values."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path, PurePath
from typing import Any


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


def library_options(options: argparse.Namespace) -> dict[str, Any]:
    """Return the options that `opened_library` takes, by its parameter names.

    Parameters
    ----------
    options : Namespace
        With model, device, excerpts and jobs; `state` is optional.
    """
    names = ("model", "device", "excerpts", "jobs", "state")
    return {name: getattr(options, name) for name in names if hasattr(options, name)}


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
