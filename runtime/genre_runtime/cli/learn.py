"""`genre learn`: learn the user's own genres from examples."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING, Any

from genre_runtime.cli import arguments
from genre_runtime.cli.examples import add_example_options, analysed, found_examples
from genre_runtime.cli.output import step_progress
from genre_runtime.errors import UsageError
from genre_runtime.terminal import silence_decoders

if TYPE_CHECKING:
    from genre_runtime.library.learning.examples import GenreNames
    from genre_runtime.library.learning.heads import Lesson


DESCRIPTION = """
Learn your own genres from files that have them, so that other files can be sorted by them. The genres are read from the
files' tags, from a folder a genre (--folders), or from a list (--from). What the head is worth is measured first: every
file is answered by a head that has learnt nothing from the same artist. The files stay as they are.
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
