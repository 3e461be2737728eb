"""`genre similar`: tracks that sound like a given one, and files with the same recording."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genre_runtime.cli import arguments
from genre_runtime.cli.output import file_progress, is_same_file, name_failed, name_unreadable
from genre_runtime.errors import GenreError, InvalidInputError, UsageError
from genre_runtime.library.loading import opened_library
from genre_runtime.terminal import silence_decoders

if TYPE_CHECKING:
    from genre_runtime.classifier import GenreClassifier
    from genre_runtime.library.duplicates import Duplicate
    from genre_runtime.prediction import FileResult, Prediction


DESCRIPTION = """
Rank the tracks of folders by how similar they sound to one track: 1 is the same, 0 unrelated. With --duplicates, list
groups of files with the same recording, whatever their codec and bit rate: similarity to the first file of the group,
correlation of the spectrograms, length, size and path. No file is changed.
"""

EXAMPLES = """examples:
  genre similar song.mp3 --in ~/Music                          the ten most similar tracks
  genre similar song.mp3 --in ~/Music --state music.state      fast the second time
  genre similar --duplicates --in ~/Music --state music.state  the same recordings in other codecs or bit rates
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
        help="find tracks that sound like a given one, or duplicates",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=arguments.Formatter,
    )
    parser.add_argument("track", nargs="?", type=arguments.path, metavar="TRACK", help="the track to compare with")
    parser.add_argument("--duplicates", action="store_true", help="list files with the same recording, without TRACK")
    parser.add_argument(
        "--in", dest="folders", nargs="+", required=True, type=arguments.path, metavar="PATH", help="folders and files"
    )
    parser.add_argument(
        "--top", type=arguments.positive, default=10, metavar="K", help="how many (default: %(default)s)"
    )
    parser.add_argument("--format", choices=("table", "jsonl"), default="table")
    arguments.add_state(parser)
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
    from genre_runtime.library.scan import Finder

    silence_decoders()
    if options.duplicates == (options.track is not None):
        found = "--duplicates compares all files with each other: leave TRACK out" if options.duplicates else ""
        raise UsageError(found or "nothing to compare with: name a TRACK before --in, or add --duplicates")
    finder = Finder()
    paths = list(finder.find(options.folders))
    incomplete = name_unreadable(finder)
    show = _show_duplicates if options.duplicates else _show_nearest
    return max(show(paths, options), incomplete)


def _show_nearest(paths: Sequence[Path], options: argparse.Namespace) -> int:
    """Rank the files by how similar they sound to the track."""
    from genre_runtime.library.similarity import EmbeddingIndex

    track = Path(options.track)
    others = [path for path in paths if not is_same_file(path, track)]
    if not others:
        raise InvalidInputError("no other audio files found to compare with")
    found: list[tuple[Path, Prediction]] = []
    failed = 0
    with _analysed([track, *others], options) as (_, results):
        for result in results:
            if result.prediction is not None:
                found.append((Path(result.path), result.prediction))
            elif not found:  # the track itself comes first
                return 1
            else:
                failed += 1
    index = EmbeddingIndex.of(prediction for _, prediction in found)
    for i, similarity in index.nearest(0, options.top):
        _print(found[i], similarity, options.format)
    return 1 if failed else 0


def _show_duplicates(paths: Sequence[Path], options: argparse.Namespace) -> int:
    """List the groups of files with the same recording."""
    from genre_runtime.library.duplicates import Track, find_duplicates

    if not paths:
        raise InvalidInputError("no audio files found")
    tracks: list[Track] = []
    failed = 0

    def count_failed(path: Path, error: GenreError) -> None:
        nonlocal failed
        failed += 1
        name_failed(path, error)

    with _analysed(paths, options) as (classifier, results):
        for result in results:
            prediction = result.prediction
            if prediction is None or prediction.embedding is None:
                failed += 1
            else:
                seconds, embedding = prediction.duration_seconds, prediction.embedding
                tracks.append(Track(Path(result.path), seconds, embedding, result.same_as))
        groups = find_duplicates(tracks, classifier, jobs=options.jobs, failed=count_failed)
    for number, group in enumerate(groups, start=1):
        if number > 1 and options.format == "table":
            print()
        for one in group:
            _print_duplicate(one, number, options.format)
    words = "1 group" if len(groups) == 1 else f"{len(groups):,} groups"
    print(f"{sum(map(len, groups)):,} of {len(paths):,} files are in {words} of duplicates", file=sys.stderr)
    return 1 if failed else 0


@contextmanager
def _analysed(
    paths: Sequence[Path], options: argparse.Namespace
) -> Iterator[tuple[GenreClassifier, Iterator[FileResult]]]:
    """Analyse files; those without a usable embedding are named on stderr and are errors."""
    from genre_runtime.library.similarity import with_embedding

    with (
        opened_library(paths, **arguments.library_options(options)) as (classifier, found),
        file_progress(len(paths)) as bar,
    ):

        def results() -> Iterator[FileResult]:
            n_features = None
            for one in found:
                result = with_embedding(one, n_features)
                bar.update()
                if isinstance(result.outcome, GenreError):
                    with bar.external_write_mode():
                        name_failed(result.path, result.outcome)
                elif result.outcome.embedding is not None:
                    n_features = result.outcome.embedding.size
                yield result

        yield classifier, results()


def _print(track: tuple[Path, Prediction], similarity: float, form: str) -> None:
    from genre_runtime.library.results.write import printable

    path, prediction = track
    if form == "jsonl":
        values = {"path": str(path), "similarity": round(similarity, 6), "label": prediction.label}
        print(json.dumps({**values, "confident": prediction.confident}))
    else:
        print(f"{similarity:6.3f}  {prediction.label:<14} {printable(path)}")


def _print_duplicate(one: Duplicate, group: int, form: str) -> None:
    from genre_runtime.library.results.write import printable

    path, seconds = one.track.path, one.track.duration_seconds
    size = path.stat().st_size
    if form == "jsonl":
        values = {"group": group, "path": str(path), "similarity": round(one.similarity, 6)}
        values |= {"confirmed": round(one.correlation, 6), "duration_seconds": round(seconds, 3), "size_bytes": size}
        print(json.dumps(values))
    else:
        length = f"{seconds // 60:.0f}:{seconds % 60:04.1f}"
        print(f"{one.similarity:.3f} {one.correlation:.3f} {length:>8} {size / 1e6:>7.1f} MB  {printable(path)}")
