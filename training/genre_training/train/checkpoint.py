"""Checkpoints: one file of plain values and tensors, written whole or not at all.

Keys, the first five fixed: `epoch, model_state_dict, optimizer_state_dict, val_acc, val_loss`, then
`labels, audio, network, recipe, excerpt_seconds, history, metrics, temperature, confidence_threshold,
provenance, held_out` and, of a model that learnt from everything, `folds`.
"""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import torch

from genre_runtime.errors import GenreError
from genre_runtime.output_files import replacing

REQUIRED_KEYS = ("epoch", "model_state_dict", "val_acc", "val_loss", "labels", "audio", "network")

Checkpoint = dict[str, Any]


class CheckpointError(GenreError, ValueError):
    """A checkpoint is missing, damaged or not one of this project."""

    code = "checkpoint"


def save_checkpoint(checkpoint: Checkpoint, path: Path) -> None:
    """Write through a temporary file, so that a crash leaves the older checkpoint whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        torch.save(checkpoint, temporary)


def load_checkpoint(path: Path, more: Sequence[str] = ()) -> Checkpoint:
    """Read a checkpoint onto the CPU with `weights_only=True`: no code in the file is ever run.

    Parameters
    ----------
    path : Path
    more : sequence of str
        Keys that have to be there beside `REQUIRED_KEYS`.

    Raises
    ------
    CheckpointError
    """
    return _load(path, (*REQUIRED_KEYS, *more))


def load_state(path: Path) -> Checkpoint:
    """Read the state of an interrupted run, `run` and `state`, in the same way."""
    return _load(path, ("run", "state"))


def _load(path: Path, required: Sequence[str]) -> Checkpoint:
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise CheckpointError(f"no checkpoint at {path}: run `invoke train` first") from error
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path} is no checkpoint, or holds more than weights and plain values: such a file could run code and "
            "is not loaded"
        ) from error
    except Exception as error:  # damaged bytes trip torch's unpickler in many ways, LookupError among them
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise CheckpointError(f"{path} is damaged or no checkpoint ({reason})") from error
    missing = [key for key in required if not isinstance(checkpoint, dict) or key not in checkpoint]
    if missing:
        raise CheckpointError(f"{path} lacks {', '.join(missing)}: a finished run of `invoke train` writes a whole one")
    return cast(Checkpoint, checkpoint)
