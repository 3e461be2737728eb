"""Command `genre-train`: train a recipe, or score a checkpoint again."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from genre_runtime.errors import GenreError

DEFAULT_CACHE = Path(".cache/features")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status: 0 done, 1 failed, 2 wrong usage, 130 interrupted."""
    options = _parser().parse_args(arguments)
    try:
        return _train(options) if options.verb == "train" else _evaluate(options)
    except (GenreError, OSError) as error:  # OSError: a folder that cannot be written, a full disk
        print(f"genre-train: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(
            "genre-train: interrupted; best_model.unfinished.pt is its best epoch, best_model.pt was left as it was",
            file=sys.stderr,
        )
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="genre-train", description="Train and evaluate genre classifiers.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    train = verbs.add_parser("train", help="train a recipe")
    train.add_argument("--config", type=Path, default=Path("default"), help="TOML recipe or its bare name")
    train.add_argument("--output", type=Path, default=Path("models"), help="folder for the checkpoint")
    evaluate = verbs.add_parser("evaluate", help="score a checkpoint on its own split")
    evaluate.add_argument("--checkpoint", type=Path, default=Path("models/best_model.pt"))
    for verb in (train, evaluate):
        verb.add_argument("--data", type=Path, required=True, help="data folder")
        verb.add_argument("--cache", type=Path, default=DEFAULT_CACHE, help="folder for computed features")
        verb.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    return parser


def _train(options: argparse.Namespace) -> int:
    from genre_training.checkpoint import load_checkpoint
    from genre_training.config import read_recipe
    from genre_training.devices import choose_device
    from genre_training.run import print_metrics, train

    recipe = read_recipe(options.config)
    device = choose_device(options.device)
    print(f"training {options.config} on {device}")
    path = train(recipe, options.data, options.output, options.cache, device)
    checkpoint = load_checkpoint(path)
    print(f"best epoch {checkpoint['epoch']}, written to {path}")
    print_metrics(checkpoint["metrics"])
    return 0


def _evaluate(options: argparse.Namespace) -> int:
    from genre_training.devices import choose_device
    from genre_training.run import evaluate_again, print_metrics

    print_metrics(evaluate_again(options.checkpoint, options.data, options.cache, choose_device(options.device)))
    return 0
