"""`genre playlist`: one playlist per genre from results of `genre classify`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genre_runtime.cli import arguments
from genre_runtime.errors import InvalidInputError

if TYPE_CHECKING:
    from genre_runtime.library.playlists import Playlists
    from genre_runtime.library.results.read import Results


EXAMPLES = """examples:
  genre classify ~/Music --format jsonl > all.jsonl
  genre playlist all.jsonl --output ~/Playlists            rock.m3u8, jazz.m3u8, ... of confident answers
  genre playlist all.jsonl --output ~/Music --relative     paths that stay right when the folder moves
  genre playlist all.jsonl --output lists --unsure --min-confidence 40%
  genre playlist all.jsonl --output lists --map mine.txt   by your own names: lines such as  hiphop = Hip-Hop

Run it in the folder where the files were classified if their paths are relative. A name that is not UTF-8 is written as
a file: address; a name with a line break is reported and left out, since a playlist cannot hold it.
"""


def add_parser(verbs: Any) -> None:
    """Add the verb to the command.

    Parameters
    ----------
    verbs : argparse subparsers
    """
    parser = verbs.add_parser(
        "playlist",
        help="write one playlist per genre",
        description="Write an M3U8 playlist in UTF-8 for each genre, by default of confident answers only.",
        epilog=EXAMPLES,
        formatter_class=arguments.Formatter,
    )
    add = parser.add_argument
    add("results", type=arguments.path, metavar="RESULTS", help="from `genre classify --format jsonl`; - for stdin")
    add("--output", required=True, type=arguments.path, metavar="FOLDER", help="folder of the playlists")
    add("--unsure", action="store_true", help="include answers that are not confident")
    add("--min-confidence", type=arguments.share, default=0.0, metavar="X", help="least confidence, 0 to 1")
    add("--relative", action="store_true", help="paths relative to the playlist's folder (default: absolute)")
    add(
        "--map",
        type=arguments.file_path,
        metavar="FILE",
        help="your own names: lines `label = name`, .toml or .csv",
    )
    add("--force", action="store_true", help="overwrite files that are not playlists of this command")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Write the playlists.

    Parameters
    ----------
    options : Namespace
        What the parser read.

    Returns
    -------
    int
        Exit status: 1 if a path was left out or nothing written, 2 for wrong usage.
    """
    from genre_runtime.library.genre_names import GenreMap, read_map
    from genre_runtime.library.playlists import sort_into_playlists, write_playlists
    from genre_runtime.library.results.read import Results
    from genre_runtime.library.results.write import printable
    from genre_runtime.output_files import ForeignFileError

    results = Results(options.results)
    try:
        genre_map = GenreMap() if options.map is None else read_map(options.map)
        playlists = sort_into_playlists(
            results, genre_map, unsure=options.unsure, min_confidence=options.min_confidence
        )
        folder = Path(options.output)
        for path, n_files in write_playlists(playlists, folder, relative=options.relative, force=options.force):
            print(f"{printable(path)}: {n_files} file{'s' if n_files != 1 else ''}", flush=True)
    except (InvalidInputError, ForeignFileError) as error:
        print(f"genre: {error}", file=sys.stderr)
        return 2
    return _remarks(playlists, results)


def _remarks(playlists: Playlists, results: Results) -> int:
    from genre_runtime.library.results.read import skipped_words
    from genre_runtime.library.results.write import printable

    for words in skipped_words(results):
        print(f"genre: {words}", file=sys.stderr)
    for path in playlists.unwritable:
        print(
            f"genre: {printable(Path(path))}: left out, since a playlist cannot hold a path with a line break",
            file=sys.stderr,
        )
    left_out = f"{playlists.n_unsure} unsure and {playlists.n_failed} failed files left out"
    if not playlists.tracks:
        print(f"genre: nothing to write: {left_out}; --unsure includes unsure ones", file=sys.stderr)
        return 1
    if playlists.n_unsure or playlists.n_failed:
        print(left_out, file=sys.stderr)
    return 1 if playlists.unwritable else 0
