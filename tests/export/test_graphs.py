"""The exported graphs: any batch, any length, named dimensions, metadata, plain operators."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx.utils import Extractor

from genre_export.graphs import WaveformGraph
from genre_export.parity import TOLERANCES
from genre_runtime.audio.excerpts import FloatArray
from genre_runtime.model.features import log_mel_spectrogram
from genre_runtime.model.metadata import AUDIO_METADATA_KEY, FINE_AUDIO, LABELS_METADATA_KEY, AudioConfig
from genre_training.model.fusion import published_tags
from genre_training.model.tags import TAG_CLASSES
from tests.export.tiny import LABELS, NETWORK, TEMPERATURE, tiny_fused_network, tiny_network
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


@pytest.mark.parametrize("n_samples", [1, 3839, 3840, 3841, RATE, 10 * RATE, 120 * RATE])
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
    """Otherwise the comparisons above would pass for a graph that ignores its input."""
    batch = np.stack([noise(1), np.sin(np.arange(RATE) / 5).astype(np.float32)])
    first, second = run(waveform_graph, batch)["logits"]
    assert np.abs(first - second).max() > 0.05


@pytest.mark.parametrize("kind", FILES)
def test_graph_says_of_itself_what_the_sidecar_says(published: Path, kind: str) -> None:
    model = onnx.load(published / FILES[kind])
    facts = {prop.key: json.loads(prop.value) for prop in model.metadata_props if prop.key.startswith("genre.")}
    sidecar = json.loads((published / "best_model.json").read_text(encoding="utf-8"))
    provenance = sidecar["provenance"]
    del provenance["parity"]  # measured on the finished graphs, so it cannot be part of them
    assert facts == {
        AUDIO_METADATA_KEY: sidecar["audio"],
        "genre.fine_audio": None,
        "genre.tags": [],
        "genre.genre_set_threshold": 0.05,
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


def test_front_ends_need_no_fourier_operator_and_no_gather(published_fused: Path) -> None:
    """The CUDA provider has no kernel for the first; matrix products run everywhere."""
    model = onnx.load(published_fused / FILES["waveform"])
    front_ends = Extractor(model).extract_model(["waveform"], ["log_mel", "fine_log_mel"])
    arithmetic = shape_arithmetic(front_ends)
    operators = {node.op_type for node in front_ends.graph.node if node.name not in arithmetic}
    assert "MatMul" in operators
    assert not operators & {"STFT", "DFT", "Loop", "Scan", "If", "Gather", "GatherND", "GatherElements"}
    assert not any(node.domain for node in model.graph.node)


def shape_arithmetic(model: onnx.ModelProto) -> set[str]:
    """Names of the nodes whose outputs are integers: they compute numbers of frames."""
    inferred = onnx.shape_inference.infer_shapes(model)
    integers = {
        value.name for value in inferred.graph.value_info if value.type.tensor_type.elem_type == onnx.TensorProto.INT64
    }
    return {node.name for node in model.graph.node if integers.issuperset(node.output)}


@pytest.fixture(scope="module")
def fused_graphs(published_fused: Path) -> dict[str, Any]:
    return {kind: open_graph(published_fused / name) for kind, name in FILES.items()}


@pytest.mark.parametrize("n_samples", [1, 2, 320, 3841, 3 * RATE])
def test_two_branches_come_back_as_torch_computes_them(fused_graphs: dict[str, Any], n_samples: int) -> None:
    batch = np.stack([noise(3)[:n_samples], 3 * noise(3, seed=1)[:n_samples]])
    outputs = run(fused_graphs["waveform"], batch)
    assert list(outputs) == ["logits", "tags", "embedding", "log_mel", "fine_log_mel"]
    log_mels = np.stack([log_mel_spectrogram(clip, CONFIG) for clip in batch])
    fine = np.stack([log_mel_spectrogram(clip, FINE_AUDIO) for clip in batch])
    np.testing.assert_allclose(outputs["log_mel"], log_mels, atol=TOLERANCES["onnx log_mel"].limit)
    np.testing.assert_allclose(outputs["fine_log_mel"], fine, atol=TOLERANCES["onnx fine_log_mel"].limit)
    network = tiny_fused_network()
    with torch.inference_mode():
        logits, tags, embedding = network(torch.from_numpy(log_mels), torch.from_numpy(fine))
        picture, _ = network.picture(torch.from_numpy(log_mels))
    assert outputs["tags"].shape == (2, len(TAG_CLASSES))
    np.testing.assert_allclose(outputs["logits"], logits / TEMPERATURE, atol=1e-3)
    np.testing.assert_allclose(outputs["tags"], tags, atol=1e-3)
    np.testing.assert_allclose(outputs["embedding"], embedding, atol=1e-3)
    from_log_mel = run(fused_graphs["log_mel"], log_mels)
    assert list(from_log_mel) == ["logits", "embedding"]
    np.testing.assert_allclose(from_log_mel["logits"], picture / TEMPERATURE, atol=1e-3)


def test_dimensions_of_two_branches_have_names(fused_graphs: dict[str, Any]) -> None:
    shapes = {value.name: value.shape for value in fused_graphs["waveform"].get_outputs()}
    assert shapes["tags"] == ["batch", len(TAG_CLASSES)]
    assert shapes["log_mel"] == ["batch", CONFIG.n_mels, "n_frames"]
    assert shapes["fine_log_mel"] == ["batch", FINE_AUDIO.n_mels, "n_fine_frames"]


@torch.inference_mode()
def test_audio_branch_alone_answers_tags() -> None:
    network = tiny_fused_network().audio
    graph = WaveformGraph(network, TEMPERATURE, FINE_AUDIO).eval()
    waveform = torch.from_numpy(noise(1))[None]
    outputs = dict(zip(graph.outputs, graph(waveform), strict=True))
    assert list(outputs) == ["logits", "tags", "embedding", "log_mel"]
    logits, embedding = network(graph.front_end(waveform))
    expected = network.read_classes(embedding)[:, published_tags()]
    torch.testing.assert_close(outputs["tags"], expected)
    torch.testing.assert_close(outputs["logits"], logits / TEMPERATURE)


@pytest.mark.parametrize("name", ["best_model.onnx", "best_model.logmel.onnx"])
def test_graphs_do_not_tell_where_they_were_made(published: Path, name: str) -> None:
    content = (published / name).read_bytes()
    assert b".py" not in content
    assert str(Path(__file__).parents[2]).encode() not in content
