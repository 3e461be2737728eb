"""The two graphs of a model, and how a torch module becomes an ONNX file that describes itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn

from genre_export.frontend import LogMelFrontEnd
from genre_runtime.metadata import AUDIO_METADATA_KEY, LABELS_METADATA_KEY, AudioConfig, ModelMetadata

OPSET = 20
PLAIN_FACTS = ("excerpt_seconds", "n_excerpts", "temperature", "confidence_threshold")
HEADLINE_METRICS = ("val_acc", "val_loss", "epoch", "macro_f1")


class LogMelGraph(nn.Module):
    """`log_mel` (batch, n_mels, n_frames) to `logits` (divided by the temperature) and `embedding`."""

    def __init__(self, network: nn.Module, temperature: float) -> None:
        super().__init__()
        self.network = network
        self.temperature = temperature

    def forward(self, log_mel: Tensor) -> tuple[Tensor, Tensor]:
        """Return `logits` (batch, n_labels) and `embedding` (batch, n_features)."""
        logits, embedding = self.network(log_mel)
        return logits / self.temperature, embedding


class WaveformGraph(nn.Module):
    """`waveform` (batch, n_samples) to `logits`, `embedding` and `log_mel`: the whole chain in one graph."""

    def __init__(self, network: nn.Module, temperature: float, audio: AudioConfig) -> None:
        super().__init__()
        self.front_end = LogMelFrontEnd(audio)
        self.classifier = LogMelGraph(network, temperature)

    def forward(self, waveform: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return `logits` (batch, n_labels), `embedding` (batch, n_features), `log_mel` (batch, n_mels, n_frames)."""
        log_mel = self.front_end(waveform)
        logits, embedding = self.classifier(log_mel)
        return logits, embedding, log_mel


def write_waveform_graph(graph: WaveformGraph, path: Path, metadata: Mapping[str, str]) -> None:
    """Write the graph with dynamic batch and n_samples."""
    audio = graph.front_end.config
    example = torch.randn(2, 4 * audio.sample_rate) * 0.1
    _write(
        graph,
        example,
        (0, 1),
        ["waveform"],
        ["logits", "embedding", "log_mel"],
        path,
        metadata,
    )


def write_log_mel_graph(graph: LogMelGraph, audio: AudioConfig, path: Path, metadata: Mapping[str, str]) -> None:
    """Write the graph with dynamic batch and n_frames."""
    example = torch.rand(2, audio.n_mels, 37) * -audio.top_db
    _write(graph, example, (0, 2), ["log_mel"], ["logits", "embedding"], path, metadata)


def graph_metadata(metadata: ModelMetadata) -> dict[str, str]:
    """Return what a graph tells of itself, each value as JSON and equal to the sidecar's.

    The runtime compares `genre.audio` and `genre.labels` with the sidecar. The rest is for those who have the graph
    alone; of the metrics they get those in `HEADLINE_METRICS`.
    """
    facts = {
        AUDIO_METADATA_KEY: asdict(metadata.audio),
        LABELS_METADATA_KEY: list(metadata.labels),
        **{f"genre.{name}": getattr(metadata, name) for name in PLAIN_FACTS},
        "genre.metrics": {name: metadata.metrics.get(name) for name in HEADLINE_METRICS},
        "genre.versions": metadata.provenance.get("versions", {}),
        "genre.provenance": metadata.provenance,
    }
    return {key: json.dumps(value) for key, value in facts.items()}


def _write(
    graph: nn.Module,
    example: Tensor,
    dynamic_axes: tuple[int, ...],
    inputs: list[str],
    outputs: list[str],
    path: Path,
    metadata: Mapping[str, str],
) -> None:
    program = torch.onnx.export(
        graph.eval(),
        (example,),
        input_names=inputs,
        output_names=outputs,
        dynamic_shapes=(dict.fromkeys(dynamic_axes, torch.export.Dim.DYNAMIC),),
        opset_version=OPSET,
        dynamo=True,
        verbose=False,
    )
    assert program is not None  # None only when asked to write the file itself
    model = program.model_proto
    # The exporter names dimensions by formulas over its own symbols; people get the words instead.
    words = {("waveform", 1): "n_samples", ("log_mel", 2): "n_frames"}
    for value in (*model.graph.input, *model.graph.output):
        for axis, dimension in enumerate(value.type.tensor_type.shape.dim):
            if dimension.dim_param:
                dimension.dim_param = words.get((value.name, axis), "batch")
    # The exporter notes for every part where in its maker's source tree it comes from: nobody else's business.
    for part in (model.graph, *model.graph.node, *model.graph.initializer, *model.graph.value_info):
        del part.metadata_props[:]
    for key, value in metadata.items():
        model.metadata_props.add(key=key, value=value)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)
