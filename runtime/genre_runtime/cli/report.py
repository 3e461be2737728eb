"""`genre report`: an HTML page about results of `genre classify`."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from genre_runtime.cli import arguments
from genre_runtime.cli.output import step_progress
from genre_runtime.errors import InvalidInputError, UnfitOutputError

N_ROWS = 10_000
"""Files in the table by default: four megabytes, which Chromium loads in three seconds of one core and sorts in 0.2."""

EXAMPLES = """examples:
  genre classify ~/Music --format jsonl > all.jsonl
  genre report all.jsonl                               report.html for any browser, offline
  genre report all.jsonl --state music.state           with a section on duplicates
  genre report all.jsonl --track song.mp3              with the genre timeline of this track
  genre classify ~/Music --format jsonl | genre report - --output music.html

A timeline is most useful after `genre classify --excerpts all`. An existing report is overwritten; any other file only
with --force.
"""


def add_parser(verbs: Any) -> None:
    """Add the verb to the command.

    Parameters
    ----------
    verbs : argparse subparsers
    """
    parser = verbs.add_parser(
        "report",
        help="make an HTML page of results",
        description="One HTML page of results: genres, styles, moods, duplicates, unsure and failed files",
        epilog=EXAMPLES,
        formatter_class=arguments.Formatter,
    )
    add = parser.add_argument
    add("results", type=arguments.path, metavar="RESULTS", help="from `genre classify --format jsonl`; - for stdin")
    add("--output", type=arguments.path, default="report.html", metavar="FILE", help="(default: %(default)s)")
    add(
        "--track",
        type=arguments.path,
        metavar="PATH",
        help="track of the timeline: a path or its end (default: the longest with more than three excerpts)",
    )
    add(
        "--rows",
        type=rows,
        default=N_ROWS,
        metavar="N|all",
        help="files in the table; all are counted (default: %(default)s)",
    )
    add("--state", type=arguments.state_path, metavar="FILE", help="state file of `genre classify`, to list duplicates")
    add("--model", metavar="FILE", help="the model of the state file, if it is another one")
    add("--jobs", type=arguments.positive, default=0, metavar="N", help="files in work at once (default: one per core)")
    add("--force", action="store_true", help="overwrite a file that is not a report")
    parser.set_defaults(run=run, kept=lambda _: "no page was written; run the same line again")


def rows(text: str) -> int | None:
    """Return a positive number, or None for `all`.

    Parameters
    ----------
    text : str
    """
    return None if text == "all" else arguments.positive(text)


def run(options: argparse.Namespace) -> int:
    """Write the report.

    Parameters
    ----------
    options : Namespace
        What the parser read.

    Returns
    -------
    int
        Exit status: 2 for wrong usage.
    """
    from datetime import datetime

    from genre_runtime.library.report.figures import compare, read_report
    from genre_runtime.library.report.page import MARK, page
    from genre_runtime.library.results.read import Results, skipped_words
    from genre_runtime.library.results.write import printable
    from genre_runtime.output_files import ForeignFileError, check_own, write_whole

    results, output = Results(options.results), Path(options.output)
    try:
        if not output.parent.is_dir():
            raise InvalidInputError(f"folder {str(output.parent)!r} does not exist: create it, or name another one")
        if options.results != "-" and os.path.realpath(output) == os.path.realpath(options.results):
            raise UnfitOutputError(f"{str(output)!r} is the file of results: name another file for the report")
        if options.state is not None and os.path.realpath(output) == os.path.realpath(options.state):
            raise UnfitOutputError(f"{str(output)!r} is the state file: name another file for the report")
        check_own(output, MARK, force=options.force)
        report = read_report(results, options.track)
        with step_progress() as show:
            show(f"comparing {len(report.music):,} tracks")
            remarks = compare(report, state=arguments.known_state(options), model=options.model, jobs=options.jobs)
    except (InvalidInputError, ForeignFileError) as error:
        print(f"genre: {error}", file=sys.stderr)
        return 2
    skipped = [*skipped_words(results), *remarks]
    for words in skipped:
        print(f"genre: {words}", file=sys.stderr)
    source = "stdin" if options.results == "-" else Path(options.results).name
    made = datetime.now().astimezone()
    write_whole(output, page(report, source=source, made=made, n_rows=options.rows, skipped=skipped))
    print(printable(output))
    return 0
