"""What is loaded and what it runs on, for `genre info` and for error reports."""

from __future__ import annotations

from dataclasses import asdict
from importlib import metadata as packages
from typing import Any

from genre_runtime import __version__
from genre_runtime.classifier import GenreClassifier
from genre_runtime.errors import GenreError
from genre_runtime.model.session import DEVICES, available_devices, create_session, import_onnxruntime, other_providers

ONNXRUNTIMES = ("onnxruntime", "onnxruntime-gpu", "onnxruntime-directml", "onnxruntime-openvino")
"""Packages that install the same module `onnxruntime`, over each other if there are two."""


def probe_devices(classifier: GenreClassifier) -> dict[str, str]:
    """Try every device: `works`, or why it does not; behind them what else ONNX Runtime offers."""
    built_in = available_devices()
    answers = {}
    for device in DEVICES[1:]:
        if device not in built_in:
            answers[device] = "not in this ONNX Runtime"
            continue
        try:
            create_session(classifier.model_path, classifier.metadata, "waveform", device, 1)
            answers[device] = "works"
        except GenreError as error:
            answers[device] = f"does not work: {error}"
    return answers | dict.fromkeys(other_providers(), "offered by ONNX Runtime, but not used here")


def installed_onnxruntimes() -> dict[str, str]:
    """Versions of the installed packages of `ONNXRUNTIMES`; more than one is a broken installation."""
    found = {}
    for name in ONNXRUNTIMES:
        try:
            found[name] = packages.version(name)
        except packages.PackageNotFoundError:
            continue
    return found


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
        "n_folds": len(metrics.get("folds") or ()),
        "provenance": dict(metadata.provenance),
        "device_requested": classifier.device_requested,
        "device": classifier.device,
        "devices": probe_devices(classifier),
        "packages": installed_onnxruntimes(),
    }


def describe_in_words(facts: dict[str, Any]) -> str:
    """Return the same facts as lines of text."""
    metrics, audio = facts["metrics"], facts["audio"]
    split = facts["provenance"].get("split", {}).get("split", "unknown")
    of = f", epoch {metrics['epoch']} ({split} split)"
    if facts["n_folds"]:  # a network that learnt from every clip has figures of others alone
        of = f" over {facts['n_folds']} folds ({split} split); the model itself learnt from every clip"
    lines = [
        ("model", facts["model"]),
        ("genres", ", ".join(facts["labels"])),
        ("listens to", f"{facts['n_excerpts']} x {facts['excerpt_seconds']:g} s at {audio['sample_rate']} Hz"),
        ("confident from", f"{facts['confidence_threshold']:.0%}"),
        (
            "validation",
            f"accuracy {_number(metrics['val_acc'], '.1%')}, loss {_number(metrics['val_loss'], '.3f')}, macro F1 "
            f"{_number(metrics['macro_f1'], '.3f')}{of}",
        ),
        ("device", f"{facts['device']} (asked for: {facts['device_requested']})"),
        ("versions", f"genre-runtime {facts['version']}, onnxruntime {facts['onnxruntime']}"),
        *((f"  {device}", answer) for device, answer in facts["devices"].items()),
    ]
    if len(facts["packages"]) > 1:
        both = " and ".join(f"{name} {version}" for name, version in facts["packages"].items())
        lines.append(("problem", f"{both} overwrite each other: uninstall both, then install one"))
    return "\n".join(f"{name:<15} {value}" for name, value in lines)


def _number(value: float | None, form: str) -> str:
    return "unknown" if value is None else format(value, form)
