"""`genre demo`: three synthesised pieces, classified."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from genre_runtime.commands import arguments
from genre_runtime.commands.classify import classify
from genre_runtime.errors import UnfitOutputError


def add_parser(verbs: Any) -> None:
    """Add the verb to the command."""
    parser = verbs.add_parser(
        "demo",
        parents=[arguments.model_options()],
        help="synthesise three pieces and classify them",
        description="Synthesise three short pieces and classify them: does it work here? No music is needed.",
    )
    parser.add_argument("--keep", metavar="FOLDER", type=arguments.path, help="keep the pieces in this folder")
    parser.set_defaults(run=run, jobs=0, excerpts=None, format="table")


def run(options: argparse.Namespace) -> int:
    """Write the pieces and classify them; return the exit status."""
    import tempfile

    from genre_runtime.demo import write_demo

    def shown(path: Path) -> Path:
        return Path(path.name)  # the folder is gone before anybody could look into it

    if options.keep:
        folder = Path(options.keep)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            raise UnfitOutputError(f"{str(folder)!r} is, or lies in, a file: name a folder for the pieces") from error
        return classify(write_demo(folder), options, shown)
    with tempfile.TemporaryDirectory() as temporary:
        print("synthesising three pieces of 30 s ...", file=sys.stderr)
        return classify(write_demo(Path(temporary)), options, shown)
