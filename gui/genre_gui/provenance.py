"""A sidecar's metrics and provenance as the model's page shows them; whatever is missing is left out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from genre_gui.words import one_line
from genre_runtime.metadata import ModelMetadata

UNKNOWN = "unknown"


def headline(metadata: ModelMetadata) -> list[tuple[str, str]]:
    """Return the numbers to show large, each with its caption."""
    metrics = metadata.metrics
    test = _mapping(metrics.get("test"))
    return [
        (_percent(metrics.get("val_acc")), "validation accuracy"),
        (_decimal(metrics.get("val_loss")), "validation loss"),
        (_decimal(metrics.get("macro_f1")), "macro F1"),
        (_percent(test.get("accuracy")), "test accuracy"),
        (f"{metrics['epoch']}" if isinstance(metrics.get("epoch"), int) else UNKNOWN, "epoch"),
    ]


def scores_of(metadata: ModelMetadata) -> dict[str, dict[str, float]]:
    """Return precision, recall, F1 and support of each genre on validation data, none if they are not whole."""
    found = _mapping(_mapping(metadata.metrics.get("validation")).get("per_genre"))
    names = ("precision", "recall", "f1", "support")
    return {
        one_line(label): {name: float(scores[name]) for name in names}
        for label, scores in found.items()
        if all(_is_number(_mapping(scores).get(name)) for name in names)
    }


def matrix_of(metadata: ModelMetadata) -> list[list[float]]:
    """Return the confusion matrix, rows the true genres; empty if there is none of the labels' size."""
    found, count = metadata.metrics.get("confusion_matrix"), len(metadata.labels)
    if not isinstance(found, list) or len(found) != count:
        return []
    rows = [row for row in found if isinstance(row, list) and len(row) == count and all(map(_is_number, row))]
    return rows if len(rows) == count else []


def history_of(metadata: ModelMetadata) -> Sequence[Mapping[str, Any]]:
    """Return the numbers of each epoch."""
    found = metadata.metrics.get("history")
    return [entry for entry in found if isinstance(entry, Mapping)] if isinstance(found, list) else []


def facts_in_words(metadata: ModelMetadata) -> str:
    """Return what the model listens to and comes from, a line each."""
    provenance = metadata.provenance
    split, versions = _mapping(provenance.get("split")), _mapping(provenance.get("versions"))
    clips = _mapping(provenance.get("clips_per_source"))
    lines = [
        ("Genres", ", ".join(metadata.labels)),
        ("Listens to", _listening(metadata) if metadata.graphs else ""),  # a service does not tell
        ("Confident from", _confident(metadata)),
        ("Data", ", ".join(f"{source} {count}" for source, count in clips.items())),
        ("Split", ", ".join(f"{name} {value}" for name, value in split.items())),
        ("Parameters", f"{provenance['n_parameters']:,}" if isinstance(provenance.get("n_parameters"), int) else ""),
        ("Made with", ", ".join(f"{name} {value}" for name, value in versions.items())),
    ]
    return "\n".join(f"{name}:  {one_line(value)}" for name, value in lines if value)


def _listening(metadata: ModelMetadata) -> str:
    audio, excerpts = metadata.audio, f"{metadata.n_excerpts} excerpts of {metadata.excerpt_seconds:g} s"
    return f"{excerpts} at {audio.sample_rate} Hz, {audio.n_mels} mel bands"


def _confident(metadata: ModelMetadata) -> str:
    # An older service does not tell it, so that it is 0.
    threshold = f"{metadata.confidence_threshold:.0%}" if metadata.confidence_threshold else ""
    values = _mapping(_mapping(metadata.metrics.get("test")).get("confident"))
    share, right = values.get("coverage"), values.get("precision")
    if not threshold or not _is_number(share) or not _is_number(right):
        return threshold
    return f"{threshold} ({_percent(share)} of the test tracks, {_percent(right)} of them right)"


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _percent(value: Any) -> str:
    return f"{value:.1%}" if _is_number(value) else UNKNOWN


def _decimal(value: Any) -> str:
    return f"{value:.3f}" if _is_number(value) else UNKNOWN
