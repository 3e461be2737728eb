"""`genre audit`: files whose genre the audio contradicts."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genre_runtime.cli import arguments
from genre_runtime.cli.examples import add_example_options, analysed, found_examples
from genre_runtime.cli.output import opened_output, step_progress, unfit_output
from genre_runtime.errors import counted
from genre_runtime.terminal import silence_decoders, unescaped

if TYPE_CHECKING:
    from genre_runtime.prediction import FileResult


DESCRIPTION = """
List files whose genre the audio contradicts, the most certain first. Each file is judged by what was learnt from the
genres of the other files, those by the same artist left out, and is shown with what it sounds like and the files that
sound most like it. Nothing is changed. --prefer says which of the two `genre tag --from` believes: the tag, so that a
file is changed only with --unsure, or the audio where its answer is confident. A question mark marks the others.
"""

EXAMPLES = """examples:
  genre audit ~/Music --state music.state             the files to look at first
  genre audit ~/Music --format jsonl --output doubtful.jsonl
  genre report doubtful.jsonl                         the same as a page
  genre tag --from doubtful.jsonl --overwrite --unsure song.mp3 --write
                                                      give this file the genre that it sounds like; can be undone
  genre audit ~/Music --prefer audio --output better.jsonl
  genre tag --from better.jsonl --overwrite           show what the audio would change; add --write to do it
"""


def add_parser(verbs: Any) -> None:
    """Add the verb to the command.

    Parameters
    ----------
    verbs : argparse subparsers
    """
    parser = verbs.add_parser(
        "audit",
        parents=[arguments.model_options(head=False), arguments.analysis_options()],
        help="list files whose genre the audio contradicts",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=arguments.Formatter,
    )
    add_example_options(parser)
    parser.add_argument("--top", type=arguments.positive, metavar="K", help="list only the K most certain")
    parser.add_argument(
        "--prefer",
        choices=("tag", "audio"),
        default="tag",
        help="which genre `genre tag --from` believes (default: %(default)s)",
    )
    parser.add_argument("--format", choices=("table", "jsonl"), help="(default: the suffix of --output, else table)")
    parser.add_argument("--output", type=arguments.path, metavar="FILE", help="write to this file instead of stdout")
    parser.set_defaults(run=run, kept=lambda options: f"the list is not complete; {arguments.goes_on(options)}")


def run(options: argparse.Namespace) -> int:
    """List the doubtful files.

    Parameters
    ----------
    options : Namespace
        What the parser read.

    Returns
    -------
    int
        Exit status: 1 if some files could not be analysed.
    """
    from genre_runtime.library.learning.audit import audit

    silence_decoders()
    form = options.format or ("jsonl" if Path(options.output or "").suffix.lower() == ".jsonl" else "table")
    examples, _, incomplete = found_examples(options)
    tagged = [one for one in examples if one.genres]
    why_not = unfit_output(options.output, options.state, [one.path for one in examples])
    if why_not is not None:
        print(f"genre: the output {options.output!r} {why_not}: name another file", file=sys.stderr)
        return 2
    collection, metadata, n_failed = analysed(tagged, options)
    with step_progress() as report:
        found = audit(collection, metadata, report=report)
    with opened_output(options.output) as stream:
        out = unescaped(stream)
        if form == "table" and found.doubtful:
            out.write(f"{'tag':<22}{'':>4}  {'sounds like':<22}{'':>4}  file\n")
        threshold = found.confidence_threshold if options.prefer == "audio" else None
        doubtful = [_preferring(result, threshold) for result in found.doubtful]
        for result in doubtful[: options.top]:
            marked = options.prefer == "audio"
            out.write(json.dumps(result.to_dict()) + "\n" if form == "jsonl" else _lines(result, marked=marked))
    n_confident = sum(result.prediction is not None and result.prediction.confident for result in doubtful)
    words = f"{len(doubtful):,} of {counted(found.n_tracks, 'file')} doubtful"
    if options.prefer == "audio" and doubtful:
        words += f", {n_confident:,} with a confident answer of the audio"
    print(words, file=sys.stderr)
    return max(incomplete, int(n_failed > 0))


def _preferring(result: FileResult, threshold: float | None) -> FileResult:
    """Return a doubtful file whose answer is confident from a threshold on, and never without one.

    Where more of the files that sound alike have the tag's genre than the answer's, the answer is not confident.
    """
    prediction, doubt = result.prediction, result.doubt
    assert prediction is not None
    assert doubt is not None
    own = "; ".join(doubt.genres)
    n_alike = sum(prediction.label in other.genres for other in doubt.neighbours)
    n_own = sum(not set(doubt.genres).isdisjoint(other.genres) for other in doubt.neighbours)
    if threshold is not None and prediction.confidence >= threshold and n_own <= n_alike:
        return result
    if threshold is None:
        reason = f"the file has {own}, which is preferred to the audio's {prediction.label}"
    elif prediction.confidence >= threshold:
        reason = f"{n_own} of the {len(doubt.neighbours)} files that sound most like it have {own}, too"
    elif threshold < 1:
        reason = f"{prediction.label} reaches {prediction.confidence:.0%}, confident answers start at {threshold:.0%}"
    else:
        reason = "no answer is confident: too few artists, or too many errors"
    return replace(result, outcome=replace(prediction, confident=False, reason=reason))


def _lines(result: FileResult, *, marked: bool) -> str:
    """Return a doubtful file and its neighbours as lines of a table, uncertain answers marked if asked for."""
    from genre_runtime.library.results.write import printable

    prediction, doubt = result.prediction, result.doubt
    assert prediction is not None
    assert doubt is not None
    tag, answer = (f"{printable(text):<22}" for text in ("; ".join(doubt.genres), prediction.label))
    mark = "?" if marked and not prediction.confident else " "
    lines = [f"{tag}{doubt.confidence:>4.0%}  {answer}{prediction.confidence:>4.0%}{mark} {printable(result.path)}"]
    for path, genres, similarity in doubt.neighbours:
        like = f"  like {similarity:.2f}"
        lines.append(f"{like:<28}{printable('; '.join(genres)):<28}{printable(path)}")
    return "\n".join(lines) + "\n"
