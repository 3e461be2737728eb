"""Publishes a checkpoint: two graphs, the sidecar with its schema, and the card, all of them or none.

The parity gate decides whether anything is published.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from genre_export import __version__
from genre_export.card import model_card, score_audio_files
from genre_export.graphs import WaveformGraph, graph_metadata, model_tags, write_log_mel_graph, write_waveform_graph
from genre_export.parity import Run, check_parity, measure_parity
from genre_export.schema import SCHEMA_FILE, check_sidecar, schema_text
from genre_runtime import (
    AudioConfig,
    FloatArray,
    GenreClassifier,
    GraphFile,
    ModelMetadata,
    Tag,
    import_onnxruntime,
)
from genre_training.model.checkpoint import Checkpoint, load_checkpoint


def replace_files(staging: Path, output: Path, names: Sequence[str], obsolete: Sequence[str]) -> None:
    """Move files from one folder into another, in the given order, then remove obsolete files there.

    On any error, and on Ctrl-C, `output` is restored. At no time is a file missing.

    Parameters
    ----------
    staging : Path
        A temporary folder on the same disk as `output`, which also takes copies of the old files.
    output : Path
        Folder of the published model.
    names : sequence of str
        Files of `staging` to move.
    obsolete : sequence of str
        Files of `output` to remove, if they exist.

    Raises
    ------
    OSError
        A file cannot be replaced or removed: it is a folder, or on Windows another program has it open.
    """
    before = staging / "before"
    before.mkdir()
    for name in (*names, *obsolete):
        if (output / name).exists():
            shutil.copy2(output / name, before / name)
    with ExitStack() as undo:  # runs every callback, even if one of them fails
        for name in names:
            undo.callback(_put_back, before / name, output / name, staging / name)
            (staging / name).replace(output / name)
        for name in obsolete:
            undo.callback(_put_back, before / name, output / name, output / name)
            (output / name).unlink(missing_ok=True)
        undo.pop_all()


def _put_back(before: Path, path: Path, untouched: Path) -> None:
    """Restore `path`, unless `untouched` exists, which means that `path` was not changed."""
    if untouched.exists():
        return
    if before.exists():
        before.replace(path)
    else:
        path.unlink(missing_ok=True)


GRAPH_FILES = {"waveform": "best_model.onnx", "log_mel": "best_model.logmel.onnx"}
SIDECAR_FILE = "best_model.json"
CARD_FILE = "MODEL_CARD.md"
VARIANTS = ("float16", "int8")
TAG_THRESHOLD, ANSWER_SET_THRESHOLD = 0.5, 0.05
"""Of a checkpoint in which they were not chosen on validation clips."""


def publish(checkpoint_path: Path, output: Path, data_folder: Path | None = None) -> dict[str, float]:
    """Export a checkpoint: graphs, sidecar with its schema, and card. On any error nothing changes.

    Variants of the previous model in `output` are removed.

    Parameters
    ----------
    checkpoint_path : Path
        The trained model.
    output : Path
        Folder for the files.
    data_folder : Path, optional
        Its audio files are classified with the finished graph, and the accuracy is added to the sidecar.

    Returns
    -------
    dict of str to float
        The measured differences, by the names of `TOLERANCES`.

    Raises
    ------
    CheckpointError, DataError, ParityError, SidecarError
    OSError
        A file of `output` cannot be replaced or removed.
    """
    checkpoint = load_checkpoint(checkpoint_path)
    audio, labels = checkpoint.audio, checkpoint.labels
    graph = WaveformGraph(
        checkpoint.trained_network(), checkpoint.temperature or 1.0, audio, checkpoint.fine_audio
    ).eval()
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output, prefix=".export-") as folder:
        staging = Path(folder)
        metadata = _metadata(checkpoint, audio, labels)
        facts = graph_metadata(metadata)
        write_waveform_graph(graph, staging / GRAPH_FILES["waveform"], facts)
        write_log_mel_graph(graph.classifier, audio, staging / GRAPH_FILES["log_mel"], facts)
        worst = measure_parity(
            graph, runner(staging / GRAPH_FILES["waveform"]), runner(staging / GRAPH_FILES["log_mel"])
        )
        check_parity(worst)
        # Measurements of the finished graphs cannot be part of the graphs; only the sidecar has them.
        metadata = replace(
            metadata, graphs=graph_files(staging, GRAPH_FILES), provenance={**metadata.provenance, "parity": worst}
        )
        write_sidecar(metadata, staging / SIDECAR_FILE)
        if data_folder is not None:
            classifier = GenreClassifier.load(staging / GRAPH_FILES["waveform"], device="cpu", threads=1)
            scores = score_audio_files(classifier, data_folder, checkpoint.held_out)
            metadata = replace(metadata, metrics={**metadata.metrics, "audio_files": scores})
            write_sidecar(metadata, staging / SIDECAR_FILE)
        (staging / CARD_FILE).write_text(model_card(metadata), encoding="utf-8")
        (staging / SCHEMA_FILE).write_text(schema_text(), encoding="utf-8")
        obsolete = [name for variant in variants_in(output) for name in files_of_variant(variant)]
        # The sidecar is last: until then, the runtime detects a mixture of old and new files by their sha256.
        replace_files(staging, output, (*GRAPH_FILES.values(), CARD_FILE, SCHEMA_FILE, SIDECAR_FILE), obsolete)
    return worst


def variant_files(variant: str) -> dict[str, str]:
    """Return the file names of a variant's graphs, by kind.

    Parameters
    ----------
    variant : str
        One of `VARIANTS`.
    """
    return {kind: name.replace("best_model.", f"best_model.{variant}.", 1) for kind, name in GRAPH_FILES.items()}


def variant_sidecar(variant: str) -> str:
    """Return the file name of a variant's sidecar.

    Parameters
    ----------
    variant : str
        One of `VARIANTS`.
    """
    return str(Path(variant_files(variant)["waveform"]).with_suffix(".json"))


def files_of_variant(variant: str) -> tuple[str, ...]:
    """Return the names of all files of a variant.

    Parameters
    ----------
    variant : str
        One of `VARIANTS`.
    """
    return (*variant_files(variant).values(), variant_sidecar(variant))


def variants_in(folder: Path) -> list[str]:
    """Return the variants that a folder contains.

    Parameters
    ----------
    folder : Path
        Of a published model.
    """
    return [variant for variant in VARIANTS if (folder / variant_sidecar(variant)).exists()]


def graph_files(folder: Path, names: Mapping[str, str]) -> dict[str, GraphFile]:
    """Return the entries of graphs in a sidecar.

    Parameters
    ----------
    folder : Path
        Contains the files.
    names : mapping of str to str
        File name of each kind.
    """
    return {
        kind: GraphFile(name, hashlib.sha256((folder / name).read_bytes()).hexdigest()) for kind, name in names.items()
    }


def write_sidecar(metadata: ModelMetadata, path: Path) -> None:
    """Write a sidecar if it matches its schema.

    Parameters
    ----------
    metadata : ModelMetadata
    path : Path

    Raises
    ------
    SidecarError
        It does not match; nothing is written.
    """
    text = metadata.to_json()
    check_sidecar(text)
    path.write_text(text, encoding="utf-8")


def _metadata(checkpoint: Checkpoint, audio: AudioConfig, labels: tuple[str, ...]) -> ModelMetadata:
    """Return the sidecar without graphs."""
    metrics: dict[str, Any] = checkpoint.metrics
    network = checkpoint.trained_network()
    test = metrics.get("test", {})
    return ModelMetadata(
        labels=labels,
        audio=audio,
        graphs={},
        excerpt_seconds=checkpoint.excerpt_seconds or 10.0,
        temperature=checkpoint.temperature or 1.0,
        confidence_threshold=1.0 if checkpoint.confidence_threshold is None else checkpoint.confidence_threshold,
        fine_audio=checkpoint.fine_audio,
        tags=tuple(
            Tag(tag.name, tag.kind, checkpoint.tag_thresholds.get(tag.name, TAG_THRESHOLD), tag.genre)
            for tag in model_tags(network)
        ),
        genre_set_threshold=checkpoint.genre_set_threshold or ANSWER_SET_THRESHOLD,
        metrics={
            "val_acc": checkpoint.val_acc,
            "val_loss": checkpoint.val_loss,
            "epoch": checkpoint.epoch,
            "macro_f1": test.get("macro_f1"),
            "confusion_matrix": test.get("confusion_matrix"),
            "history": checkpoint.history,
            **metrics,
        },
        provenance={
            **checkpoint.provenance,
            "recipe": checkpoint.recipe,
            "n_parameters": sum(tensor.numel() for tensor in network.parameters()),
            "genre_export": __version__,
        },
    )


def runner(graph: Path | bytes) -> Run:
    """Return a function that runs a graph on the CPU and maps batches, one for each input, to outputs by name.

    Parameters
    ----------
    graph : Path or bytes
        The ONNX file or its content.
    """
    content = graph if isinstance(graph, bytes) else str(graph)
    session = import_onnxruntime().InferenceSession(content, providers=["CPUExecutionProvider"])
    inputs = [value.name for value in session.get_inputs()]
    outputs = [value.name for value in session.get_outputs()]

    def run(*batches: FloatArray) -> dict[str, FloatArray]:
        given = {name: batch.astype(np.float32) for name, batch in zip(inputs, batches, strict=True)}
        return dict(zip(outputs, session.run(outputs, given), strict=True))

    return run
