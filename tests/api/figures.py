"""Figures of a training for the tiny model, whose sidecar has few."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from genre_runtime.model.metadata import read_metadata

MATRIX = [[3, 1, 0], [0, 2, 0], [1, 0, 5]]


def add_figures(model_path: Path, **figures: Any) -> None:
    """Write a history and a confusion matrix, or the figures given, into a model's sidecar."""
    metadata = read_metadata(model_path)
    added = figures or {"history": [{"epoch": 1, "val_acc": 0.5}], "confusion_matrix": MATRIX}
    if "confusion_matrix" in added:
        added = {**added, "test": {**metadata.metrics["test"], "confusion_matrix": added.pop("confusion_matrix")}}
    changed = dataclasses.replace(metadata, metrics={**metadata.metrics, **added})
    model_path.with_suffix(".json").write_text(changed.to_json(), encoding="utf-8")
