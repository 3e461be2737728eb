"""`genre classify`: genres of files and folders."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genre_runtime.cli import arguments
from genre_runtime.cli.output import file_progress, name_unreadable, opened_output, unfit_output
from genre_runtime.errors import GenreError, InvalidInputError
from genre_runtime.library.loading import opened_library
from genre_runtime.terminal import silence_decoders

if TYPE_CHECKING:
    from genre_runtime.library.scan import Finder
    from genre_runtime.prediction import Prediction


FORMATS = ("table", "jsonl", "json", "csv")

DESCRIPTION = """
Tell the genres of audio files. Results come in the files' order, as soon as they are there. Folders are searched for
names of audio files; hidden files and other names are counted. A file named outright is tried whatever its name. Of
files with the same bytes, one is listened to. A file that cannot be classified is named on the error stream, has an
entry with the reason in jsonl, json and csv, and ends nothing. A question mark stands behind answers that are not
confident.
"""

EXAMPLES = """examples:
  genre classify song.mp3                      one file
  genre classify ~/Music > genres.txt          every audio file below a folder
  genre classify ~/Music --format csv          for a spreadsheet
  genre classify 'albums/**/*.flac'            a pattern, where the shell knows no **
  find . -name '*.mp3' | genre classify -      a list of paths, one a line, on stdin
  find . -name '*.mp3' -print0 | genre classify -
                                               names with line breaks, too
  genre classify song.mp3 --excerpts all       listen to the whole track
  genre classify ~/Music --state music.genre --output genres.jsonl --format jsonl
                                               interrupt it, run it again next month: only what is new is listened to
  genre classify tracks.csv --engine ray --output genres.parquet
                                               a list with a column `path`, of files or URLs, on a Ray cluster
"""


def add_parser(verbs: Any) -> None:
    """Add the verb to the command."""
    parser = verbs.add_parser(
        "classify",
        parents=[arguments.model_options(), arguments.listening_options()],
        help="genres of files and folders",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=arguments.Formatter,
    )
    parser.add_argument(
        "paths", nargs="+", type=arguments.path, metavar="PATH", help="file, folder, pattern, or - for a list on stdin"
    )
    parser.add_argument(
        "--format",
        choices=FORMATS,
        help="table for people, jsonl and json with every probability and excerpt, csv (default: what the "
        "output's name ends in, else table)",
    )
    parser.add_argument(
        "--output", type=arguments.path, metavar="FILE", help="write the results here instead of on stdout"
    )
    parser.add_argument("--top", type=arguments.positive, metavar="K", help="the K best genres only")
    parser.add_argument(
        "--min-confidence",
        type=arguments.share,
        metavar="X",
        help="probability from which on an answer is confident (default: the model's own threshold)",
    )
    parser.add_argument(
        "--state",
        type=arguments.state_path,
        metavar="FILE",
        help="remember answers here; files that have not changed are not heard again",
    )
    parser.add_argument(
        "--engine", choices=("local", "ray"), default="local", help="ray: on all cores of a cluster, results in Parquet"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Classify what the command names; return its exit status."""
    if options.format is None:
        ending = Path(options.output or "").suffix.lower().removeprefix(".")
        options.format = ending if ending in FORMATS else FORMATS[0]
    if is_bulk(options):
        from genre_runtime.cli import bulk

        return bulk.run(options)
    from genre_runtime.library.scan import Finder, named_paths

    finder = Finder()
    paths = list(finder.find(named_paths(options.paths)))
    incomplete = name_unreadable(finder)
    if not paths:
        raise InvalidInputError(f"no audio files found: {finder.nothing_found}")
    why_not = unfit_output(options.output, options.state, paths)
    if why_not is not None:
        print(f"genre: the output {options.output!r} {why_not}: name another file", file=sys.stderr)
        return 2
    return max(classify(paths, options, passed_over=finder), incomplete)


def is_bulk(options: argparse.Namespace) -> bool:
    """Tell a manifest, URLs and Parquet from files and folders, without the code that handles them."""
    from genre_runtime.library.scan import is_parquet

    manifests = (".csv", ".jsonl", ".parquet")
    named = any(name.lower().endswith(manifests) or "://" in name for name in options.paths)
    return options.engine == "ray" or named or is_parquet(str(options.output))


def classify(
    paths: Sequence[Path],
    options: argparse.Namespace,
    shown: Callable[[Path], Path] = Path,
    passed_over: Finder | None = None,
) -> int:
    """Classify files and write the results as they come; return the exit status.

    Parameters
    ----------
    paths : sequence of Path
    options : argparse.Namespace
        model, device, excerpts, jobs, format, and if there are any output, top, min_confidence, state.
    shown : callable
        How a path is written.
    passed_over : Finder, optional
        What found the paths, and counted the other files.
    """
    from genre_runtime.library.results.write import WRITERS, printable
    from genre_runtime.terminal import unescaped

    silence_decoders()
    counts: Counter[str] = Counter()
    unsure: str | None = None
    with (
        opened_library(paths, **arguments.library_options(options)) as (device, results),
        opened_output(getattr(options, "output", None)) as stream,  # last: this empties the results of an earlier run
        closing(
            WRITERS[options.format](unescaped(stream))
        ) as writer,  # even when interrupted, so that a JSON array is whole
        file_progress(len(paths)) as bar,
    ):
        for result in results:
            counts.update(failed=result.error is not None, known=result.known, equal=result.same_as is not None)
            with bar.external_write_mode():
                if isinstance(result.outcome, GenreError):
                    print(f"genre: {printable(result.path)}: {result.outcome}", file=sys.stderr)
                else:
                    prediction = _as_asked(result.outcome, options)
                    counts.update(unsure=not prediction.confident)
                    counts.update(partly_read=prediction.announced_seconds is not None)
                    unsure = unsure or prediction.reason
                    result = replace(result, outcome=prediction)
                same_as = None if result.same_as is None else shown(result.same_as)
                writer.write(replace(result, path=shown(Path(result.path)), same_as=same_as))
            bar.update()
    if unsure is not None and options.format == "table":
        several = f", {counts['unsure']} files; the first" if counts["unsure"] > 1 else ""
        print(f"? not sure{several}: {unsure}", file=sys.stderr)
    somebody_reads = options.format == "table" or getattr(options, "output", None) or sys.stderr.isatty()
    is_partial = passed_over is not None and passed_over.n_others > 0
    if (len(paths) > 1 or is_partial) and (somebody_reads or counts["known"]):
        _summarise(len(paths), counts, device, passed_over)
    return 1 if counts["failed"] else 0


def _as_asked(prediction: Prediction, options: argparse.Namespace) -> Prediction:
    """Apply --min-confidence and --top."""
    least, top = getattr(options, "min_confidence", None), getattr(options, "top", None)
    if least is not None:
        silent = all(excerpt.silent for excerpt in prediction.excerpts)
        reason = prediction.reason if silent else None
        if not silent and prediction.confidence < least:
            reason = f"the best genre reaches {prediction.confidence:.0%}, asked for were {least:.0%}"
        prediction = replace(prediction, confident=reason is None, reason=reason)
    if top is not None:
        best = dict(list(prediction.probabilities.items())[:top])
        excerpts = tuple(
            replace(excerpt, probabilities={label: excerpt.probabilities[label] for label in best})
            for excerpt in prediction.excerpts
        )
        prediction = replace(prediction, probabilities=best, excerpts=excerpts)
    return prediction


def _summarise(n_files: int, counts: Counter[str], device: str, passed_over: Finder | None) -> None:
    words = [f"{n_files - counts['failed']} of {n_files} files classified on {device}"]
    if counts["known"]:
        words.append(f"{counts['known']} of {n_files} known from before or equal to another file")
    if counts["equal"]:
        words.append(f"{counts['equal']} with the same bytes as another")
    if counts["partly_read"]:
        words.append(f"{counts['partly_read']} only partly readable")
    if passed_over is not None and (passed_over.n_hidden or passed_over.n_others):
        words.append(f"{passed_over.n_hidden} hidden and {passed_over.n_others} other files passed over")
    if passed_over is not None and passed_over.n_links:
        words.append(f"{passed_over.n_links} links to folders passed over")
    print(", ".join(words), file=sys.stderr)
