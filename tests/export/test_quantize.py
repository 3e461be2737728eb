"""Variants in lower precision: made from the published graphs, measured, and published only if they pay."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import ModelProto

from genre_export import quantize as publish_variants_module
from genre_export.cli import main
from genre_export.graphs import WaveformGraph, write_branches_graph
from genre_export.quantize import (
    float16_network,
    int8_network,
    publish_variants,
    variants_table,
    with_front_ends,
    with_metadata_of,
)
from genre_export.quantize_gate import Clips, Timing, VariantScore, measure_times
from genre_export.schema import check_sidecar
from genre_runtime import GenreClassifier
from genre_runtime.audio.excerpts import FloatArray
from genre_runtime.model.features import log_mel_spectrogram
from genre_runtime.model.metadata import FINE_AUDIO, AudioConfig, read_metadata
from genre_training.data.track import DataError
from genre_training.model.checkpoint import Checkpoint, CheckpointError, load_checkpoint, save_checkpoint
from tests.export.replaced_files import in_order_of_replacement
from tests.export.tiny import LABELS, TEMPERATURE, tiny_fused_network
from tests.synthetic import RATE, noise, tone, write_audio
from tests.training.miniature import write_index

N_CLIPS = 6


def waveforms(seconds: float = 3) -> FloatArray:
    return np.stack([tone(seconds, frequency=220 * 2**i) + noise(seconds, seed=i) for i in range(4)])


def run(model: ModelProto, name: str, batch: FloatArray) -> dict[str, FloatArray]:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {name: batch}), strict=True))


@pytest.fixture(scope="module")
def graphs(published: Path) -> dict[str, ModelProto]:
    """Both published graphs."""
    return {
        "waveform": onnx.load(published / "best_model.onnx"),
        "log_mel": onnx.load(published / "best_model.logmel.onnx"),
    }


@pytest.fixture(scope="module")
def networks(graphs: dict[str, ModelProto]) -> dict[str, ModelProto]:
    log_mels = np.stack([log_mel_spectrogram(clip, AudioConfig()) for clip in waveforms()])
    return {
        "float16": float16_network(graphs["log_mel"]),
        "int8": int8_network(graphs["log_mel"], {"log_mel": log_mels}),
    }


@pytest.mark.parametrize(("name", "largest"), [("float16", 0.05), ("int8", 0.25)])
def test_variant_answers_nearly_as_float32_but_not_quite(
    graphs: dict[str, ModelProto], networks: dict[str, ModelProto], name: str, largest: float
) -> None:
    """Almost equal, since it is the same network; not equal, since it is in lower precision and not a copy."""
    expected = run(graphs["waveform"], "waveform", waveforms())
    found = run(with_front_ends(graphs["waveform"], networks[name]), "waveform", waveforms())
    assert list(found) == list(expected)
    assert np.ptp(expected["logits"], axis=1).min() > 2 * largest  # else closeness would say little
    assert 0 < np.abs(found["logits"] - expected["logits"]).max() < largest
    np.testing.assert_array_equal(found["log_mel"], expected["log_mel"])


@pytest.mark.parametrize(
    ("name", "precision"), [("float16", onnx.TensorProto.FLOAT16), ("int8", onnx.TensorProto.INT8)]
)
def test_every_convolution_is_in_lower_precision_and_the_front_end_is_not(
    graphs: dict[str, ModelProto], networks: dict[str, ModelProto], name: str, precision: int
) -> None:
    joined = with_front_ends(graphs["waveform"], networks[name])
    types = {tensor.name: tensor.data_type for tensor in joined.graph.initializer}
    made_by = {value: node for node in joined.graph.node for value in node.output}
    convolutions = [node for node in joined.graph.node if node.op_type == "Conv"]
    assert convolutions
    for node in convolutions:
        weight = node.input[1] if name == "float16" else made_by[node.input[1]].input[0]
        assert types[weight] == precision
    front_end = [node for node in joined.graph.node if not node.name.startswith("network/")]
    assert {node.op_type for node in front_end} >= {"MatMul", "Log"}
    constants = {types[value] for node in front_end for value in node.input if value in types}
    assert constants == {onnx.TensorProto.FLOAT, onnx.TensorProto.INT64}


@pytest.mark.parametrize("name", ["float16", "int8"])
def test_variant_keeps_facts_and_shapes_of_the_published_graph(
    graphs: dict[str, ModelProto], networks: dict[str, ModelProto], name: str
) -> None:
    finished = with_metadata_of(with_front_ends(graphs["waveform"], networks[name]), graphs["waveform"])
    assert list(finished.metadata_props) == list(graphs["waveform"].metadata_props)
    assert list(finished.graph.output) == list(graphs["waveform"].graph.output)
    for batch, n_samples in ((1, 1), (3, 5000)):
        outputs = run(finished, "waveform", np.ones((batch, n_samples), np.float32))
        assert outputs["logits"].shape == (batch, len(LABELS))


def test_variants_of_two_branches_answer_nearly_as_float32(published_fused: Path, tmp_path: Path) -> None:
    waveform_graph = onnx.load(published_fused / "best_model.onnx")
    graph = WaveformGraph(tiny_fused_network(), TEMPERATURE, AudioConfig(), FINE_AUDIO)
    write_branches_graph(graph, tmp_path / "branches.onnx")
    branches = onnx.load(tmp_path / "branches.onnx")
    configs = {"log_mel": AudioConfig(), "fine_log_mel": FINE_AUDIO}
    clips = waveforms()
    spectrograms = {
        name: np.stack([log_mel_spectrogram(clip, config) for clip in clips]) for name, config in configs.items()
    }
    expected = run(waveform_graph, "waveform", clips)
    for converted, largest in ((float16_network(branches), 0.05), (int8_network(branches, spectrograms), 0.25)):
        found = run(with_front_ends(waveform_graph, converted), "waveform", clips)
        assert list(found) == list(expected)
        assert 0 < np.abs(found["logits"] - expected["logits"]).max() < largest
        np.testing.assert_allclose(found["tags"], expected["tags"], atol=largest)
        np.testing.assert_array_equal(found["fine_log_mel"], expected["fine_log_mel"])


@pytest.fixture(scope="module")
def exported() -> dict[bytes, ModelProto]:
    """Networks that were exported, by their weights."""
    return {}


@pytest.fixture(autouse=True)
def exported_once(exported: dict[bytes, ModelProto], monkeypatch: pytest.MonkeyPatch) -> None:
    """Export each network once: it takes seconds, and many tests measure the same ones."""
    export = publish_variants_module._branches

    def branches(checkpoint: Checkpoint, temperature: float, staging: Path) -> ModelProto:
        weights = hashlib.sha256(np.float64(temperature).tobytes())
        for tensor in checkpoint.model_state_dict.values():
            weights.update(tensor.numpy().tobytes())
        if weights.digest() not in exported:
            exported[weights.digest()] = export(checkpoint, temperature, staging)
        copy = ModelProto()
        copy.CopyFrom(exported[weights.digest()])
        return copy

    monkeypatch.setattr(publish_variants_module, "_branches", branches)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Labelled clips, two a genre."""
    folder = tmp_path_factory.mktemp("data")
    rows = [(f"x_{i}.wav", LABELS[i % 3], f"artist {i}", "x") for i in range(N_CLIPS)]
    write_index(folder / "audio" / "index.csv", ("file", "genre", "artist", "source"), rows)
    for i, (name, *_) in enumerate(rows):
        write_audio(folder / "audio" / name, tone(3, frequency=200 * (1 + i)) + noise(3, seed=i))
    return folder


@pytest.fixture
def models(published: Path, tmp_path: Path) -> Path:
    """The published model with a checkpoint that has validation clips."""
    folder = shutil.copytree(published, tmp_path / "models")
    checkpoint = load_checkpoint(folder / "best_model.pt")
    held_out = {"validation": ["x/0", "x/1", "x/2"], "test": ["x/3"]}
    save_checkpoint(replace(checkpoint, held_out=held_out), folder / "best_model.pt")
    return folder


def taking(*milliseconds: float) -> Any:
    """Fixed times of float32, float16 and int8: a test cannot rely on measured ones."""

    def times(paths: list[Path], *_: Any) -> list[Timing]:
        assert [path.name for path in paths] == ["best_model.onnx", "best_model.float16.onnx", "best_model.int8.onnx"]
        return [Timing(graph=one / 2, file=one) for one in milliseconds]

    return times


VARIANT_FILES = {"best_model.int8.onnx", "best_model.int8.logmel.onnx", "best_model.int8.json"}


def test_variant_that_pays_is_kept_and_loads_like_any_model(
    models: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(publish_variants_module, "measure_times", taking(3.0, 4.0, 2.0))
    placed = in_order_of_replacement(models, monkeypatch)
    before = {path.name for path in models.iterdir()}
    arguments = ["--checkpoint", str(models / "best_model.pt"), "--output", str(models), "--cache", str(tmp_path / "c")]
    assert main([*arguments, "--variants", "--data", str(data)]) == 0
    head, _, _, _, float32, float16, int8 = capsys.readouterr().out.splitlines()
    assert head.startswith("Accuracy on the network's 3 validation clips")
    assert float32.endswith("| 100.00% | 1.5 | 1.00 | 3.0 | 1.00 |  |")
    assert float16.endswith("| 4.0 | 0.75 | not kept: files not 1.1 times as fast |")
    assert int8.endswith("| 1.0 | 1.50 | 2.0 | 1.50 | kept |")
    assert {path.name for path in models.iterdir()} - before == VARIANT_FILES == set(placed)
    assert placed[-1] == "best_model.int8.json", "a sidecar without its graphs could be found"
    text = (models / "best_model.int8.json").read_text(encoding="utf-8")
    check_sidecar(text)
    assert json.loads(text)["provenance"]["variant"]["file_speed_up"] == 1.5
    variant = GenreClassifier.load(models / "best_model.int8.onnx", device="cpu", threads=1)
    float32_model = GenreClassifier.load(models / "best_model.onnx", device="cpu", threads=1)
    clip = tone(3) + noise(3)
    expected, found = (dict(one.classify(clip, RATE).probabilities) for one in (float32_model, variant))
    assert found == pytest.approx(expected, abs=0.1)
    assert found != expected
    spectrogram = log_mel_spectrogram(clip, AudioConfig())
    assert dict(variant.classify_log_mel(spectrogram).probabilities) == pytest.approx(found, abs=0.02)


def test_variant_that_no_longer_pays_is_removed(
    models: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in VARIANT_FILES:
        (models / name).touch()
    monkeypatch.setattr(publish_variants_module, "measure_times", taking(3.0, 3.0, 2.9))
    before = {path.name for path in models.iterdir()}
    scores = publish_variants(models / "best_model.pt", models, data, tmp_path / "cache")
    assert [one.name for one in scores] == ["float32", "float16", "int8"]
    assert {path.name for path in models.iterdir()} == before - VARIANT_FILES


def test_variant_that_cannot_be_put_there_keeps_the_others_away(
    models: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (models / "best_model.int8.json").mkdir()
    monkeypatch.setattr(publish_variants_module, "measure_times", taking(3.0, 2.0, 2.0))
    before = {path.name for path in models.iterdir()}
    with pytest.raises(OSError, match="int8"):
        publish_variants(models / "best_model.pt", models, data, tmp_path / "cache")
    assert {path.name for path in models.iterdir()} == before


def test_variant_of_the_model_before_does_not_outlive_it(
    models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in VARIANT_FILES:
        (models / name).touch()
    (models / "best_model.mine.json").touch()
    before = {path.name for path in models.iterdir()}
    arguments = ["--checkpoint", str(models / "best_model.pt"), "--output", str(models)]
    assert main(arguments) == 0
    assert {path.name for path in models.iterdir()} == before - VARIANT_FILES
    last = "removed the variants of the previous model: int8; --variants --data DATA makes new ones"
    assert capsys.readouterr().out.splitlines()[-1] == last
    assert main(arguments) == 0
    assert "removed" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("loss", "speed_up", "verdict"),
    [
        (0.0, 1.1, "kept"),
        (-0.02, 2.0, "kept"),
        (0.005, 1.5, "kept"),
        (0.0051, 5.0, "not kept: loses more than 0.5 points of accuracy"),
        (0.0, 1.09, "not kept: files not 1.1 times as fast"),
    ],
)
def test_gate(loss: float, speed_up: float, verdict: str) -> None:
    float32 = VariantScore("float32", 2**20, 1000, 5, 0.7, 1.0, Timing(10.0, 20.0), 0.0, 1.0, 1.0)
    score = replace(float32, name="int8", loss=loss, graph_speed_up=9.0, file_speed_up=speed_up)
    assert score.verdict == verdict
    assert score.pays == (verdict == "kept")
    lines = variants_table([float32, score]).splitlines()
    assert lines[-1].endswith(f"| {verdict} |")
    assert lines[0].startswith("Accuracy on 5 folds' 1000 validation clips")
    assert "kept" not in lines[-2]


def test_checkpoint_that_held_nothing_out_is_refused(published: Path, data: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="neither validation clips nor folds"):
        publish_variants(published / "best_model.pt", published, data, tmp_path / "cache")


def test_model_trained_on_every_clip_is_measured_by_its_folds(
    models: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each fold classifies its validation clips; the accuracy is that over all of these clips."""
    checkpoint = load_checkpoint(models / "best_model.pt")
    for fold in range(5):
        recipe = {**checkpoint.recipe, "data": {**checkpoint.recipe["data"], "fold": fold}}
        held_out = {"validation": [f"x/{fold}"], "test": [f"x/{fold + 1}"]}
        one = replace(checkpoint, recipe=recipe, held_out=held_out)
        save_checkpoint(one, models / "folds" / f"fold{fold}.pt")
    everything = replace(checkpoint, folds=5, held_out={"validation": [], "test": []})
    save_checkpoint(everything, models / "best_model.pt")
    monkeypatch.setattr(publish_variants_module, "measure_times", taking(3.0, 4.0, 2.0))
    right = iter(range(15))

    def one_of_three(_session: Any, clips: Clips, name: str) -> NDArray[np.int64]:
        assert clips.labels.shape == (1,)
        assert len(clips.calibration["log_mel"]) == N_CLIPS - 2, "what a fold held out must not calibrate it"
        wrong = name == "int8" and next(right) % 5 == 3
        return clips.labels + 1 if wrong else clips.labels

    monkeypatch.setattr(publish_variants_module, "best_genres", one_of_three)
    float32, _, int8 = publish_variants(models / "best_model.pt", models, data, tmp_path / "cache")
    assert (float32.n_clips, float32.n_networks, float32.accuracy) == (5, 5, 1.0)
    assert (int8.accuracy, int8.agreement) == (0.8, 0.8)
    assert int8.loss == pytest.approx(0.2)
    assert not int8.pays
    (models / "folds" / "fold3.pt").unlink()
    with pytest.raises(CheckpointError, match=r"fold3\.pt"):
        publish_variants(models / "best_model.pt", models, data, tmp_path / "cache")


def test_times_are_those_of_graph_and_file(published: Path, tmp_path: Path) -> None:
    one, other = measure_times([published / "best_model.onnx"] * 2, tmp_path, n_rounds=2)
    for timing in (one, other):
        assert 0 < timing.graph < timing.file, "a file is decoded before its excerpts go through the graph"


def test_data_of_another_model_are_refused(models: Path, data: Path, tmp_path: Path) -> None:
    checkpoint = load_checkpoint(models / "best_model.pt")
    other = replace(checkpoint, held_out={"validation": ["y/0"], "test": []})
    save_checkpoint(other, models / "best_model.pt")
    with pytest.raises(DataError, match="contains 0 of the 1 validation clips"):
        publish_variants(models / "best_model.pt", models, data, tmp_path / "cache")


def test_checkpoint_of_another_model_is_refused(models: Path, data: Path, tmp_path: Path) -> None:
    checkpoint = load_checkpoint(models / "best_model.pt")
    save_checkpoint(replace(checkpoint, val_loss=0.5), models / "best_model.pt")
    with pytest.raises(CheckpointError, match="was not exported from"):
        publish_variants(models / "best_model.pt", models, data, tmp_path / "cache")


def test_damaged_model_is_one_line(
    models: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (models / read_metadata(models / "best_model.onnx").graphs["log_mel"].file).write_bytes(b"damaged")
    arguments = ["--checkpoint", str(models / "best_model.pt"), "--output", str(models), "--cache", str(tmp_path / "c")]
    assert main([*arguments, "--variants", "--data", str(data)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("genre-export: best_model.logmel.onnx has sha256")
