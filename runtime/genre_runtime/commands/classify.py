"""`genre classify`: genres of files and folders."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from genre_runtime.commands import arguments
from genre_runtime.errors import GenreError, InvalidInputError

EXAMPLES = """examples:
  genre classify song.mp3                      one file
  genre classify ~/Music > genres.txt          every audio file below a folder
  genre classify ~/Music --format csv          for a spreadsheet
  find . -name '*.mp3' | genre classify -      a list of paths, one a line, on stdin
  genre classify song.mp3 --excerpts all       listen to the whole track
"""


def add_parser(verbs: Any) -> None:
    """Add the verb to the command."""
    parser = verbs.add_parser(
        "classify",
        parents=[arguments.model_options(), arguments.listening_options()],
        help="genres of files and folders",
        epilog=EXAMPLES,
        formatter_class=arguments.Formatter,
    )
    parser.add_argument(
        "paths", nargs="+", type=arguments.path, metavar="PATH", help="file, folder, or - for a list on stdin"
    )
    parser.add_argument("--format", choices=("table", "jsonl", "json", "csv"), default="table")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Classify what the command names; return its exit status."""
    from genre_runtime.files import expand

    paths = list(expand(arguments.named_paths(options.paths)))
    if not paths:
        raise InvalidInputError("no audio files found: the folder holds none or the list is empty")
    return classify(paths, options)


def classify(paths: Sequence[Path], options: argparse.Namespace, shown: Callable[[Path], Path] = Path) -> int:
    """Classify files and write the results as they come; return the exit status.

    Parameters
    ----------
    paths : sequence of Path
    options : argparse.Namespace
        model, device, excerpts, jobs, format.
    shown : callable
        How a path is written.
    """
    from tqdm import tqdm

    from genre_runtime.classifier import FROM_MODEL, GenreClassifier
    from genre_runtime.formats import WRITERS, printable

    arguments.silence_decoders()
    jobs = min(options.jobs or os.cpu_count() or 1, len(paths))
    # Many files: one thread each. One file: every core works on it.
    classifier = GenreClassifier.load(options.model, device=options.device, threads=1 if jobs > 1 else 0)
    excerpts = {None: FROM_MODEL, "all": None}.get(options.excerpts, options.excerpts)
    writer = WRITERS[options.format](sys.stdout)
    failed = 0
    results = classifier.classify_files(paths, excerpts=excerpts, jobs=jobs)
    quiet = len(paths) == 1 or not sys.stderr.isatty()
    # Closed even when interrupted, so that a JSON array is whole.
    with closing(writer), tqdm(total=len(paths), unit="file", disable=quiet, leave=False) as bar:
        for path, result in zip(paths, results, strict=True):
            with bar.external_write_mode():
                writer.write(shown(path), result)
                if isinstance(result, GenreError):
                    failed += 1
                    print(f"genre: {printable(path)}: {result}", file=sys.stderr)
            bar.update()
    if len(paths) > 1 and options.format == "table":
        print(f"{len(paths) - failed} of {len(paths)} files classified on {classifier.device}", file=sys.stderr)
    return 1 if failed else 0
