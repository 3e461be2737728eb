"""What is loaded and what it runs on, for `genre info` and for error reports."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from genre_runtime.classifier import GenreClassifier
from genre_runtime.session import available_devices, import_onnxruntime
from genre_runtime.version import __version__


def describe(classifier: GenreClassifier) -> dict[str, Any]:
    """Facts about a loaded classifier, as plain values."""
    metadata = classifier.metadata
    metrics = metadata.metrics
    return {
        "version": __version__,
        "onnxruntime": import_onnxruntime().__version__,
        "model": str(classifier.model_path),
        "labels": list(metadata.labels),
        "audio": asdict(metadata.audio),
        "excerpt_seconds": metadata.excerpt_seconds,
        "n_excerpts": metadata.n_excerpts,
        "confidence_threshold": metadata.confidence_threshold,
        "metrics": {key: metrics.get(key) for key in ("val_acc", "val_loss", "epoch", "macro_f1")},
        "provenance": dict(metadata.provenance),
        "device_requested": classifier.device_requested,
        "device": classifier.device,
        "devices_built_in": list(available_devices()),
    }


def describe_in_words(facts: dict[str, Any]) -> str:
    """Return the same facts as lines of text."""
    metrics, audio = facts["metrics"], facts["audio"]
    split = facts["provenance"].get("split", {})
    lines = [
        ("model", facts["model"]),
        ("genres", ", ".join(facts["labels"])),
        ("listens to", f"{facts['n_excerpts']} x {facts['excerpt_seconds']:g} s at {audio['sample_rate']} Hz"),
        ("confident from", f"{facts['confidence_threshold']:.0%}"),
        (
            "validation",
            f"accuracy {_number(metrics['val_acc'], '.1%')}, loss {_number(metrics['val_loss'], '.3f')}, macro F1 "
            f"{_number(metrics['macro_f1'], '.3f')}, epoch {metrics['epoch']} ({split.get('split', 'unknown')} split)",
        ),
        ("device", f"{facts['device']} (asked for: {facts['device_requested']})"),
        ("built in", ", ".join(facts["devices_built_in"])),
        ("versions", f"genre-runtime {facts['version']}, onnxruntime {facts['onnxruntime']}"),
    ]
    return "\n".join(f"{name:<15} {value}" for name, value in lines)


def _number(value: float | None, form: str) -> str:
    return "unknown" if value is None else format(value, form)
