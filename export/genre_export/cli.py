"""Command `genre-export`: publish a checkpoint as ONNX graphs, and make other forms of what was published."""

from __future__ import annotations

import argparse
import logging
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

from genre_runtime.errors import GenreError
from genre_runtime.terminal import escaped, escaped_streams
from genre_training.cli import DEFAULT_CACHE


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status: 0 published, 1 refused, 2 wrong usage, 130 interrupted."""
    with escaped_streams(errors=False):  # progress bars on stderr steer the terminal on purpose
        return _main(arguments)


def _main(arguments: Sequence[str] | None) -> int:
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.variants and options.data is None:
        parser.error("--variants needs --data: the variants are measured on the clips that validation held out")
    # The exporter reports which optional packages it would also know; none of them concerns the user.
    logging.disable(logging.WARNING)
    warnings.filterwarnings("ignore", category=FutureWarning)
    try:
        if options.triton is not None:
            _triton(options)
        elif options.variants:
            _variants(options)
        else:
            _publish(options)
    except (GenreError, OSError) as error:  # OSError: a folder that cannot be written, a full disk
        print(f"genre-export: {escaped(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("genre-export: interrupted; nothing was published", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="genre-export", description="Publish a checkpoint as ONNX.")
    parser.add_argument("--checkpoint", type=Path, default=Path("models/best_model.pt"))
    parser.add_argument("--output", type=Path, default=Path("models"), help="folder of the published model")
    parser.add_argument("--data", type=Path, help="data folder whose audio part is scored through the graph")
    parser.add_argument("--cache", type=Path, default=DEFAULT_CACHE, help="folder for computed features (--variants)")
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument(
        "--variants",
        action="store_true",
        help="instead, measure float16 and int8 variants of the model in --output on --data and keep those that pay",
    )
    instead.add_argument(
        "--triton", type=Path, metavar="DIR", help="instead, write the model in --output as a Triton model repository"
    )
    return parser


def _publish(options: argparse.Namespace) -> None:
    from genre_export.parity import parity_table
    from genre_export.publish import publish, variants_in

    print(f"exporting {options.checkpoint} ...")
    before = variants_in(options.output)
    worst = publish(options.checkpoint, options.output, options.data)
    print(parity_table(worst))
    print(f"published to {options.output}")
    if before:
        print(f"removed {' and '.join(before)}, made of the model before: --variants --data DATA makes them anew")


def _variants(options: argparse.Namespace) -> None:
    from genre_export.quantize import publish_variants, table

    print(table(publish_variants(options.checkpoint, options.output, options.data, options.cache)))


def _triton(options: argparse.Namespace) -> None:
    from genre_export.triton import write_repository

    print(f"written to {write_repository(options.output, options.triton)}")
