"""Untrained networks small enough to export in seconds, each published once for all tests of graphs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

from genre_export.publish import publish
from genre_runtime.model.metadata import FINE_AUDIO, AudioConfig
from genre_training.config import NetworkConfig
from genre_training.model.checkpoint import Checkpoint, save_checkpoint
from genre_training.model.fusion import FusedNetwork
from genre_training.model.network import GenreNetwork
from genre_training.model.pretrained import REGISTRY

LABELS = ("blues", "jazz", "rock")
TEMPERATURE = 1.7
NETWORK = NetworkConfig(widths=(4, 8), blocks=1)
AUDIO_NETWORK = NetworkConfig(kind="mobilenet", branch="audio", init="mn04_as", tags=True, reads="classes", width=0.1)


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


def tiny_fused_network() -> FusedNetwork:
    """A seeded model of two branches, whose normalisation has seen input as well."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = FusedNetwork(len(LABELS), AUDIO_NETWORK, NETWORK, AudioConfig().n_mels)
        for _ in range(5):
            network(torch.rand(8, AudioConfig().n_mels, 40) * -80, torch.rand(8, FINE_AUDIO.n_mels, 100) * 3 - 1.4)
        with torch.no_grad():
            network.picture.head.weight.mul_(20)
            network.audio.head.weight.mul_(20)
            network.weights.copy_(torch.tensor([0.75, 0.5]))
            network.reliability.copy_(torch.tensor([0.75, 0.5, 1.0]))
    return network.eval()


def tiny_fused_checkpoint() -> Checkpoint:
    """The tiny checkpoint with two branches, some thresholds of its tags and the provenance of both branches."""
    init = {"name": "mn04_as", "sha256": "0" * 64}
    init |= {name: getattr(REGISTRY["mn04_as"], name) for name in ("source", "licence", "copyright", "heard")}
    checkpoint = tiny_checkpoint()
    branches = {"audio": {"clips_per_source": {"gtzan": 90}, "init": init}, "picture": {}}
    return replace(
        checkpoint,
        model_state_dict=tiny_fused_network().state_dict(),
        audio_network=AUDIO_NETWORK,
        tag_thresholds={"music": 0.25, "jazz": 0.375},
        genre_set_threshold=0.875,
        provenance={**checkpoint.provenance, "branches": branches},
    )


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


def published_model(base: Path, checkpoint: Callable[[], Checkpoint] = tiny_checkpoint) -> Path:
    """Publish a tiny model below `base` unless that has been done; returns the folder.

    `base` is the test run's own temporary folder, so tests of several folders share one export.
    """
    folder = base / checkpoint.__name__
    if not (folder / "best_model.json").is_file():
        save_checkpoint(checkpoint(), folder / "best_model.pt")
        publish(folder / "best_model.pt", folder)
    return folder
