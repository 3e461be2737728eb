"""An unavailable device is an error; `auto` falls back to the CPU and reports it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import onnxruntime
import pytest

from genre_runtime import GenreClassifier
from genre_runtime.cli.info import describe, describe_in_words
from genre_runtime.errors import DeviceUnavailableError, InvalidModelError, MissingDependencyError
from genre_runtime.model.session import available_devices, one_line
from tests.synthetic import RATE, sign, tone


@pytest.mark.parametrize("device", ["gpu", "CPU", "", "cuda:0"])
def test_an_unknown_device_names_the_available_ones(model_path: Path, device: str) -> None:
    with pytest.raises(DeviceUnavailableError, match=r"no such device.*auto.*cpu") as caught:
        GenreClassifier.load(model_path, device=device)
    assert caught.value.device == device
    assert caught.value.available == ("auto", *available_devices())


@pytest.mark.skipif("CUDAExecutionProvider" in onnxruntime.get_available_providers(), reason="built with CUDA")
def test_cuda_is_never_replaced_silently(model_path: Path) -> None:
    with pytest.raises(DeviceUnavailableError, match=r"not built for it.*available here: auto.*cpu") as caught:
        GenreClassifier.load(model_path, device="cuda")
    assert isinstance(caught.value, RuntimeError)


class _Pretender:
    """An ONNX Runtime built with CUDA on a machine where CUDA does not start."""

    SessionOptions = onnxruntime.SessionOptions

    def __init__(self, failure: Exception | None = None) -> None:
        self.failure = failure
        self.tried: list[list[tuple[str, dict[str, str]]]] = []

    def get_available_providers(self) -> list[str]:
        return ["CUDAExecutionProvider", "CPUExecutionProvider"]

    def preload_dlls(self) -> None:
        print("Failed to load libcublas.so")  # as ONNX Runtime does

    def InferenceSession(  # noqa: N802
        self, graph: bytes, options: Any, providers: list[tuple[str, dict[str, str]]], enable_fallback: int
    ) -> Any:
        assert not enable_fallback, "it prints to stdout"
        self.tried.append(providers)
        if self.failure and len(providers) > 1:
            raise self.failure
        return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def test_cuda_that_does_not_start(model_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretender = _Pretender()
    monkeypatch.setattr("genre_runtime.model.session.import_onnxruntime", lambda: pretender)
    with pytest.raises(DeviceUnavailableError, match="would use cpu"):
        GenreClassifier.load(model_path, device="cuda")
    classifier = GenreClassifier.load(model_path, device="auto")
    providers = pretender.tried[-1]
    assert [name for name, _ in providers] == ["CUDAExecutionProvider", "CPUExecutionProvider"], "it was tried"
    options = dict(providers)["CUDAExecutionProvider"]
    assert options["use_tf32"] == "0", "ten bits are too few for 80 dB"
    assert options["cudnn_conv_algo_search"] == "HEURISTIC", "the exhaustive search begins anew for each shape"
    assert (classifier.device_requested, classifier.device) == ("auto", "cpu")
    assert classifier.classify(tone(1), RATE).device == "cpu"


def test_a_failing_device_and_a_failing_graph_are_distinguished(
    model_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pretender = _Pretender(RuntimeError("CUDA failure 100: no CUDA-capable device is detected"))
    monkeypatch.setattr("genre_runtime.model.session.import_onnxruntime", lambda: pretender)
    with pytest.raises(DeviceUnavailableError, match="would use cpu: CUDA failure 100"):
        GenreClassifier.load(model_path, device="cuda")
    assert GenreClassifier.load(model_path, device="auto").device == "cpu"
    model_path.write_bytes(b"no graph")
    sign(model_path)
    with pytest.raises(InvalidModelError, match="not a graph that ONNX Runtime can run"):
        GenreClassifier.load(model_path, device="cuda")
    assert capsys.readouterr().out == "", "results alone go to stdout"


def test_info_reports_whether_each_device_works(model_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    classifier = GenreClassifier.load(model_path, device="cpu")
    assert describe(classifier)["devices"]["cpu"] == "works"
    monkeypatch.setattr("genre_runtime.model.session.import_onnxruntime", _Pretender)
    devices = classifier.probe_devices()
    assert list(devices) == ["cuda", "tensorrt", "directml", "coreml", "openvino", "cpu"]
    assert "would use cpu" in devices["cuda"]
    assert devices["tensorrt"] == "not in this ONNX Runtime"
    assert devices["cpu"] == "works"


def test_info_names_providers_that_are_not_used(model_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    offered = ["AzureExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(_Pretender, "get_available_providers", lambda self: offered)
    classifier = GenreClassifier.load(model_path, device="cpu")
    facts = describe(classifier)
    monkeypatch.setattr("genre_runtime.model.session.import_onnxruntime", _Pretender)
    assert classifier.probe_devices()["AzureExecutionProvider"] == "offered by ONNX Runtime, but not used here"
    words = describe_in_words(facts | {"devices": classifier.probe_devices()})
    assert "  AzureExecutionProvider offered by" in words


def test_info_explains_the_figures_of_a_model_trained_on_every_clip(model_path: Path) -> None:
    facts = describe(GenreClassifier.load(model_path, device="cpu"))
    assert ", epoch " in describe_in_words(facts)
    (line,) = (line for line in describe_in_words(facts | {"n_folds": 5}).splitlines() if line.startswith("test "))
    assert line.endswith("(grouped split, figures of 5 folds; the model itself was trained on almost every clip)")
    assert "epoch" not in line


def test_the_position_in_the_source_is_not_part_of_an_error() -> None:
    place = "/onnxruntime_src/onnxruntime/python/state.cc:729 void onnxruntime::Register(Options&, const Other&) "
    assert one_line(RuntimeError(f"{place}Please install\nTensorRT libraries (all).")) == (
        "Please install TensorRT libraries (all)."
    )


def test_info_warns_of_two_onnxruntimes(model_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    classifier = GenreClassifier.load(model_path, device="cpu")
    assert "overwrite each other" not in describe_in_words(describe(classifier))
    monkeypatch.setattr("importlib.metadata.version", lambda name: "1.0")
    assert "onnxruntime 1.0 and onnxruntime-gpu 1.0" in describe_in_words(describe(classifier))


def test_missing_onnxruntime_names_both_extras(model_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingDependencyError, match=r"genre-runtime\[cpu\].*genre-runtime\[gpu\]") as caught:
        GenreClassifier.load(model_path)
    assert isinstance(caught.value, ImportError)


def test_info_names_data_and_licences(model_path: Path) -> None:
    facts = describe(GenreClassifier.load(model_path, device="cpu"))
    assert "learnt from" not in describe_in_words(facts)
    start = {"name": "mn04_as", "source": "EfficientAT", "licence": "MIT"}
    words = describe_in_words(facts | {"provenance": {"clips_per_source": {"fma": 9, "gtzan": 2}, "init": start}})
    assert "learnt from     fma 9, gtzan 2 clips; their licences are in its model card" in words
    assert "started from    EfficientAT (MIT)" in words
