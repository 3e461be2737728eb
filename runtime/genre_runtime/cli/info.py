"""`genre info`: the model, its figures, and the devices."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from genre_runtime.cli import arguments

if TYPE_CHECKING:
    from genre_runtime.classifier import GenreClassifier


def add_parser(verbs: Any) -> None:
    """Add the verb to the command.

    Parameters
    ----------
    verbs : argparse subparsers
    """
    parser = verbs.add_parser(
        "info",
        parents=[arguments.model_options()],
        help="the model and the devices",
        description="Show the model, its validation figures, the versions, and which devices work here.",
    )
    parser.add_argument("--format", choices=("table", "json"), default="table")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the facts.

    Parameters
    ----------
    options : Namespace
        What the parser read.

    Returns
    -------
    int
        Exit status.
    """
    from genre_runtime.classifier import GenreClassifier

    facts = describe(GenreClassifier.load(options.model, device=options.device))
    print(json.dumps(facts, indent=2) if options.format == "json" else describe_in_words(facts))
    return 0


def describe(classifier: GenreClassifier) -> dict[str, Any]:
    """Return facts about a classifier, its model and this installation, as plain values.

    Parameters
    ----------
    classifier : GenreClassifier
    """
    from genre_runtime import __version__
    from genre_runtime.model.session import import_onnxruntime, installed_onnxruntimes

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
        "devices": classifier.probe_devices(),
        "packages": installed_onnxruntimes(),
    }


def describe_in_words(facts: dict[str, Any]) -> str:
    """Return the facts as lines of text.

    Parameters
    ----------
    facts : dict
        From `describe`.
    """
    metrics, audio = facts["metrics"], facts["audio"]
    split = facts["provenance"].get("split", {}).get("split", "unknown")
    of = f", epoch {metrics['epoch']} ({split} split)"
    if facts["n_folds"]:  # the model was trained on every clip, so its figures are those of other models
        of = f" over {facts['n_folds']} folds ({split} split); the model itself was trained on every clip"
    lines = [
        ("model", facts["model"]),
        ("genres", ", ".join(facts["labels"])),
        ("analyses", f"{facts['n_excerpts']} x {facts['excerpt_seconds']:g} s at {audio['sample_rate']} Hz"),
        ("confident from", f"{facts['confidence_threshold']:.0%}"),
        (
            "validation",
            f"accuracy {_number(metrics['val_acc'], '.1%')}, loss {_number(metrics['val_loss'], '.3f')}, macro F1 "
            f"{_number(metrics['macro_f1'], '.3f')}{of}",
        ),
        ("device", f"{facts['device']} (requested: {facts['device_requested']})"),
        ("versions", f"genre-runtime {facts['version']}, onnxruntime {facts['onnxruntime']}"),
        *((f"  {device}", answer) for device, answer in facts["devices"].items()),
    ]
    if len(facts["packages"]) > 1:
        both = " and ".join(f"{name} {version}" for name, version in facts["packages"].items())
        lines.append(("problem", f"{both} overwrite each other: uninstall both, then install one"))
    return "\n".join(f"{name:<15} {value}" for name, value in lines)


def _number(value: float | None, form: str) -> str:
    return "unknown" if value is None else format(value, form)
