"""Command `genre-export`: publishes a checkpoint as ONNX graphs, their variants and a Triton repository."""

from __future__ import annotations

import argparse
import logging
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

from genre_runtime import GenreError, escaped, escaped_streams, import_onnxruntime
from genre_training.cli import DEFAULT_CACHE


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Parameters
    ----------
    arguments : sequence of str, optional
        By default those of the process.

    Returns
    -------
    int
        Exit status: 0 published, 1 refused, 2 wrong usage, 130 interrupted.
    """
    with escaped_streams(errors=False):  # progress bars on stderr need control characters
        return _main(arguments)


def _main(arguments: Sequence[str] | None) -> int:
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.variants and options.data is None:
        parser.error("--variants needs --data: variants are measured on the validation clips")
    # The exporter of torch names optional packages that it could use; users do not need them.
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
    parser.add_argument("--checkpoint", type=Path, default=Path("models/best_model.pt"), help="trained model")
    parser.add_argument("--output", type=Path, default=Path("models"), help="folder of the published model")
    parser.add_argument("--data", type=Path, help="data folder whose audio files are classified with the graph")
    parser.add_argument("--cache", type=Path, default=DEFAULT_CACHE, help="folder for computed features (--variants)")
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument(
        "--variants",
        action="store_true",
        help="instead, make float16 and int8 variants of the model in --output and keep those that pass on --data",
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
        print(f"removed the variants of the previous model: {', '.join(before)}; --variants --data DATA makes new ones")


def _variants(options: argparse.Namespace) -> None:
    import_onnxruntime()  # explains what to install, if it is missing
    from genre_export.quantize import publish_variants, variants_table

    print(variants_table(publish_variants(options.checkpoint, options.output, options.data, options.cache)))


def _triton(options: argparse.Namespace) -> None:
    from genre_export.triton import write_repository

    print(f"written to {write_repository(options.output, options.triton)}")
