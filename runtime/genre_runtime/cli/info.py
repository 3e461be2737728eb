"""`genre info`: the model and the devices."""

from __future__ import annotations

import argparse
import json
from typing import Any

from genre_runtime.cli import arguments


def add_parser(verbs: Any) -> None:
    """Add the verb to the command."""
    parser = verbs.add_parser(
        "info",
        parents=[arguments.model_options()],
        help="the model and the devices",
        description="Show the model, its validation figures, the versions, and which devices work here.",
    )
    parser.add_argument("--format", choices=("table", "json"), default="table")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the facts; return the exit status."""
    from genre_runtime.classifier import GenreClassifier
    from genre_runtime.info import describe, describe_in_words

    facts = describe(GenreClassifier.load(options.model, device=options.device))
    print(json.dumps(facts, indent=2) if options.format == "json" else describe_in_words(facts))
    return 0
