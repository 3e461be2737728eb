"""`genre similar`: tracks that sound like a given one."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

from genre_runtime.cli import arguments
from genre_runtime.cli.output import file_progress, is_same_file, name_unreadable
from genre_runtime.errors import GenreError, InvalidInputError
from genre_runtime.library.loading import opened_library
from genre_runtime.terminal import silence_decoders

if TYPE_CHECKING:
    from genre_runtime.audio.excerpts import FloatArray
    from genre_runtime.prediction import Prediction


EXAMPLES = """examples:
  genre similar song.mp3 --in ~/Music                          the ten most similar tracks
  genre similar song.mp3 --in ~/Music --state music.state      fast the second time
"""


def add_parser(verbs: Any) -> None:
    """Add the verb to the command.

    Parameters
    ----------
    verbs : argparse subparsers
    """
    parser = verbs.add_parser(
        "similar",
        parents=[arguments.model_options(), arguments.analysis_options()],
        help="find tracks that sound like a given one",
        description="Rank the tracks of folders by how similar they sound to one track: 1 is the same, 0 unrelated.",
        epilog=EXAMPLES,
        formatter_class=arguments.Formatter,
    )
    parser.add_argument("track", type=arguments.path, metavar="TRACK", help="the track to compare with")
    parser.add_argument(
        "--in", dest="folders", nargs="+", required=True, type=arguments.path, metavar="PATH", help="folders and files"
    )
    parser.add_argument(
        "--top", type=arguments.positive, default=10, metavar="K", help="how many (default: %(default)s)"
    )
    parser.add_argument("--format", choices=("table", "jsonl"), default="table")
    parser.add_argument(
        "--state",
        type=arguments.state_path,
        metavar="FILE",
        help="keep the results in this file, as `genre classify` does",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Rank the tracks.

    Parameters
    ----------
    options : Namespace
        What the parser read.

    Returns
    -------
    int
        Exit status: 1 if some files or folders could not be judged.
    """
    from genre_runtime.library.results.write import printable
    from genre_runtime.library.scan import Finder
    from genre_runtime.library.similarity import EmbeddingIndex

    silence_decoders()
    track = Path(options.track)
    finder = Finder()
    paths = [path for path in finder.find(options.folders) if not is_same_file(path, track)]
    incomplete = name_unreadable(finder)
    if not paths:
        raise InvalidInputError("no other audio files found to compare with")
    found: list[tuple[Path, Prediction]] = []
    embeddings: list[FloatArray] = []
    failed = 0
    with (
        opened_library([track, *paths], **arguments.library_options(options)) as (_, results),
        file_progress(len(paths) + 1) as bar,
    ):
        for result in results:
            bar.update()
            if isinstance(result.outcome, GenreError):
                if not found:  # the track itself comes first
                    print(f"genre: {printable(track)}: {result.outcome}", file=sys.stderr)
                    return 1
                failed += 1
                print(f"genre: {printable(result.path)}: {result.outcome}", file=sys.stderr)
            elif not _comparable(result.outcome.embedding, embeddings):
                words = "the state file holds no usable embedding of it: remove the state file, or name another one"
                print(f"genre: {printable(result.path)}: {words}", file=sys.stderr)
                if not found:
                    return 1
                failed += 1
            else:
                found.append((Path(result.path), result.outcome))
                embeddings.append(result.outcome.embedding)
    index = EmbeddingIndex.of(prediction for _, prediction in found)
    for i, similarity in index.nearest(0, options.top):
        _print(found[i], similarity, options.format)
    return 1 if failed else incomplete


def _comparable(embedding: FloatArray | None, others: Sequence[FloatArray]) -> TypeGuard[FloatArray]:
    """Tell whether an embedding is there and, since damaged answers may be known, of the same size as the first."""
    return embedding is not None and (not others or embedding.shape == others[0].shape)


def _print(track: tuple[Path, Prediction], similarity: float, form: str) -> None:
    from genre_runtime.library.results.write import printable

    path, prediction = track
    if form == "jsonl":
        values = {"path": str(path), "similarity": round(similarity, 6), "label": prediction.label}
        print(json.dumps({**values, "confident": prediction.confident}))
    else:
        print(f"{similarity:6.3f}  {prediction.label:<14} {printable(path)}")
