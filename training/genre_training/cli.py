"""Command `genre-train`: download the data, train a recipe, or score a checkpoint again."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from genre_runtime import escaped, escaped_streams
from genre_runtime.errors import GenreError
from genre_training import RUN_FOLDER, STATE_NAME
from genre_training.config import Recipe

DEFAULT_CACHE = Path(".cache/features")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Parameters
    ----------
    arguments : sequence of str, optional
        By default those of the process.

    Returns
    -------
    int
        Exit status: 0 success, 1 failure, 2 wrong usage (by SystemExit), 130 interrupted.
    """
    with escaped_streams(errors=False):  # progress bars on stderr need control characters
        return _run(_parser().parse_args(arguments))


def _run(options: argparse.Namespace) -> int:
    try:
        return VERBS[options.verb](options)
    except MemoryError as error:  # of this computer, or a DeviceMemoryError of its GPU
        print(f"genre-train: {escaped(error) or 'out of memory'}; {_less_memory(options)}", file=sys.stderr)
        return 1
    except (GenreError, OSError) as error:  # OSError: a folder that cannot be written, a full disk
        print(f"genre-train: {escaped(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"genre-train: interrupted; {_left_behind(options)}", file=sys.stderr)
        return 130


def _unfinished(options: argparse.Namespace) -> Path | None:
    """Return the state from which `--resume` would continue."""
    state: Path | None = options.output / RUN_FOLDER / STATE_NAME if options.verb in ("train", "refit") else None
    return state if state and state.is_file() else None


def _left_behind(options: argparse.Namespace) -> str:
    """Say what an interruption leaves, and how to continue."""
    if _unfinished(options):
        return "the same command with --resume continues after the last whole epoch; best_model.pt was not changed"
    if options.verb in ("fuse", "evaluate", "sources"):
        return "nothing was changed"
    return "the same command continues from there"  # the download or the features


def _less_memory(options: argparse.Namespace) -> str:
    """Say how to need less memory."""
    advice = "end other programs that use it"
    if options.verb in ("train", "refit"):
        advice += " or choose a smaller training.batch_size"
    if state := _unfinished(options):
        # Another batch_size makes other batches, so the earlier epochs would not belong to this run.
        advice += f". --resume continues with the same batch_size; for another remove {state}"
    return advice


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="genre-train", description="Train and evaluate genre classifiers.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    data = verbs.add_parser("data", help="download and unpack FMA, the data set to train on")
    data.add_argument(
        "--subset", choices=("small", "medium", "large"), default="medium", help="7, 22 or 93 GiB; twice that is needed"
    )
    data.add_argument("--data", type=Path, required=True, help="data folder")
    data.add_argument("--keep-archives", action="store_true", help="keep the zip files after unpacking")
    data.add_argument("--url", help=argparse.SUPPRESS)
    train = verbs.add_parser("train", help="train a recipe")
    train.add_argument("--config", type=Path, default=Path("default"), help="TOML recipe or its bare name")
    train.add_argument("--output", type=Path, default=Path("models"), help="folder for the checkpoint and its report")
    train.add_argument("--resume", action="store_true", help="continue an interrupted run")
    refit = verbs.add_parser("refit", help="train a recipe on all clips, with the scores of five finished folds")
    refit.add_argument("--folds", type=Path, nargs="+", required=True, help="the checkpoints of the five folds")
    refit.add_argument("--config", type=Path, default=Path("default"), help="TOML recipe or its bare name")
    refit.add_argument("--output", type=Path, default=Path("models"), help="folder for the checkpoint and its report")
    refit.add_argument("--resume", action="store_true", help="continue an interrupted run")
    fuse = verbs.add_parser("fuse", help="join an audio branch and a picture branch into one model")
    for branch in ("audio", "picture"):
        fuse.add_argument(
            f"--{branch}",
            type=Path,
            nargs="+",
            required=True,
            metavar="CHECKPOINT",
            help=f"of the {branch} branch; further ones of the same recipe only answer the clips that they held out",
        )
    fuse.add_argument("--output", type=Path, default=Path("models"), help="folder for the checkpoint and its report")
    evaluate = verbs.add_parser("evaluate", help="score a checkpoint on its own split")
    evaluate.add_argument("--checkpoint", type=Path, default=Path("models/best_model.pt"))
    sources = verbs.add_parser(
        "sources", help="measure whether data sets are recognised by traces of how they were made"
    )
    sources.add_argument("--config", type=Path, default=Path("default"), help="TOML recipe or its bare name")
    for verb in (train, refit):
        verb.add_argument("--init", metavar="NAME|FILE", help="weights to start from, instead of the recipe's")
        verb.add_argument("--set", nargs="+", default=[], metavar="TABLE.KEY=VALUE", help="change values of the recipe")
        verb.add_argument(
            "--logger", choices=("tensorboard",), help="also show each epoch there: tensorboard --logdir OUTPUT/run"
        )
    for verb in (train, refit, fuse, evaluate, sources):
        default = " (default: that of the training)" if verb is evaluate else ""
        verb.add_argument("--data", type=Path, required=verb is not evaluate, help=f"data folder{default}")
        verb.add_argument("--cache", type=Path, default=DEFAULT_CACHE, help="folder for computed features")
        verb.add_argument(
            "--workers", type=_positive, metavar="N", help="processes that compute features (default: one per core)"
        )
    for verb in (train, refit, fuse, evaluate):
        verb.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    return parser


def _positive(text: str) -> int:
    number = int(text) if text.isdecimal() else 0
    if not number:
        raise argparse.ArgumentTypeError(f"{text!r} found, expected a positive integer")
    return number


def _data(options: argparse.Namespace) -> int:
    from genre_training.data.fma import BASE_URL, describe, fetch_fma

    url = options.url or BASE_URL
    print(describe(fetch_fma(options.data, options.subset, url, keep_archives=options.keep_archives)))
    return 0


def _train(options: argparse.Namespace) -> int:
    from genre_training.train.run import train

    recipe, weights = _recipe(options)
    return _trained(options, partial(train, recipe, weights=weights), f"training {options.config}")


def _recipe(options: argparse.Namespace) -> tuple[Recipe, Path | None]:
    """Return the recipe, and the file of the weights that it starts from if one was named."""
    from genre_training.config import read_recipe

    named = options.init
    path = Path(named) if named and Path(named).suffix else None
    changes = [f'network.init="{path.stem if path else named}"'] if named else []
    return read_recipe(options.config, [*options.set, *changes]), path


def _refit(options: argparse.Namespace) -> int:
    from genre_training.train.run import refit

    recipe, weights = _recipe(options)
    return _trained(options, partial(refit, options.folds, recipe, weights=weights), "")


def _trained(options: argparse.Namespace, run: Callable[..., Path], title: str) -> int:
    """Run on the chosen device and print the scores of the checkpoint."""
    from genre_training.evaluate.score import print_scores
    from genre_training.model.checkpoint import load_checkpoint
    from genre_training.train.distributed import choose_device, memory_guard, process_group, rank

    with process_group(choose_device(options.device)) as device, memory_guard(device):
        if title and rank() == 0:
            print(f"{title} on {device}")
        folders = (options.data, options.output, options.cache)
        if options.logger:
            from genre_training.evaluate.report import tensorboard_logger

            run = partial(run, log=tensorboard_logger(options.output / RUN_FOLDER / "tensorboard"))
        path = run(*folders, device, resume=options.resume, workers=options.workers)
        if rank() > 0:
            return 0
    checkpoint = load_checkpoint(path)
    print(f"epoch {checkpoint.epoch} was kept, written to {path}, report in {path.parent / 'run'}")
    print_scores(checkpoint.metrics, checkpoint.provenance)
    return 0


def _fuse(options: argparse.Namespace) -> int:
    from genre_training.evaluate.score import print_scores
    from genre_training.model.checkpoint import load_checkpoint
    from genre_training.train.distributed import choose_device, memory_guard
    from genre_training.train.fuse import fuse_branches

    device = choose_device(options.device)
    with memory_guard(device):
        folders = (options.data, options.output, options.cache)
        path = fuse_branches(options.audio, options.picture, *folders, device, workers=options.workers)
    checkpoint = load_checkpoint(path)
    print(f"both branches were written to {path}, report in {path.parent / RUN_FOLDER}")
    print_scores(checkpoint.metrics, checkpoint.provenance)
    return 0


def _evaluate(options: argparse.Namespace) -> int:
    from genre_training.evaluate.score import print_scores
    from genre_training.model.checkpoint import load_checkpoint
    from genre_training.train.distributed import choose_device, memory_guard
    from genre_training.train.fuse import evaluate_fused
    from genre_training.train.run import evaluate

    device = choose_device(options.device)
    score = evaluate_fused if load_checkpoint(options.checkpoint).audio_network else evaluate
    with memory_guard(device):
        checkpoint = score(options.checkpoint, options.data, options.cache, device, workers=options.workers)
    print_scores(checkpoint.metrics, checkpoint.provenance)
    return 0


def _sources(options: argparse.Namespace) -> int:
    from genre_training.config import read_recipe
    from genre_training.evaluate.sources import describe
    from genre_training.train.run import sources

    print(describe(sources(read_recipe(options.config), options.data, options.cache, workers=options.workers)))
    return 0


VERBS: dict[str, Callable[[argparse.Namespace], int]] = {
    "data": _data,
    "train": _train,
    "refit": _refit,
    "fuse": _fuse,
    "evaluate": _evaluate,
    "sources": _sources,
}
