"""Options that several verbs share, and the types of option values."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path, PurePath
from typing import Any


class Formatter(argparse.HelpFormatter):
    """Help formatter that fills paragraphs to the width of the terminal and keeps the line breaks of examples."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        paragraphs = text.strip().split("\n\n")
        return "\n\n".join(
            text if "\n " in text else super(Formatter, self)._fill_text(text, width, indent) for text in paragraphs
        )


class Repeated(argparse.Action):
    """Action of an option that may be given several times; the command line replaces what is configured."""

    def __call__(self, _parser: Any, namespace: argparse.Namespace, values: Any, _option: Any = None) -> None:
        """Add a value to the list."""
        given = getattr(namespace, self.dest)
        setattr(namespace, self.dest, [values] if given is self.default else [*given, values])


def model_options(*, head: bool = True) -> argparse.ArgumentParser:
    """Return the parent parser of the verbs that load a model.

    Parameters
    ----------
    head : bool
        Whether the verb takes one's own genres.
    """
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument(
        "--model",
        metavar="FILE|NAME",
        help="another .onnx model with its .json beside it, or a name of `genre model list`",
    )
    if head:
        parser.add_argument("--head", type=file_path, metavar="FILE", help="your own genres, learnt by `genre learn`")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, ... (default: %(default)s)")
    return parser


def analysis_options() -> argparse.ArgumentParser:
    """Return the parent parser of the verbs that analyse many files."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument(
        "--excerpts",
        type=excerpts,
        metavar="N|all",
        help="excerpts of ten seconds per track (default: as the model says, 3)",
    )
    parser.add_argument(
        "--jobs", type=positive, default=0, metavar="N", help="files in work at once (default: one per core)"
    )
    return parser


def add_state(parser: argparse.ArgumentParser) -> None:
    """Add the option for the state file of verbs that take what `genre classify` keeps.

    Parameters
    ----------
    parser : ArgumentParser
    """
    parser.add_argument(
        "--state", type=state_path, metavar="FILE", help="keep the analysis in this file, as `genre classify` does"
    )


def add_map(parser: argparse.ArgumentParser) -> None:
    """Add the option for the user's own names of labels.

    Parameters
    ----------
    parser : ArgumentParser
    """
    parser.add_argument(
        "--map", type=file_path, metavar="FILE", help="your own names: lines `label = name`, .toml or .csv"
    )


def goes_on(options: argparse.Namespace) -> str:
    """Return how an interrupted verb that analyses files goes on.

    Parameters
    ----------
    options : Namespace
        With `state`.
    """
    if options.state is None:
        return "with --state FILE, a run that is repeated goes on where it ended"
    return "run the same line again to go on: what was analysed is in the state file"


def library_options(options: argparse.Namespace) -> dict[str, Any]:
    """Return the options that `opened_library` takes, by its parameter names.

    Parameters
    ----------
    options : Namespace
        With model, device, excerpts and jobs; `state` is optional.
    """
    names = ("model", "head", "device", "excerpts", "jobs", "state")
    return {name: getattr(options, name) for name in names if hasattr(options, name)}


def given(options: argparse.Namespace, name: str) -> Any:
    """Return the value of an option that the command line has; None if it is from the configuration file.

    Parameters
    ----------
    options : Namespace
    name : str
    """
    value = getattr(options, name, None)
    configured = getattr(options, "configured", {})
    return None if name in configured and configured[name] is value else value


def known_state(options: argparse.Namespace) -> Path | None:
    """Return the state file of a verb that only reads it; None if a configured one does not exist yet.

    Parameters
    ----------
    options : Namespace
    """
    state: Path | None = options.state
    return state if given(options, "state") is not None or (state is not None and state.is_file()) else None


def path(text: str) -> str:
    """Return a name that is not empty, since pathlib takes an empty one for the working folder.

    Parameters
    ----------
    text : str
    """
    if not text:
        raise argparse.ArgumentTypeError("the name is empty")
    return text


def file_path(text: str) -> Path:
    """Return the path of a file.

    Parameters
    ----------
    text : str

    Raises
    ------
    argparse.ArgumentTypeError
        The name is empty or that of a folder.
    """
    named = Path(path(text))
    if os.path.isdir(named):  # noqa: PTH112  # pathlib raises where a folder may not be looked into
        raise argparse.ArgumentTypeError(f"{text!r} is a folder: name a file")
    return named


def state_path(text: str) -> Path:
    """Return the path of a state file, which need not exist.

    Parameters
    ----------
    text : str

    Raises
    ------
    argparse.ArgumentTypeError
        The name is empty or that of a folder, or its folder does not exist.
    """
    named = file_path(text)
    if not os.path.isdir(named.absolute().parent):  # noqa: PTH112
        raise argparse.ArgumentTypeError(f"folder {str(named.parent)!r} does not exist: create it, or name another one")
    return named


def quoted(path: PurePath | str) -> str:
    """Return a path quoted for the shell of this system.

    Parameters
    ----------
    path : PurePath or str
    """
    import shlex
    import subprocess

    return subprocess.list2cmdline([str(path)]) if sys.platform == "win32" else shlex.quote(str(path))


def excerpts(text: str) -> str | int:
    """Return `all` or a positive number.

    Parameters
    ----------
    text : str
    """
    return text if text == "all" else positive(text)


def positive(text: str) -> int:
    """Return a positive integer.

    Parameters
    ----------
    text : str

    Raises
    ------
    argparse.ArgumentTypeError
    """
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive integer")
    return int(text)


def share(text: str) -> float:
    """Return a fraction.

    Parameters
    ----------
    text : str
        0 to 1, or 0% to 100%.

    Raises
    ------
    argparse.ArgumentTypeError
    """
    try:
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a fraction between 0 and 1, or a percentage")
    return value
