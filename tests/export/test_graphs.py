"""The exported graphs: any batch, any length, named dimensions, facts about themselves, plain operators."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from genre_export.parity import TOLERANCES
from genre_runtime.audio.excerpts import FloatArray
from genre_runtime.model.features import log_mel_spectrogram
from genre_runtime.model.metadata import AUDIO_METADATA_KEY, LABELS_METADATA_KEY, AudioConfig
from tests.export.tiny import LABELS, NETWORK, TEMPERATURE, tiny_network
from tests.synthetic import RATE, noise

CONFIG = AudioConfig()
FILES = {"waveform": "best_model.onnx", "log_mel": "best_model.logmel.onnx"}
N_FEATURES = 2 * NETWORK.widths[-1]


def open_graph(path: Path) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


@pytest.fixture(scope="module")
def waveform_graph(published: Path) -> Any:
    return open_graph(published / FILES["waveform"])


@pytest.fixture(scope="module")
def log_mel_graph(published: Path) -> Any:
    return open_graph(published / FILES["log_mel"])


def run(graph: Any, batch: FloatArray) -> dict[str, FloatArray]:
    names = [output.name for output in graph.get_outputs()]
    return dict(zip(names, graph.run(names, {graph.get_inputs()[0].name: batch}), strict=True))


def test_dimensions_have_names(waveform_graph: Any, log_mel_graph: Any) -> None:
    def shapes(values: Any) -> dict[str, list[str | int]]:
        return {value.name: value.shape for value in values}

    answers = {"logits": ["batch", len(LABELS)], "embedding": ["batch", N_FEATURES]}
    log_mel = {"log_mel": ["batch", CONFIG.n_mels, "n_frames"]}
    assert shapes(waveform_graph.get_inputs()) == {"waveform": ["batch", "n_samples"]}
    assert shapes(waveform_graph.get_outputs()) == {**answers, **log_mel}
    assert shapes(log_mel_graph.get_inputs()) == log_mel
    assert shapes(log_mel_graph.get_outputs()) == answers
    for graph in (waveform_graph, log_mel_graph):
        assert {value.type for value in (*graph.get_inputs(), *graph.get_outputs())} == {"tensor(float)"}


@pytest.mark.parametrize("batch", [1, 2, 3, 16, 64])
def test_any_batch_and_each_clip_on_its_own(waveform_graph: Any, batch: int) -> None:
    waveforms = np.stack([noise(0.5, seed=seed) * (1 + seed) for seed in range(batch)])
    outputs = run(waveform_graph, waveforms)
    assert outputs["logits"].shape == (batch, len(LABELS))
    assert outputs["embedding"].shape == (batch, N_FEATURES)
    assert outputs["log_mel"].shape == (batch, CONFIG.n_mels, CONFIG.n_frames(waveforms.shape[1]))
    alone = run(waveform_graph, waveforms[-1:])
    for name in outputs:
        np.testing.assert_allclose(outputs[name][-1], alone[name][0], atol=1e-3)


@pytest.mark.parametrize("n_samples", [1, 2645, 2646, 2647, RATE, 10 * RATE, 120 * RATE])
def test_any_length_from_one_sample_to_two_minutes(waveform_graph: Any, n_samples: int) -> None:
    waveform = noise(120)[:n_samples]
    outputs = run(waveform_graph, waveform[None])
    expected = log_mel_spectrogram(waveform, CONFIG)
    np.testing.assert_allclose(outputs["log_mel"][0], expected, atol=TOLERANCES["onnx log_mel"].limit)
    with torch.inference_mode():
        logits, embedding = tiny_network()(torch.from_numpy(expected)[None])
    np.testing.assert_allclose(outputs["logits"], logits / TEMPERATURE, atol=TOLERANCES["onnx logits"].limit)
    np.testing.assert_allclose(outputs["embedding"], embedding, atol=TOLERANCES["onnx embedding"].limit)


@pytest.mark.parametrize(("batch", "n_frames"), [(1, 1), (64, 2), (3, 83), (1, 1001)])
def test_spectrogram_graph_takes_any_batch_and_length(log_mel_graph: Any, batch: int, n_frames: int) -> None:
    log_mel = np.random.default_rng(0).uniform(-80, 0, (batch, CONFIG.n_mels, n_frames)).astype(np.float32)
    with torch.inference_mode():
        logits, _ = tiny_network()(torch.from_numpy(log_mel))
    np.testing.assert_allclose(run(log_mel_graph, log_mel)["logits"], logits / TEMPERATURE, atol=1e-3)


def test_logits_tell_clips_apart(waveform_graph: Any) -> None:
    """Else the comparisons above would hold for a graph that ignores its input."""
    batch = np.stack([noise(1), np.sin(np.arange(RATE) / 5).astype(np.float32)])
    first, second = run(waveform_graph, batch)["logits"]
    assert np.abs(first - second).max() > 0.05


@pytest.mark.parametrize("kind", FILES)
def test_graph_says_of_itself_what_the_sidecar_says(published: Path, kind: str) -> None:
    model = onnx.load(published / FILES[kind])
    facts = {prop.key: json.loads(prop.value) for prop in model.metadata_props if prop.key.startswith("genre.")}
    sidecar = json.loads((published / "best_model.json").read_text(encoding="utf-8"))
    provenance = sidecar["provenance"]
    del provenance["parity"]  # measured on the finished graphs, so it cannot stand in them
    assert facts == {
        AUDIO_METADATA_KEY: sidecar["audio"],
        LABELS_METADATA_KEY: sidecar["labels"],
        "genre.temperature": sidecar["temperature"],
        "genre.confidence_threshold": sidecar["confidence_threshold"],
        "genre.excerpt_seconds": sidecar["excerpt_seconds"],
        "genre.n_excerpts": sidecar["n_excerpts"],
        "genre.metrics": {name: sidecar["metrics"][name] for name in ("val_acc", "val_loss", "epoch", "macro_f1")},
        "genre.versions": provenance["versions"],
        "genre.provenance": provenance,
    }
    assert facts["genre.temperature"] == TEMPERATURE
    assert facts["genre.metrics"]["val_loss"] == 1.0625
    assert facts["genre.versions"] == {"torch": "2.6"}


def test_front_end_needs_no_fourier_operator(published: Path) -> None:
    """The CUDA provider has no kernel for them; matrix products run everywhere."""
    operators = {node.op_type for node in onnx.load(published / FILES["waveform"]).graph.node}
    assert "MatMul" in operators
    assert not operators & {"STFT", "DFT", "Loop", "Scan", "If"}
    assert not any(node.domain for node in onnx.load(published / FILES["waveform"]).graph.node)


@pytest.mark.parametrize("name", ["best_model.onnx", "best_model.logmel.onnx"])
def test_graphs_do_not_tell_where_they_were_made(published: Path, name: str) -> None:
    content = (published / name).read_bytes()
    assert b".py" not in content
    assert str(Path(__file__).parents[2]).encode() not in content
