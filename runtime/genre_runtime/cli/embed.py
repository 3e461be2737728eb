"""`genre embed`: the embeddings of files, for other programs."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from genre_runtime.cli import arguments
from genre_runtime.cli.output import file_progress, name_failed, name_unreadable, opened_output, unfit_output
from genre_runtime.errors import InvalidInputError, UsageError
from genre_runtime.library.loading import opened_library
from genre_runtime.terminal import silence_decoders, unescaped

if TYPE_CHECKING:
    from genre_runtime.prediction import FileResult

    Write = Callable[[FileResult], None]

FORMATS = ("npz", "parquet", "jsonl")

ROWS_A_GROUP = 4_096
"""Rows of a Parquet file held in memory before they are written."""

NOTHING = "no file has an embedding: nothing was written"

DESCRIPTION = """
Write the embedding of each file, the input of the network's last layer: a vector that has a similar direction for
similar music. It is the mean over the excerpts that are not silent. Only embeddings of the same model can be compared,
so the SHA-256 of the model is written with them. Files that fail are named on stderr and left out.
"""

EXAMPLES = """examples:
  genre embed ~/Music --state music.state --output music.npz
                                     arrays paths, embeddings (files, features), durations, model_sha256
  genre embed ~/Music --output music.parquet
                                     columns path, embedding, duration_seconds, model_sha256
  genre embed song.mp3               a JSON object a line; failed files have an entry with the reason
"""


def add_parser(verbs: Any) -> None:
    """Add the verb to the command.

    Parameters
    ----------
    verbs : argparse subparsers
    """
    parser = verbs.add_parser(
        "embed",
        parents=[arguments.model_options(head=False), arguments.analysis_options()],
        help="write the embeddings of files",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=arguments.Formatter,
    )
    parser.add_argument(
        "paths", nargs="+", type=arguments.path, metavar="PATH", help="file, folder, pattern, or - for a list on stdin"
    )
    parser.add_argument("--format", choices=FORMATS, help="(default: the suffix of --output, else jsonl)")
    parser.add_argument(
        "--output", type=arguments.path, metavar="FILE", help="write to this file instead of stdout (only jsonl)"
    )
    arguments.add_state(parser)
    parser.set_defaults(run=run, kept=kept)


def run(options: argparse.Namespace) -> int:
    """Write the embeddings.

    Parameters
    ----------
    options : Namespace
        What the parser read.

    Returns
    -------
    int
        Exit status: 1 if some files or folders could not be read.
    """
    from genre_runtime.library.bulk.manifest import import_extra
    from genre_runtime.library.scan import Finder, named_paths
    from genre_runtime.library.similarity import with_embedding

    form = _form(options)
    if options.output is None and form != "jsonl":
        raise UsageError(f"the format {form} needs a file: name one with --output, or use --format jsonl")
    if form == "parquet":
        import_extra("pyarrow")  # what is missing should be known before the work begins
    silence_decoders()
    finder = Finder()
    paths = list(finder.find(named_paths(options.paths)))
    incomplete = name_unreadable(finder)
    if not paths:
        raise InvalidInputError(f"no audio files found: {finder.nothing_found}")
    why_not = unfit_output(options.output, options.state, paths)
    if why_not is not None:
        raise UsageError(f"the output {options.output!r} {why_not}: name another file")
    failed, n_features = 0, None
    with (
        file_progress(len(paths)) as bar,
        opened_library(paths, progress=bar.within, **arguments.library_options(options)) as (classifier, results),
        WRITERS[form](options.output, classifier.model_metadata.graphs["waveform"].sha256) as write,
    ):
        for found in results:
            result = with_embedding(found, n_features)
            with bar.external_write_mode():
                if result.prediction is None:
                    failed += 1
                    name_failed(result.path, result.error)
                elif result.prediction.embedding is not None:
                    n_features = result.prediction.embedding.size
                write(result)
            bar.update()
    return 1 if failed else incomplete


def kept(options: argparse.Namespace) -> str:
    """Return what an interrupted run leaves.

    Parameters
    ----------
    options : Namespace
    """
    written = "the lines written so far are complete" if _form(options) == "jsonl" else "no file was written"
    return f"{written}; {arguments.goes_on(options)}"


def _form(options: argparse.Namespace) -> str:
    ending = Path(options.output or "").suffix.lower().removeprefix(".")
    return str(options.format or (ending if ending in FORMATS else "jsonl"))


@contextmanager
def _json_lines(name: str | None, sha256: str) -> Iterator[Write]:
    """Write a line a file, whole even if the run is killed."""
    with opened_output(name) as opened:
        stream = unescaped(opened)

        def write(result: FileResult) -> None:
            values = result.to_dict()
            row = _row(result)
            if row is not None:
                # As text, a float32 has the fewest digits that tell it from others.
                values = row | {"embedding": [float(str(value)) for value in row["embedding"]]}
            stream.write(json.dumps({**values, "model_sha256": sha256}) + "\n")
            stream.flush()

        yield write


@contextmanager
def _npz(name: str, sha256: str) -> Iterator[Write]:
    """Write all arrays at the end; nothing after an error or without rows."""
    from genre_runtime.output_files import replacing

    rows: list[dict[str, Any]] = []

    def write(result: FileResult) -> None:
        row = _row(result)
        if row is not None:
            rows.append(row)

    yield write
    if not rows:
        raise InvalidInputError(NOTHING)
    with replacing(Path(name)) as temporary, open(temporary, "xb") as file:
        np.savez(
            file,
            paths=np.array([row["path"] for row in rows]),
            embeddings=np.array([row["embedding"] for row in rows], np.float32),
            durations=np.array([row["duration_seconds"] for row in rows], np.float64),
            model_sha256=np.array(sha256),
        )


@contextmanager
def _parquet(name: str, sha256: str) -> Iterator[Write]:
    """Write groups of rows to a temporary file, which gets its name at the end; nothing after an error."""
    from genre_runtime.library.bulk.manifest import import_extra
    from genre_runtime.output_files import replacing

    pyarrow = import_extra("pyarrow")
    text = pyarrow.string()
    columns = {"path": text, "embedding": pyarrow.list_(pyarrow.float32())}
    columns |= {"duration_seconds": pyarrow.float64(), "model_sha256": text}
    schema = pyarrow.schema(columns, metadata={"model_sha256": sha256})
    rows: list[dict[str, Any]] = []
    n_groups = 0
    with replacing(Path(name)) as temporary, import_extra("pyarrow.parquet").ParquetWriter(temporary, schema) as file:

        def write(result: FileResult) -> None:
            row = _row(result)
            if row is not None:
                path = row["path"].encode(errors="backslashreplace").decode()  # a column holds text
                rows.append(row | {"path": path, "model_sha256": sha256})
            if len(rows) >= ROWS_A_GROUP:
                write_group()

        def write_group() -> None:
            file.write_table(pyarrow.Table.from_pylist(rows, schema))
            rows.clear()
            nonlocal n_groups
            n_groups += 1

        yield write
        if rows:
            write_group()
        if not n_groups:
            raise InvalidInputError(NOTHING)


WRITERS: dict[str, Callable[..., AbstractContextManager[Write]]] = {
    "npz": _npz,
    "parquet": _parquet,
    "jsonl": _json_lines,
}


def _row(result: FileResult) -> dict[str, Any] | None:
    """Return path, embedding and duration; None for a failed file."""
    prediction = result.prediction
    if prediction is None or prediction.embedding is None:
        return None
    embedding = prediction.embedding.astype(np.float32, copy=False)
    seconds = round(prediction.duration_seconds, 3)
    return {"path": str(result.path), "embedding": embedding, "duration_seconds": seconds}
