"""`genre completion`: scripts for shell completion."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

from genre_runtime.cli import arguments
from genre_runtime.errors import MissingDependencyError

SHELLS = ("bash", "zsh", "tcsh")

FILE_WORDS = frozenset(("PATH", "FILE", "FOLDER", "TRACK", "RESULTS", "JOURNAL"))
"""Metavars of files and folders."""

EXAMPLES = """examples:
  genre completion bash > ~/.local/share/bash-completion/completions/genre
  genre completion zsh > "${fpath[1]}/_genre"
"""


def add_parser(verbs: Any) -> None:
    """Add the verb to the command.

    Parameters
    ----------
    verbs : argparse subparsers
    """
    parser = verbs.add_parser(
        "completion",
        help="print a script for shell completion",
        description="Print a completion script; save it where the shell looks for them.",
        epilog=EXAMPLES,
        formatter_class=arguments.Formatter,
    )
    parser.add_argument("shell", choices=SHELLS)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the script.

    Parameters
    ----------
    options : Namespace
        What the parser read.

    Returns
    -------
    int
        Exit status.

    Raises
    ------
    MissingDependencyError
    """
    try:
        import shtab
    except ImportError as error:
        raise MissingDependencyError("shtab is not installed: install genre-runtime[library]") from error
    from genre_runtime.cli import command_parser

    parser = command_parser()
    for action in _actions(parser):
        if action.metavar in FILE_WORDS:
            action.complete = shtab.FILE  # type: ignore[attr-defined]  # where shtab looks for it
    print(shtab.complete(parser, options.shell))
    return 0


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    for action in parser._actions:  # argparse has no public way to its own contents
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for verb in action.choices.values():
                yield from _actions(verb)
