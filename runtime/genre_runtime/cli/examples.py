"""Files with genres, from which `genre learn` and `genre audit` learn: options, search and analysis."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from genre_runtime.cli import arguments
from genre_runtime.cli.output import file_progress, name_failed, name_unreadable
from genre_runtime.errors import GenreError, InvalidInputError, UsageError, counted
from genre_runtime.library.loading import opened_library

if TYPE_CHECKING:
    from genre_runtime.library.learning.examples import Example, GenreNames
    from genre_runtime.library.learning.heads import Collection
    from genre_runtime.model.metadata import ModelMetadata


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
            f"none of {counted(len(examples), 'file')} has a genre in its {where}: name music that has one, or use "
            "--folders or --from"
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
