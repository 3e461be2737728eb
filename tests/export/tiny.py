"""An untrained network small enough to export in seconds, published once for all tests of graphs."""

from __future__ import annotations

from pathlib import Path

import torch

from genre_export.publish import publish
from genre_runtime.model.metadata import AudioConfig
from genre_training.config import NetworkConfig
from genre_training.model.checkpoint import Checkpoint, save_checkpoint
from genre_training.model.network import GenreNetwork

LABELS = ("blues", "jazz", "rock")
TEMPERATURE = 1.7
NETWORK = NetworkConfig(widths=(4, 8), blocks=1)


def tiny_network() -> GenreNetwork:
    """A seeded network whose normalisation has seen input, so that folding it into convolutions is tested."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = GenreNetwork(len(LABELS), AudioConfig().n_mels, NETWORK)
        for _ in range(5):
            network(torch.rand(8, AudioConfig().n_mels, 40) * -80)
        with torch.no_grad():
            network.head.weight.mul_(20)  # logits as far apart as a trained network's
    return network.eval()


def tiny_checkpoint() -> Checkpoint:
    """A checkpoint as training writes it, with figures that sidecar and card have to show."""
    shares = {
        "n_tracks": 40,
        "n_groups": 25,
        "accuracy": 0.625,
        "accuracy_interval": [0.5, 0.75],
        "accuracy_own_genres": 0.65,
        "accuracy_own_genres_interval": [0.55, 0.775],
    }
    part = {
        **shares,
        "macro_f1": 0.5875,
        "log_loss": 1.0625,
        "calibration_error": 0.0375,
        "confident": {"coverage": 0.3, "precision": 0.9, "precision_interval": [0.8, 1.0]},
        "confusion_matrix": [[9, 3, 1], [2, 8, 3], [3, 3, 8]],
        "per_genre": {label: {"precision": 0.5, "recall": 0.75, "f1": 0.6, "support": 13} for label in LABELS},
        "per_source": {"gtzan": shares},
    }
    return Checkpoint(
        epoch=7,
        model_state_dict=tiny_network().state_dict(),
        val_acc=0.625,
        val_loss=1.0625,
        labels=LABELS,
        audio=AudioConfig(),
        network=NETWORK,
        recipe={"data": {"split": "grouped", "seed": 0, "fold": 0}},
        excerpt_seconds=10.0,
        history=[{"epoch": 7, "val_loss": 1.0625, "val_acc": 0.625}],
        metrics={"validation": part, "test": {**part, "accuracy": 0.575}, "files": {"n_tracks": 0}},
        temperature=TEMPERATURE,
        confidence_threshold=0.8125,
        provenance={
            "clips_per_source": {"gtzan": 400},
            "clips_without_artist": {},
            "split": {"split": "grouped", "seed": 0, "fold": 0},
            "versions": {"torch": "2.6"},
        },
        held_out={"validation": [], "test": []},
    )


def published_model(base: Path) -> Path:
    """Publish the tiny checkpoint below `base` unless that has been done; returns the folder.

    `base` is the test run's own temporary folder, so tests of several folders share one export.
    """
    folder = base / "published"
    if not (folder / "best_model.json").is_file():
        save_checkpoint(tiny_checkpoint(), folder / "best_model.pt")
        publish(folder / "best_model.pt", folder)
    return folder
