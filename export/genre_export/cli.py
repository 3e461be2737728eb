"""Command `genre-export`: publish a checkpoint as ONNX graphs with sidecar and card."""

from __future__ import annotations

import argparse
import logging
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

from genre_runtime.errors import GenreError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status: 0 published, 1 refused, 2 wrong usage, 130 interrupted."""
    parser = argparse.ArgumentParser(prog="genre-export", description="Publish a checkpoint as ONNX.")
    parser.add_argument("--checkpoint", type=Path, default=Path("models/best_model.pt"))
    parser.add_argument("--output", type=Path, default=Path("models"))
    parser.add_argument("--data", type=Path, help="data folder whose audio part is scored through the graph")
    options = parser.parse_args(arguments)
    # The exporter reports which optional packages it would also know; none of them concerns the user.
    logging.disable(logging.WARNING)
    warnings.filterwarnings("ignore", category=FutureWarning)
    from genre_export.parity import TOLERANCES
    from genre_export.publish import publish

    print(f"exporting {options.checkpoint} ...")
    try:
        worst = publish(options.checkpoint, options.output, options.data)
    except (GenreError, OSError) as error:  # OSError: a folder that cannot be written, a full disk
        print(f"genre-export: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("genre-export: interrupted; nothing was published", file=sys.stderr)
        return 130
    for name, tolerance in TOLERANCES.items():
        print(f"  {name:<26} {worst[name]:9.2e} {tolerance.unit:<3} (allowed {tolerance.limit:g})")
    print(f"published to {options.output}")
    return 0
