"""From a checkpoint to a published model: two graphs, the sidecar and the card, behind the parity gate."""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from genre_export.audio_files import score_audio_files
from genre_export.card import model_card
from genre_export.graphs import WaveformGraph, graph_metadata, write_log_mel_graph, write_waveform_graph
from genre_export.parity import Run, check_parity, measure_parity
from genre_export.version import __version__
from genre_runtime.classifier import GenreClassifier
from genre_runtime.features import FloatArray
from genre_runtime.metadata import AudioConfig, GraphFile, ModelMetadata
from genre_runtime.session import import_onnxruntime
from genre_training.checkpoint import Checkpoint, CheckpointError, load_checkpoint
from genre_training.scoring import network_of

GRAPH_FILES = {"waveform": "best_model.onnx", "log_mel": "best_model.logmel.onnx"}
SIDECAR_FILE = "best_model.json"
CARD_FILE = "MODEL_CARD.md"


def publish(checkpoint_path: Path, output: Path, data_folder: Path | None = None) -> dict[str, float]:
    """Export a checkpoint into `output`; on any error the files there stay as they were.

    Parameters
    ----------
    checkpoint_path : Path
    output : Path
        Folder for the graphs, the sidecar and the model card.
    data_folder : Path, optional
        Its `audio` part is classified through the finished graph and the figures go into the sidecar.

    Returns
    -------
    dict of str to float
        The measured differences, by the names of `TOLERANCES`.

    Raises
    ------
    CheckpointError, DataError, ParityError
    """
    checkpoint = load_checkpoint(checkpoint_path)
    try:
        audio = AudioConfig.from_dict(checkpoint["audio"])
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{checkpoint_path} was written by another version of this project: {error}") from error
    labels = tuple(checkpoint["labels"])
    graph = WaveformGraph(network_of(checkpoint), float(checkpoint.get("temperature", 1.0)), audio).eval()
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output, prefix=".export-") as folder:
        staging = Path(folder)
        facts = graph_metadata(audio, labels)
        write_waveform_graph(graph, staging / GRAPH_FILES["waveform"], facts)
        write_log_mel_graph(graph.classifier, audio, staging / GRAPH_FILES["log_mel"], facts)
        worst = measure_parity(
            graph, _runner(staging / GRAPH_FILES["waveform"]), _runner(staging / GRAPH_FILES["log_mel"])
        )
        check_parity(worst)
        metadata = _metadata(checkpoint, audio, labels, staging, worst)
        sidecar = staging / SIDECAR_FILE
        sidecar.write_text(metadata.to_json(), encoding="utf-8")
        if data_folder is not None:
            classifier = GenreClassifier.load(staging / GRAPH_FILES["waveform"], device="cpu", threads=1)
            scores = score_audio_files(classifier, data_folder, checkpoint.get("held_out", {}))
            metadata = replace(metadata, metrics={**metadata.metrics, "audio_files": scores})
            sidecar.write_text(metadata.to_json(), encoding="utf-8")
        (staging / CARD_FILE).write_text(model_card(metadata), encoding="utf-8")
        # The sidecar goes last: until then the runtime finds old and new parts apart by their sha256.
        for name in (*GRAPH_FILES.values(), CARD_FILE, SIDECAR_FILE):
            (staging / name).replace(output / name)
    return worst


def _metadata(
    checkpoint: Checkpoint, audio: AudioConfig, labels: tuple[str, ...], folder: Path, parity: dict[str, float]
) -> ModelMetadata:
    metrics: dict[str, Any] = checkpoint.get("metrics", {})
    validation = metrics.get("validation", {})
    return ModelMetadata(
        labels=labels,
        audio=audio,
        graphs={
            kind: GraphFile(name, hashlib.sha256((folder / name).read_bytes()).hexdigest())
            for kind, name in GRAPH_FILES.items()
        },
        excerpt_seconds=float(checkpoint.get("excerpt_seconds", 10.0)),
        temperature=float(checkpoint.get("temperature", 1.0)),
        confidence_threshold=float(checkpoint.get("confidence_threshold", 1.0)),
        metrics={
            "val_acc": checkpoint["val_acc"],
            "val_loss": checkpoint["val_loss"],
            "epoch": checkpoint["epoch"],
            "macro_f1": validation.get("macro_f1"),
            "confusion_matrix": validation.get("confusion_matrix"),
            "history": checkpoint.get("history", []),
            **metrics,
        },
        provenance={
            **checkpoint.get("provenance", {}),
            "recipe": checkpoint.get("recipe", {}),
            "n_parameters": sum(tensor.numel() for tensor in network_of(checkpoint).parameters()),
            "genre_export": __version__,
            "parity": parity,
        },
    )


def _runner(path: Path) -> Run:
    session = import_onnxruntime().InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (source,) = [value.name for value in session.get_inputs()]
    names = [value.name for value in session.get_outputs()]

    def run(batch: FloatArray) -> dict[str, FloatArray]:
        outputs = session.run(names, {source: batch.astype(np.float32)})
        return dict(zip(names, outputs, strict=True))

    return run
