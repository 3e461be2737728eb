"""Opening a model: files that are damaged, foreign or do not belong together are refused."""

from __future__ import annotations

import hashlib
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
from genre_runtime.metadata import AUDIO_METADATA_KEY, LABELS_METADATA_KEY
from tests.synthetic import tone


def _edit_sidecar(model_path: Path, edit: Callable[[dict[str, Any]], None]) -> None:
    path = model_path.with_suffix(".json")
    values = json.loads(path.read_text(encoding="utf-8"))
    edit(values)
    path.write_text(json.dumps(values), encoding="utf-8")


def _sign(model_path: Path) -> None:
    """Make the sidecar vouch for the graph as it is."""
    sha256 = hashlib.sha256(model_path.read_bytes()).hexdigest()
    _edit_sidecar(model_path, lambda values: values["graphs"]["waveform"].update(sha256=sha256))


def _set_graph_metadata(model_path: Path, **facts: str) -> None:
    """Replace what the graph says of itself, and sign it."""
    graph = onnx.load(model_path)
    del graph.metadata_props[:]
    for key, value in facts.items():
        graph.metadata_props.add(key=key.replace("_", "."), value=value)
    onnx.save(graph, model_path)
    _sign(model_path)


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
    _sign(model_path)
    with pytest.raises(InvalidModelError, match="ONNX Runtime"):
        GenreClassifier.load(model_path, device="cpu")


def test_foreign_graph_carries_no_metadata(model_path: Path) -> None:
    _set_graph_metadata(model_path)
    with pytest.raises(InvalidModelError, match=r"carries no genre\.audio"):
        GenreClassifier.load(model_path, device="cpu")
    _set_graph_metadata(model_path, genre_audio=AUDIO, genre_labels="no JSON")
    with pytest.raises(InvalidModelError, match=r"carries no genre\.labels"):
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


def test_the_spectrogram_graph_is_checked_when_it_is_used(model_path: Path) -> None:
    model_path.with_name("best_model.logmel.onnx").unlink()
    classifier = GenreClassifier.load(model_path, device="cpu")
    assert classifier.classify(tone(1), 22_050).label == "tone"
    with pytest.raises(ModelNotFoundError, match="logmel"):
        classifier.classify_log_mel(np.zeros((128, 10), np.float32))
