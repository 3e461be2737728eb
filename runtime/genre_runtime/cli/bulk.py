"""`genre classify` into Parquet: manifests and URLs, on this machine or on a cluster."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Generator, Sequence
from contextlib import closing, suppress
from pathlib import Path
from threading import Event
from typing import Any

from genre_runtime.cli import arguments
from genre_runtime.cli.output import file_progress, is_same_file, name_unreadable
from genre_runtime.errors import InvalidInputError, UnfitOutputError, UsageError
from genre_runtime.library.bulk.manifest import file_system, is_manifest, is_url, read_manifest
from genre_runtime.library.bulk.parquet import ParquetOutput, result_row
from genre_runtime.library.bulk.ray_engine import classify_on_ray
from genre_runtime.library.loading import opened_classifier
from genre_runtime.library.results.write import printable
from genre_runtime.library.scan import is_parquet
from genre_runtime.terminal import silence_decoders

_NOT_HERE = {"top": "--top", "min_confidence": "--min-confidence", "state": "--state"}

_OTHER_FORMATS = ("jsonl", "json", "csv", "txt")


def run(options: argparse.Namespace) -> int:
    """Classify what the command names into Parquet.

    Parameters
    ----------
    options : Namespace
        What the parser read.

    Returns
    -------
    int
        Exit status.
    """
    _check_usage(options)
    sources, incomplete = _sources(options.paths)
    if not sources:
        raise InvalidInputError("no audio files found: the folder holds none or the list is empty")
    silence_decoders()
    rows = (_ray_rows if options.engine == "ray" else _own_rows)(sources, options)
    n_failed = 0
    with closing(ParquetOutput(str(options.output))) as output, closing(rows), file_progress(len(sources)) as bar:
        for row in rows:
            output.write(row)
            if row["error_code"]:
                n_failed += 1
                with bar.external_write_mode():
                    print(f"genre: {printable(row['path'])}: {row['error_message']}", file=sys.stderr)
            bar.update()
    failed = f", {n_failed} failed" if n_failed else ""
    print(f"{len(sources) - n_failed} classified{failed}", file=sys.stderr)
    return 1 if n_failed else incomplete


def _check_usage(options: argparse.Namespace) -> None:
    """Check the options before anything is read.

    Raises
    ------
    UsageError
    """
    if options.output is None:
        raise UsageError(
            "results of lists, of URLs and of --engine ray go to Parquet: name --output FILE.parquet, or a folder for "
            "many files"
        )
    name = str(options.output)
    unfit = [words for option, words in _NOT_HERE.items() if arguments.given(options, option) is not None]
    if unfit:
        raise UsageError(f"{' '.join(unfit)} cannot be combined with results in Parquet: leave it out")
    if Path(name).suffix.lower().removeprefix(".") in _OTHER_FORMATS:
        raise UnfitOutputError(
            f"results of lists, of URLs and of --engine ray go to Parquet, not to {name!r}: name FILE.parquet, or a "
            "folder for many files"
        )
    if arguments.given(options, "format") not in (None, "table"):
        raise UsageError("--format cannot be combined with results in Parquet: leave it out")
    if not is_url(name):
        _check_output(Path(name), options.paths)


def _check_output(output: Path, names: Sequence[str]) -> None:
    one_file = is_parquet(output.name)
    if one_file and not output.absolute().parent.is_dir():
        raise UnfitOutputError(
            f"folder {str(output.parent)!r} of the output does not exist: create it, or name another one"
        )
    if one_file and output.is_dir():
        raise UnfitOutputError(f"the output {str(output)!r} is a folder: name another file")
    if not one_file and output.exists() and not output.is_dir():
        raise UnfitOutputError(f"the output {str(output)!r} is a file: name FILE.parquet, or a folder for many files")
    if one_file and output.exists() and any(is_same_file(output, name) for name in names):
        raise UnfitOutputError(f"the output {str(output)!r} is also an input: name another file")


def _sources(names: Sequence[str]) -> tuple[list[str], int]:
    """Return absolute paths and URLs, and 1 if folders could not be read."""
    from genre_runtime.library.scan import Finder, named_paths

    finder, sources = Finder(), list[str]()
    for name in named_paths(names):
        if is_manifest(name):
            sources += read_manifest(name)
        elif is_url(name):
            sources.append(name)
        else:
            sources += (os.path.abspath(path) for path in finder.find([name]))  # noqa: PTH100  # links stay
    for url in {source.partition("://")[0]: source for source in sources if is_url(source)}.values():
        with suppress(InvalidInputError):  # an unknown kind is that entry's error, a missing package everybody's
            file_system(url)
    return sources, name_unreadable(finder)


def _own_rows(sources: Sequence[str], options: argparse.Namespace) -> Generator[dict[str, Any], None, None]:
    opened = opened_classifier(
        len(sources), model=options.model, head=options.head, device=options.device, jobs=options.jobs
    )
    with opened as (classifier, jobs):
        from genre_runtime.library.bulk.manifest import classify_source
        from genre_runtime.parallel import ordered_map

        def row(source: str, stop: Event) -> dict[str, Any]:
            return result_row(classify_source(classifier, source, excerpts=options.excerpts, stop=stop))

        yield from ordered_map(row, sources, jobs)


def _ray_rows(sources: Sequence[str], options: argparse.Namespace) -> Generator[dict[str, Any], None, None]:
    from genre_runtime.model.head import read_head
    from genre_runtime.model.installed import find_model

    model = find_model(options.model)
    head = None if options.head is None else read_head(options.head)
    return classify_on_ray(
        sources, model, device=options.device, excerpts=options.excerpts, jobs=options.jobs, head=head
    )
