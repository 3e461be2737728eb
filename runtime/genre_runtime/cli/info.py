"""`genre info`: the model, its figures, and the devices."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from genre_runtime.cli import arguments
from genre_runtime.errors import counted

if TYPE_CHECKING:
    from genre_runtime.classifier import GenreClassifier
    from genre_runtime.model.head import GenreHead


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
        description="Show the model, its figures on music by other artists, the versions, and which devices work here.",
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

    facts = describe(GenreClassifier.load(options.model, device=options.device, head=options.head))
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
        "known_already": _known_already(classifier.head),
        "audio": asdict(metadata.audio),
        "fine_audio": None if metadata.fine_audio is None else asdict(metadata.fine_audio),
        "tags": [asdict(tag) for tag in metadata.tags],
        "excerpt_seconds": metadata.excerpt_seconds,
        "n_excerpts": metadata.n_excerpts,
        "confidence_threshold": metadata.confidence_threshold,
        "genre_set_threshold": metadata.genre_set_threshold,
        "metrics": {key: metrics.get(key) for key in ("val_acc", "val_loss", "epoch", "macro_f1")},
        "test": _shares(metrics.get("test")),
        "files": _shares(metrics.get("files")),
        "n_folds": len(metrics.get("folds") or ()),
        "provenance": dict(metadata.provenance),
        "device_requested": classifier.device_requested,
        "device": classifier.device,
        "devices": classifier.probe_devices(),
        "packages": installed_onnxruntimes(),
    }


def _known_already(head: GenreHead | None) -> str:
    if head is None:
        return ""
    from genre_runtime.library.learning.words import known_already  # imports all that learning needs

    return known_already(head)


def describe_in_words(facts: dict[str, Any]) -> str:
    """Return the facts as lines of text.

    Parameters
    ----------
    facts : dict
        From `describe`.
    """
    metrics, audio = facts["metrics"], facts["audio"]
    split = facts["provenance"].get("split", {}).get("split", "unknown")
    of = f"{split} split, epoch {metrics['epoch']}"
    if facts["n_folds"]:  # the model was trained on almost every clip, so its figures are those of other models
        of = f"{split} split, figures of {facts['n_folds']} folds; the model itself was trained on almost every clip"
    n_tags = Counter(tag["kind"] for tag in facts["tags"])
    lines = [
        ("model", facts["model"]),
        ("genres", ", ".join(facts["labels"])),
        *([("known already", facts["known_already"])] if facts["known_already"] else []),
        ("tags", ", ".join(f"{n} {kind}" for kind, n in n_tags.most_common()) or "none"),
        ("analyses", f"{facts['n_excerpts']} x {facts['excerpt_seconds']:g} s at {audio['sample_rate']} Hz"),
        ("confident from", f"{facts['confidence_threshold']:.0%}"),
        ("answer sets", f"genres of at least {facts['genre_set_threshold']:.1%}, right nine times out of ten"),
        *_figures(facts, of),
        *_origin(facts["provenance"]),
        ("device", f"{facts['device']} (requested: {facts['device_requested']})"),
        ("versions", f"genre-runtime {facts['version']}, onnxruntime {facts['onnxruntime']}"),
        *((f"  {device}", answer) for device, answer in facts["devices"].items()),
    ]
    if len(facts["packages"]) > 1:
        both = " and ".join(f"{name} {version}" for name, version in facts["packages"].items())
        lines.append(("problem", f"{both} overwrite each other: uninstall both, then install one"))
    return "\n".join(f"{name:<15} {value}" for name, value in lines)


def _origin(provenance: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what the model learnt from, and under which licence its starting weights are, as far as it says so."""
    lines = []
    if clips := provenance.get("clips_per_source"):
        sources = ", ".join(f"{source} {count}" for source, count in clips.items())
        lines.append(("learnt from", f"{sources} clips; their licences are in its model card"))
    if start := provenance.get("init"):
        lines.append(
            ("started from", f"{start.get('source', start['name'])} ({start.get('licence', 'licence unknown')})")
        )
    return lines


_SHARES = (
    "n_tracks",
    "n_groups",
    "macro_f1",
    "accuracy",
    "accuracy_interval",
    "accuracy_own_genres",
    "confident",
    "per_source",
)


def _shares(values: Any) -> dict[str, Any]:
    return {name: values.get(name) for name in _SHARES} if isinstance(values, Mapping) else {}


def _figures(facts: dict[str, Any], of: str) -> list[tuple[str, str]]:
    """Return the accuracy on music by artists that training had not, in words; from files where there are any."""
    lines = []
    by_clip = facts["provenance"].get("split", {}).get("split") == "stratified"  # artists are on both sides
    for part, name in (("test", "test"), ("files", "from files")):
        values = facts[part]
        if not values.get("n_tracks") or values.get("accuracy") is None:
            continue
        if part == "files" and values["n_tracks"] == facts["test"].get("n_tracks"):
            continue  # all test clips are files
        text = f"{values['accuracy']:.1%} right{_between(values)}"
        text += f" of {counted(values['n_tracks'], 'track')}"
        if values["n_groups"] and values["n_groups"] < values["n_tracks"]:  # otherwise no artist is known
            text += f" by {counted(values['n_groups'], 'artist' if by_clip else 'other artist')}"
        lines.append((name, text + (f" ({of})" if part == "test" else "")))
        confident = values["confident"] or {}
        if confident.get("precision") is not None:
            right = f"{confident['precision']:.0%} of them right"
            lines.append(("", f"{confident['coverage']:.0%} of the answers are confident, {right}"))
    macro_f1 = facts["test"].get("macro_f1")
    if lines and macro_f1 is not None:
        lines.append(("macro F1", f"{macro_f1:.3f} on test, among all genres"))
    return lines or [("test", "unknown: the sidecar has no figures")]


def _between(values: Mapping[str, Any]) -> str:
    interval = values["accuracy_interval"]
    return f" [{interval[0]:.1%}, {interval[1]:.1%}]" if interval else ""
