"""Command `genre`: classify files, show the model, play the demo.

Exit status: 0 every file was classified, 1 some were not, 2 wrong usage, 130 interrupted.
"""

from __future__ import annotations

import argparse
import io
import locale
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

from genre_runtime.errors import GenreError, InvalidInputError
from genre_runtime.version import __version__

EXAMPLES = """examples:
  genre classify song.mp3                      one file
  genre classify ~/Music > genres.txt          every audio file below a folder
  genre classify ~/Music --format csv          for a spreadsheet
  find . -name '*.mp3' | genre classify -      a list of paths, one a line, on stdin
  genre classify song.mp3 --excerpts all       listen to the whole track
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    options = _parser().parse_args(arguments)
    # A stream that the caller closed is None.
    sys.stdout = sys.stdout or io.StringIO()
    sys.stderr = sys.stderr or io.StringIO()
    for stream in (sys.stdout, sys.stderr):  # a terminal that lacks a character gets its number instead
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        status: int = options.run(options)
        sys.stdout.flush()
        return status
    except GenreError as error:
        print(f"genre: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # the reader of our output has gone: nothing left to do
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:  # a folder that cannot be written, a full disk
        print(f"genre: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("genre: interrupted; what was printed is complete", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="genre",
        description="Music genres of audio files, without torch.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"genre {__version__}")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="COMMAND")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--model", metavar="FILE", help="another .onnx model, its .json beside it")
    common.add_argument("--device", default="auto", help="auto, cpu, cuda, ... (default: %(default)s)")

    classify = verbs.add_parser(
        "classify",
        parents=[common],
        help="genres of files and folders",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    classify.add_argument("paths", nargs="+", type=_path, metavar="PATH", help="file, folder, or - for a list on stdin")
    classify.add_argument("--format", choices=("table", "jsonl", "json", "csv"), default="table")
    classify.add_argument(
        "--excerpts", type=_excerpts, metavar="N|all", help="ten-second excerpts a track (default: 3)"
    )
    classify.add_argument("--jobs", type=_positive, default=0, metavar="N", help="files in work at once")
    classify.set_defaults(run=_classify, shown=lambda path: path)

    demo = verbs.add_parser("demo", parents=[common], help="synthesise three pieces and classify them")
    demo.add_argument("--keep", metavar="FOLDER", type=Path, help="keep the pieces in this folder")
    demo.set_defaults(run=_demo)

    info = verbs.add_parser("info", parents=[common], help="the model and the devices")
    info.add_argument("--format", choices=("table", "json"), default="table")
    info.set_defaults(run=_info)
    return parser


def _path(text: str) -> str:
    if not text:  # pathlib takes it for the current folder; whoever passes an unset variable means nothing like it
        raise argparse.ArgumentTypeError("the name is empty")
    return text


def _excerpts(text: str) -> str | int:
    return text if text == "all" else _positive(text)


def _positive(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no positive whole number")
    return int(text)


def _classify(options: argparse.Namespace) -> int:
    from genre_runtime.files import expand

    paths = list(expand(_named_paths(options.paths)))
    if not paths:
        raise InvalidInputError("no audio files found: the folder holds none or the list is empty")
    return _run(paths, options)


def _named_paths(names: Sequence[str]) -> Iterator[str]:
    for name in names:
        if name == "-":
            text = _decode_list(sys.stdin.buffer.read() if sys.stdin else b"")
            yield from (line for line in text.replace("\r\n", "\n").split("\n") if line)
        else:
            yield name


def _decode_list(content: bytes) -> str:
    try:
        return os.fsdecode(content).removeprefix("\ufeff")
    except UnicodeDecodeError:  # Windows alone: elsewhere undecodable bytes survive
        return content.decode(locale.getencoding(), errors="replace")


def _run(paths: Sequence[Path], options: argparse.Namespace) -> int:
    from tqdm import tqdm

    from genre_runtime.classifier import FROM_MODEL, GenreClassifier
    from genre_runtime.formats import WRITERS, printable

    jobs = min(options.jobs or os.cpu_count() or 1, len(paths))
    # Many files: one thread each. One file: every core works on it.
    classifier = GenreClassifier.load(options.model, device=options.device, threads=1 if jobs > 1 else 0)
    excerpts = {None: FROM_MODEL, "all": None}.get(options.excerpts, options.excerpts)
    writer = WRITERS[options.format](sys.stdout)
    failed = 0
    results = classifier.classify_files(paths, excerpts=excerpts, jobs=jobs)
    quiet = len(paths) == 1 or not sys.stderr.isatty()
    # Closed even when interrupted, so that a JSON array is whole.
    with closing(writer), tqdm(total=len(paths), unit="file", disable=quiet, leave=False) as bar:
        for path, result in zip(paths, results, strict=True):
            with bar.external_write_mode():
                writer.write(options.shown(path), result)
                if isinstance(result, GenreError):
                    failed += 1
                    print(f"genre: {printable(path)}: {result}", file=sys.stderr)
            bar.update()
    if len(paths) > 1 and options.format == "table":
        print(f"{len(paths) - failed} of {len(paths)} files classified on {classifier.device}", file=sys.stderr)
    return 1 if failed else 0


def _demo(options: argparse.Namespace) -> int:
    import tempfile

    from genre_runtime.demo import write_demo

    options.jobs, options.excerpts, options.format = 0, None, "table"
    options.shown = lambda path: Path(path.name)  # the folder is gone before anybody could look into it
    if options.keep:
        options.keep.mkdir(parents=True, exist_ok=True)
        return _run(write_demo(options.keep), options)
    with tempfile.TemporaryDirectory() as folder:
        print("synthesising three pieces of 30 s ...", file=sys.stderr)
        return _run(write_demo(Path(folder)), options)


def _info(options: argparse.Namespace) -> int:
    import json

    from genre_runtime.classifier import GenreClassifier
    from genre_runtime.info import describe, describe_in_words

    facts = describe(GenreClassifier.load(options.model, device=options.device))
    print(json.dumps(facts, indent=2) if options.format == "json" else describe_in_words(facts))
    return 0
