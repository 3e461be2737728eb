"""`genre audit`: files whose genre the audio contradicts."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genre_runtime.cli import arguments
from genre_runtime.cli.learn import add_example_options, analysed, found_examples
from genre_runtime.cli.output import opened_output, step_progress, unfit_output
from genre_runtime.terminal import silence_decoders, unescaped

if TYPE_CHECKING:
    from genre_runtime.prediction import FileResult


DESCRIPTION = """
List files whose genre the audio contradicts, the most certain first. Each file is judged by what was learnt from the
genres of the other files, those by the same artist left out, and is shown with what it sounds like and the files that
sound most like it. Nothing is changed.
"""

EXAMPLES = """examples:
  genre audit ~/Music --state music.state             the files to look at first
  genre audit ~/Music --format jsonl --output doubtful.jsonl
  genre report doubtful.jsonl                         the same as a page
  genre tag --from doubtful.jsonl --overwrite song.mp3 --write
                                                      give this file the genre that it sounds like; can be undone
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
        for result in found.doubtful[: options.top]:
            out.write(json.dumps(result.to_dict()) + "\n" if form == "jsonl" else _lines(result))
    n = len(found.doubtful)
    print(f"{n} of {found.n_tracks:,} files {'is' if n == 1 else 'are'} doubtful", file=sys.stderr)
    return max(incomplete, int(n_failed > 0))


def _lines(result: FileResult) -> str:
    """Return a doubtful file and its neighbours as lines of a table."""
    from genre_runtime.library.results.write import printable

    prediction, doubt = result.prediction, result.doubt
    assert prediction is not None
    assert doubt is not None
    tag, answer = (f"{printable(text):<22}" for text in ("; ".join(doubt.genres), prediction.label))
    lines = [f"{tag}{doubt.confidence:>4.0%}  {answer}{prediction.confidence:>4.0%}  {printable(result.path)}"]
    for path, genres, similarity in doubt.neighbours:
        like = f"  like {similarity:.2f}"
        lines.append(f"{like:<28}{printable('; '.join(genres)):<28}{printable(path)}")
    return "\n".join(lines) + "\n"
