"""`genre learn`: learn the user's own genres from examples."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genre_runtime.cli import arguments
from genre_runtime.cli.output import file_progress, name_failed, name_unreadable, step_progress
from genre_runtime.errors import GenreError, InvalidInputError, UsageError
from genre_runtime.library.loading import opened_library
from genre_runtime.terminal import silence_decoders

if TYPE_CHECKING:
    from genre_runtime.library.learning.examples import Example, GenreNames
    from genre_runtime.library.learning.heads import Collection, Lesson
    from genre_runtime.model.metadata import ModelMetadata


DESCRIPTION = """
Learn your own genres from files that have them, so that other files can be sorted by them. The genres are read from the
files' tags, from a folder a genre (--folders), or from a list (--from). What the head is worth is measured first: every
file is answered by a head that has heard nothing by the same artist. Nothing is changed in the files.
"""

EXAMPLES = """examples:
  genre learn ~/Music --output mine.genre --state music.state
                                             from the genres in the tags; run again, it analyses only new files
  genre learn sorted --folders --output mine.genre
                                             from folders such as sorted/Dub, sorted/Ska, ...
  genre learn --from labels.csv --output mine.genre
                                             from a list with the columns path, genre and, if known, artist
  genre classify new --head mine.genre       use it; also: genre tag, genre-api, genre-gui --head mine.genre

One file may have several genres, joined by "; ". Genres whose names differ in case or signs only are one genre. Names
that may mean the same are listed in the form of a file for --map, which joins them; an empty name leaves a genre out.
"""


def add_parser(verbs: Any) -> None:
    """Add the verb to the command.

    Parameters
    ----------
    verbs : argparse subparsers
    """
    parser = verbs.add_parser(
        "learn",
        parents=[arguments.model_options(head=False), arguments.analysis_options()],
        help="learn your own genres from files that have them",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=arguments.Formatter,
    )
    add_example_options(parser)
    parser.add_argument("--output", required=True, type=arguments.file_path, metavar="FILE", help="the head to write")
    parser.add_argument(
        "--min-tracks",
        type=arguments.positive,
        default=3,
        metavar="N",
        help="genres with fewer files are left out (default: %(default)s)",
    )
    parser.add_argument(
        "--keep-labels",
        action="store_true",
        help="keep the model's own genres beside yours; files without a genre show what they sound like",
    )
    parser.add_argument("--force", action="store_true", help="overwrite a file that is not a head")
    parser.set_defaults(run=run, kept=lambda options: f"no head was written; {arguments.goes_on(options)}")


def add_example_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say where files and genres come from.

    Parameters
    ----------
    parser : ArgumentParser
    """
    parser.add_argument("paths", nargs="*", type=arguments.path, metavar="PATH", help="files and folders of examples")
    source = parser.add_mutually_exclusive_group()
    source.add_argument(
        "--folders", action="store_true", help="a file's genre is the name of the folder directly below PATH"
    )
    source.add_argument(
        "--from", dest="listed", type=arguments.file_path, metavar="CSV", help="a list: path, genre, artist"
    )
    parser.add_argument(
        "--map", type=arguments.file_path, metavar="FILE", help="other names for genres: lines `found = used`"
    )
    arguments.add_state(parser)


def run(options: argparse.Namespace) -> int:
    """Learn, judge and write a head.

    Parameters
    ----------
    options : Namespace
        What the parser read.

    Returns
    -------
    int
        Exit status: 1 if some files could not be analysed.
    """
    from genre_runtime.library.learning.heads import HEAD_MARK, learn_head
    from genre_runtime.output_files import check_own, write_whole

    silence_decoders()
    if not options.output.absolute().parent.is_dir():
        raise UsageError(f"folder {str(options.output.parent)!r} of the output does not exist: create it")
    if not os.access(options.output.absolute().parent, os.W_OK):  # rather now than after the learning
        raise UsageError(f"folder {str(options.output.parent)!r} of the output cannot be written: name another one")
    check_own(options.output, HEAD_MARK, force=options.force)
    examples, names, incomplete = found_examples(options)
    wanted = examples if options.keep_labels else [one for one in examples if one.genres]
    collection, metadata, n_failed = analysed(wanted, options)
    with step_progress() as report:
        lesson = learn_head(
            collection, metadata, fewest=options.min_tracks, keep_labels=options.keep_labels, report=report
        )
    print("\n".join(in_words(lesson, names)))
    write_whole(options.output, [lesson.head.to_json()])
    print(f"saved {arguments.quoted(options.output)}", file=sys.stderr)
    return max(incomplete, int(n_failed > 0))


def found_examples(options: argparse.Namespace) -> tuple[list[Example], GenreNames, int]:
    """Find the files and their genres.

    Parameters
    ----------
    options : Namespace
        With those of `add_example_options`.

    Returns
    -------
    list of Example
        With settled names.
    GenreNames
    int
        Exit status: 1 if folders could not be read or a file does not exist.

    Raises
    ------
    InvalidInputError
        There are no files, or none has a genre.
    """
    from genre_runtime.library.genre_names import GenreMap, read_map
    from genre_runtime.library.learning.examples import (
        examples_from_csv,
        examples_from_folders,
        examples_from_tags,
        renamed,
        settle_names,
    )
    from genre_runtime.library.scan import Finder, named_paths
    from genre_runtime.library.tags.base import import_mutagen

    if not options.paths and options.listed is None:
        raise UsageError("nothing to learn from: name files or folders, or a list with --from")
    if options.paths and options.listed is not None:
        raise UsageError("--from names the files: leave PATH out")
    import_mutagen()
    genre_map = GenreMap() if options.map is None else read_map(options.map)
    finder, incomplete = Finder(), 0
    if options.listed is not None:
        examples = examples_from_csv(options.listed, genre_map)
    else:
        paths = list(finder.find(named_paths(options.paths)))
        incomplete = _without_missing(paths)
        if not paths:
            raise InvalidInputError(f"no audio files found: {finder.nothing_found}")
        roots = [Path(name) for name in options.paths]
        found: Iterable[Example] = (
            examples_from_folders(paths, roots, genre_map) if options.folders else examples_from_tags(paths, genre_map)
        )
        examples = []
        with file_progress(len(paths), "reading tags") as bar:
            for example in found:
                examples.append(example)
                bar.update()
    if not any(example.genres for example in examples):
        where = "folders below PATH" if options.folders else "list" if options.listed else "tags"
        raise InvalidInputError(
            f"none of {len(examples)} files has a genre in its {where}: name music that has, or use --folders or --from"
        )
    names = settle_names(examples)
    return renamed(examples, names), names, max(incomplete, name_unreadable(finder))


def _without_missing(paths: list[Path]) -> int:
    """Remove paths that are not files, name them on stderr, and return 1 if there are any."""
    missing = dict.fromkeys(path for path in paths if not os.path.isfile(path))  # noqa: PTH113  # False where pathlib would raise
    for path in missing:
        found = "not a file" if os.path.lexists(path) else "no such file"
        words = "a link to a file that does not exist" if path.is_symlink() else f"{found}: expected an audio file"
        name_failed(path, words)
    paths[:] = [path for path in paths if path not in missing]
    return int(bool(missing))


def analysed(examples: Sequence[Example], options: argparse.Namespace) -> tuple[Collection, ModelMetadata, int]:
    """Take the embeddings of files from the state file, or analyse them.

    Parameters
    ----------
    examples : sequence of Example
    options : Namespace
        With model, device, excerpts, jobs and state.

    Returns
    -------
    Collection
        Without files that failed or are silent; of files with the same bytes only the first.
    ModelMetadata
    int
        Number of files that failed.
    """
    from genre_runtime.library.learning.heads import Collection

    collection, n_failed, paths = Collection(), 0, [one.path for one in examples]
    with (
        file_progress(len(paths)) as bar,
        opened_library(paths, progress=bar.within, **arguments.library_options(options)) as (classifier, results),
    ):
        for example, result in zip(examples, results, strict=True):
            if isinstance(result.outcome, GenreError):
                n_failed += 1
                with bar.external_write_mode():
                    name_failed(result.path, result.outcome)
            elif result.same_as is None:
                collection.add(example, result.outcome)
            bar.update()
    return collection, classifier.model_metadata, n_failed


def in_words(lesson: Lesson, names: GenreNames) -> list[str]:
    """Return what was learnt as lines of text.

    Parameters
    ----------
    lesson : Lesson
    names : GenreNames
    """
    from genre_runtime.library.learning.words import GenreRow, facts_of, genre_rows, title
    from genre_runtime.library.results.write import printable

    lines = [title(lesson), ""]
    for genre, tracks, recall, precision in [GenreRow("genre", "tracks", "recall", "precision"), *genre_rows(lesson)]:
        lines.append(f"{printable(genre):<28}{tracks:>7}{recall:>8}{precision:>11}")
    lines.append("")
    for caption, text in facts_of(lesson, names):
        for i, line in enumerate(text.split("\n")):
            lines.append(f"{caption if not i else '':<16}{printable(line)}")
    if lesson.head.confidence_threshold >= 1:
        lines.append(f"{'':<16}(see --unsure, --min-confidence)")
    if names.proposals:
        lines.append("may mean the same; lines for a file that --map reads:")
        lines += [f"  {printable(rare)} = {printable(common)}" for rare, common in names.proposals]
    return lines
