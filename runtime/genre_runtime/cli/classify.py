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
from genre_runtime.cli.output import file_progress, name_failed, name_unreadable, opened_output, unfit_output
from genre_runtime.errors import GenreError, InvalidInputError, counted
from genre_runtime.library.loading import opened_library
from genre_runtime.terminal import silence_decoders

if TYPE_CHECKING:
    from genre_runtime.library.scan import Finder
    from genre_runtime.prediction import FileResult, Prediction


FORMATS = ("table", "jsonl", "json", "csv")

DESCRIPTION = """
Classify audio files by genre. Results appear in the order of the files, as soon as they are known. Folders are
searched for names of audio files; hidden files and other names are skipped and counted. A file that is named itself is
read whatever its name. Files with the same bytes are analysed once. A file that cannot be classified is named on
stderr, has an entry with the reason in jsonl, json and csv, and does not end the run. A question mark marks answers
that are not confident. Speech, noise, tones and silence have their name in the place of a genre.
"""

EXAMPLES = """examples:
  genre classify song.mp3                      one file
  genre classify ~/Music > genres.txt          every audio file below a folder
  genre classify ~/Music --format csv          for a spreadsheet
  genre classify 'albums/**/*.flac'            a pattern, if the shell does not expand **
  find . -name '*.mp3' | genre classify -      a list of paths, one a line, on stdin
  find . -name '*.mp3' -print0 | genre classify -
                                               the same for names with line breaks
  genre classify song.mp3 --excerpts all       analyse the whole track
  genre classify ~/Music --state music.state --output genres.jsonl --format jsonl
                                               can be interrupted and repeated: only new files are analysed
  genre classify tracks.csv --engine ray --output genres.parquet
                                               a list with a column `path`, of files or URLs, on a Ray cluster
"""


def add_parser(verbs: Any) -> None:
    """Add the verb to the command.

    Parameters
    ----------
    verbs : argparse subparsers
    """
    parser = verbs.add_parser(
        "classify",
        parents=[arguments.model_options(), arguments.analysis_options()],
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
        help="table for people, jsonl and json with every probability, tag and excerpt, csv (default: the suffix of "
        "--output, else table)",
    )
    parser.add_argument(
        "--output", type=arguments.path, metavar="FILE", help="write the results to this file instead of stdout"
    )
    parser.add_argument("--top", type=arguments.positive, metavar="K", help="list only the K best genres")
    parser.add_argument(
        "--min-confidence",
        type=arguments.share,
        metavar="X",
        help="threshold of confident answers, 0 to 1 or a percentage (default: the model's)",
    )
    parser.add_argument(
        "--state",
        type=arguments.state_path,
        metavar="FILE",
        help="keep the results in this file; unchanged files are not analysed again",
    )
    parser.add_argument(
        "--engine", choices=("local", "ray"), default="local", help="ray: on a Ray cluster, results in Parquet"
    )
    parser.set_defaults(run=run, kept=kept)


def run(options: argparse.Namespace) -> int:
    """Classify what the command names.

    Parameters
    ----------
    options : Namespace
        What the parser read.

    Returns
    -------
    int
        Exit status.
    """
    if is_bulk(options):
        from genre_runtime.cli import bulk

        return bulk.run(options)
    if options.format is None:
        ending = Path(options.output or "").suffix.lower().removeprefix(".")
        options.format = ending if ending in FORMATS else FORMATS[0]
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


def kept(options: argparse.Namespace) -> str:
    """Return what an interrupted run leaves.

    Parameters
    ----------
    options : Namespace
    """
    written = "the results written so far are complete"
    return written if is_bulk(options) else f"{written}; {arguments.goes_on(options)}"


def is_bulk(options: argparse.Namespace) -> bool:
    """Tell whether the command is about manifests, URLs, Parquet or Ray, without importing the code for them.

    Parameters
    ----------
    options : Namespace
        With paths, output and engine.
    """
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
    """Classify files and write the results as they become known.

    Parameters
    ----------
    paths : sequence of Path
    options : argparse.Namespace
        With model, device, excerpts, jobs, format; output, top, min_confidence and state are optional.
    shown : callable
        Maps a path to the path that is written.
    passed_over : Finder, optional
        Found the paths and counted the skipped files.

    Returns
    -------
    int
        Exit status.
    """
    from genre_runtime.library.results.write import opened_writer
    from genre_runtime.terminal import unescaped

    silence_decoders()
    counts: Counter[str] = Counter()
    with (
        file_progress(len(paths)) as bar,
        opened_library(paths, progress=bar.within, **arguments.library_options(options)) as (classifier, results),
        opened_output(getattr(options, "output", None)) as stream,  # last: this empties the results of an earlier run
        # Closed even when interrupted, so that a JSON array is whole.
        closing(opened_writer(options.format, unescaped(stream), classifier.labels)) as writer,
    ):
        for result in results:
            counts[_source(result)] += 1
            with bar.external_write_mode():
                outcome = result.outcome
                if isinstance(outcome, GenreError):
                    name_failed(result.path, outcome)
                else:
                    outcome = _as_asked(outcome, options)
                    counts.update(silent=outcome.is_silent, unsure=outcome.is_music and not outcome.confident)
                    counts.update(not_music=not (outcome.is_music or outcome.is_silent))
                    counts.update(partly_read=outcome.announced_seconds is not None)
                same_as = None if result.same_as is None else shown(result.same_as)
                writer.write(replace(result, path=shown(Path(result.path)), outcome=outcome, same_as=same_as))
            bar.update()
    if options.format == "table":
        asked = getattr(options, "min_confidence", None)
        _explain_marks(counts, classifier.metadata.confidence_threshold if asked is None else asked)
    is_shown = options.format == "table" or getattr(options, "output", None) or sys.stderr.isatty()
    is_partial = passed_over is not None and passed_over.n_others > 0
    if (len(paths) > 1 or is_partial) and (is_shown or counts["known"] or counts["equal"]):
        _summarise(counts, classifier.device, passed_over)
    return 1 if counts["failed"] else 0


def _source(result: FileResult) -> str:
    """Return where a result is from: each has one source, so that their numbers add up to that of the files."""
    if result.error is not None:
        return "failed"
    if result.same_as is not None:
        return "equal"
    return "known" if result.known else "analysed"


def _as_asked(prediction: Prediction, options: argparse.Namespace) -> Prediction:
    """Apply --min-confidence and --top."""
    least, top = getattr(options, "min_confidence", None), getattr(options, "top", None)
    if least is not None:
        reason = None if prediction.is_music else prediction.reason
        if prediction.is_music and prediction.confidence < least:
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


def _explain_marks(counts: Counter[str], threshold: float) -> None:
    """Say on stderr what the question marks of a table mean."""
    words = []
    if counts["unsure"]:
        words.append(f"{counted(counts['unsure'], 'file')} below the confidence threshold of {threshold:.0%}")
    if counts["silent"]:
        words.append(counted(counts["silent"], "silent file"))
    if counts["not_music"]:
        words.append(f"{counted(counts['not_music'], 'file')} without music")
    if words:
        print(f"? {', '.join(words)}", file=sys.stderr)


def _summarise(counts: Counter[str], device: str, passed_over: Finder | None) -> None:
    words = {"analysed": f"classified on {device}", "known": "known from the state file", "failed": "failed"}
    parts = [f"{counts[name]:,} {text}" for name, text in words.items() if counts[name]]
    if counts["equal"]:
        parts.insert(-1 if counts["failed"] else len(parts), counted(counts["equal"], "duplicate"))
    n_files = sum(counts[name] for name in (*words, "equal"))
    notes = [f"{counted(n_files, 'file')}: {', '.join(parts)}" if len(parts) > 1 else parts[0]]
    if counts["partly_read"]:
        notes.append(f"{counts['partly_read']:,} only partly readable")
    if passed_over is not None:
        skipped = [f"{passed_over.n_hidden:,} hidden"] if passed_over.n_hidden else []
        skipped += [f"{passed_over.n_others:,} with another suffix"] if passed_over.n_others else []
        skipped += [counted(passed_over.n_links, "link to a folder", "links to folders")] if passed_over.n_links else []
        notes += [f"skipped: {', '.join(skipped)}"] if skipped else []
    print("; ".join(notes), file=sys.stderr)
