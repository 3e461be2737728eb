"""Opening a model: files that are damaged or do not match are refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from genre_runtime import AudioConfig, GenreClassifier
from genre_runtime.errors import InvalidModelError, ModelNotFoundError
from genre_runtime.model.metadata import AUDIO_METADATA_KEY, LABELS_METADATA_KEY, read_metadata
from genre_runtime.model.session import create_session
from tests.synthetic import GRAPHS, RATE, sign, tone


def _edit_sidecar(model_path: Path, edit: Callable[[dict[str, Any]], None]) -> None:
    path = model_path.with_suffix(".json")
    values = json.loads(path.read_text(encoding="utf-8"))
    edit(values)
    path.write_text(json.dumps(values), encoding="utf-8")


def _set_graph_metadata(model_path: Path, **facts: str) -> None:
    """Replace the metadata of the graph, and write its sha256 into the sidecar."""
    graph = onnx.load(model_path)
    del graph.metadata_props[:]
    for key, value in facts.items():
        graph.metadata_props.add(key=key.replace("_", "."), value=value)
    onnx.save(graph, model_path)
    sign(model_path)


AUDIO = json.dumps(asdict(AudioConfig()))
LABELS = json.dumps(["noise", "quiet", "tone"])


def test_keys_of_these_tests_are_those_of_the_package() -> None:
    assert {AUDIO_METADATA_KEY, LABELS_METADATA_KEY} == {"genre.audio", "genre.labels"}


def test_tampered_graph(model_path: Path) -> None:
    content = bytearray(model_path.read_bytes())
    content[len(content) // 2] ^= 1
    model_path.write_bytes(content)
    with pytest.raises(InvalidModelError, match="sha256"):
        GenreClassifier.load(model_path, device="cpu")


def test_truncated_graph(model_path: Path) -> None:
    model_path.write_bytes(model_path.read_bytes()[:-10])
    with pytest.raises(InvalidModelError, match="cut short"):
        GenreClassifier.load(model_path, device="cpu")


@pytest.mark.parametrize("content", [b"", b"no graph at all"])
def test_graph_that_onnxruntime_cannot_read(model_path: Path, content: bytes) -> None:
    model_path.write_bytes(content)
    sign(model_path)
    with pytest.raises(InvalidModelError, match="ONNX Runtime"):
        GenreClassifier.load(model_path, device="cpu")


def test_foreign_graph_carries_no_metadata(model_path: Path) -> None:
    _set_graph_metadata(model_path)
    with pytest.raises(InvalidModelError, match=r"has no metadata genre\.audio"):
        GenreClassifier.load(model_path, device="cpu")
    _set_graph_metadata(model_path, genre_audio=AUDIO, genre_labels="no JSON")
    with pytest.raises(InvalidModelError, match=r"has no metadata genre\.labels"):
        GenreClassifier.load(model_path, device="cpu")


def test_graph_with_the_same_metadata_is_accepted(model_path: Path) -> None:
    _set_graph_metadata(model_path, genre_audio=AUDIO, genre_labels=LABELS)
    assert GenreClassifier.load(model_path, device="cpu").labels == ("noise", "quiet", "tone")


def test_graph_and_sidecar_disagree_on_labels(model_path: Path) -> None:
    _edit_sidecar(model_path, lambda values: values.update(labels=["noise", "tone", "quiet"]))
    with pytest.raises(InvalidModelError, match=r"disagree on genre\.labels"):
        GenreClassifier.load(model_path, device="cpu")


def test_graph_and_sidecar_disagree_on_audio(model_path: Path) -> None:
    audio = asdict(replace(AudioConfig(), hop_length=512))
    _edit_sidecar(model_path, lambda values: values.update(audio=audio))
    with pytest.raises(InvalidModelError, match=r"disagree on genre\.audio"):
        GenreClassifier.load(model_path, device="cpu")


def test_graph_with_another_number_of_outputs(model_path: Path) -> None:
    labels = ["noise", "quiet", "tone", "more"]
    _set_graph_metadata(model_path, genre_audio=AUDIO, genre_labels=json.dumps(labels))
    _edit_sidecar(model_path, lambda values: values.update(labels=labels))
    with pytest.raises(InvalidModelError, match=r"3 outputs .* 4 labels"):
        GenreClassifier.load(model_path, device="cpu")


def test_missing_sidecar_and_missing_graph(model_path: Path) -> None:
    graph = model_path.read_bytes()
    model_path.unlink()
    with pytest.raises(ModelNotFoundError) as caught:
        GenreClassifier.load(model_path, device="cpu")
    assert caught.value.path == model_path
    model_path.write_bytes(graph)
    model_path.with_suffix(".json").unlink()
    with pytest.raises(ModelNotFoundError) as caught:
        GenreClassifier.load(model_path, device="cpu")
    assert caught.value.path == model_path.with_suffix(".json")
    assert isinstance(caught.value, FileNotFoundError)


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("", "it is a folder; name the graph in it"),
        ("best_model.json", "expected the graph of a model"),
        ("best_model.pt", "expected the graph of a model"),
        ("best_model.logmel.onnx", "this graph takes spectrograms; name best_model.onnx"),
        ("none.onnx", "`invoke export` writes it and its sidecar"),
        ("nul\0.onnx", "`invoke export` writes it and its sidecar"),
        (f"{'long' * 100}.onnx", "`invoke export` writes it and its sidecar"),
    ],
)
def test_a_path_that_is_no_model_says_what_to_name(model_path: Path, name: str, advice: str) -> None:
    model_path.with_name("best_model.pt").touch()
    with pytest.raises(ModelNotFoundError) as caught:
        GenreClassifier.load(model_path.with_name(name) if name else model_path.parent)
    assert advice in str(caught.value)
    assert caught.value.path.name == (name or model_path.parent.name)


def test_the_spectrogram_graph_is_checked_when_it_is_used(model_path: Path) -> None:
    model_path.with_name("best_model.logmel.onnx").unlink()
    classifier = GenreClassifier.load(model_path, device="cpu")
    assert classifier.classify(tone(1), RATE).label == "tone"
    with pytest.raises(ModelNotFoundError, match="logmel"):
        classifier.classify_log_mel(np.zeros((128, 10), np.float32))


def _without_embedding(graph: onnx.ModelProto) -> None:
    del graph.graph.output[1]


def _with_another_input(graph: onnx.ModelProto) -> None:
    graph.graph.input.append(onnx.helper.make_tensor_value_info("more", onnx.TensorProto.FLOAT, [1]))


def _renamed(graph: onnx.ModelProto) -> None:
    old = graph.graph.input[0].name
    graph.graph.input[0].name = "audio"
    for node in graph.graph.node:
        node.input[:] = ["audio" if name == old else name for name in node.input]


def _of_one_length(graph: onnx.ModelProto) -> None:
    graph.graph.input[0].type.tensor_type.shape.dim[-1].dim_value = 100


def _of_batch_one(graph: onnx.ModelProto) -> None:
    graph.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1


def _of_other_bands(graph: onnx.ModelProto) -> None:
    graph.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 64


def _in_float16(graph: onnx.ModelProto) -> None:
    graph.graph.node.append(onnx.helper.make_node("Cast", ["logits"], ["half"], to=onnx.TensorProto.FLOAT16))
    for node in graph.graph.node:
        node.output[:] = [{"logits": "full", "half": "logits"}.get(name, name) for name in node.output]
    graph.graph.node[-1].input[0] = "full"
    graph.graph.output[0].type.tensor_type.elem_type = onnx.TensorProto.FLOAT16


@pytest.mark.parametrize(
    ("kind", "change", "words"),
    [
        ("waveform", _without_embedding, "has the outputs logits: expected embedding"),
        ("log_mel", _without_embedding, "has the outputs logits: expected embedding"),
        ("waveform", _with_another_input, "has the inputs waveform, more: expected waveform alone"),
        ("waveform", _renamed, "has the inputs audio: expected waveform alone"),
        ("waveform", _of_one_length, r"shape \(batch, 100\): expected .* any batch and length"),
        ("waveform", _of_batch_one, r"shape \(1, n_samples\): expected .* any batch and length"),
        ("log_mel", _of_other_bands, r"shape \(batch, 64, n_frames\)"),
        ("waveform", _in_float16, r"has the output logits as tensor\(float16\)"),
    ],
)
def test_foreign_graph_that_is_signed_is_refused(
    model_path: Path, kind: str, change: Callable[[onnx.ModelProto], None], words: str
) -> None:
    path = model_path.with_name(GRAPHS[kind])
    graph = onnx.load(path)
    change(graph)
    onnx.save(graph, path)
    sign(model_path, kind)
    with pytest.raises(InvalidModelError, match=words):
        GenreClassifier.load(model_path, device="cpu").classify_log_mel(np.zeros((128, 10), np.float32))


def test_graph_that_fails_when_it_runs_is_a_typed_error(model_path: Path) -> None:
    graph = onnx.load(model_path)
    graph.graph.node.insert(0, onnx.helper.make_node("Reshape", ["waveform", "shape"], ["seven"]))
    graph.graph.node[1].input[0] = "seven"
    graph.graph.initializer.append(onnx.helper.make_tensor("shape", onnx.TensorProto.INT64, [2], [-1, 7]))
    onnx.save(graph, model_path)
    sign(model_path)
    classifier = GenreClassifier.load(model_path, device="cpu")
    with pytest.raises(InvalidModelError, match=r"cannot run the model on waveform \(1, 31501\).*export"):
        classifier.classify(np.ones(31_501, np.float32), RATE)
    with pytest.raises(InvalidModelError, match=r"waveform \(1, 31500\) with 4,500 rows"):  # seven samples a row
        classifier.classify(np.ones(31_500, np.float32), RATE)


def test_no_plan_of_memory_is_kept_for_every_length(model_path: Path) -> None:
    """ONNX Runtime keeps one for each new shape; the lengths of last excerpts differ, so memory would fill up."""
    metadata = read_metadata(model_path)
    for kind, name in GRAPHS.items():
        session, _ = create_session(model_path.with_name(name), metadata, kind, "cpu", 1)
        assert not session.get_session_options().enable_mem_pattern


@pytest.mark.parametrize("threads", [1, 3])
def test_a_graph_runs_on_as_many_threads_as_asked_for(model_path: Path, threads: int) -> None:
    session, _ = create_session(model_path, read_metadata(model_path), "waveform", "cpu", threads)
    assert session.get_session_options().intra_op_num_threads == threads
