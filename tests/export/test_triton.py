"""The Triton model repository, read with Triton's own definitions."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from genre_export.cli import main
from genre_export.triton import MAX_BATCH_SIZE, write_repository
from genre_runtime.errors import InvalidModelError, ModelNotFoundError
from tests.export.tiny import LABELS, NETWORK
from tests.synthetic import noise

model_config_pb2 = pytest.importorskip(
    "tritonclient.grpc.model_config_pb2", reason="Triton's definitions are not here: pip install 'tritonclient[grpc]'"
)

text_format = pytest.importorskip("google.protobuf.text_format")


@pytest.fixture(scope="module")
def folder(published: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_repository(published, tmp_path_factory.mktemp("repository"))


@pytest.fixture(scope="module")
def config(folder: Path) -> Any:
    text = (folder / "config.pbtxt").read_text(encoding="utf-8")
    return text_format.Parse(text, model_config_pb2.ModelConfig())


def test_repository_is_laid_out_as_triton_wants_it(published: Path, folder: Path) -> None:
    assert folder.name == "genre"
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert files == {"config.pbtxt", "labels.txt", "1/model.onnx"}
    assert (folder / "1" / "model.onnx").read_bytes() == (published / "best_model.onnx").read_bytes()


def test_config_names_the_model_and_batches_without_padding(config: Any) -> None:
    assert (config.name, config.backend) == ("genre", "onnxruntime")
    assert config.max_batch_size == MAX_BATCH_SIZE > 1
    assert config.HasField("dynamic_batching")
    assert config.dynamic_batching.max_queue_delay_microseconds > 0
    assert not any(value.allow_ragged_batch for value in config.input)


def test_tensors_are_those_of_the_graph_without_the_batch(config: Any, folder: Path) -> None:
    dims = {value.name: list(value.dims) for value in (*config.input, *config.output)}
    assert dims == {"waveform": [-1], "logits": [3], "embedding": [2 * NETWORK.widths[-1]], "log_mel": [128, -1]}
    assert {value.data_type for value in (*config.input, *config.output)} == {model_config_pb2.TYPE_FP32}
    assert [value.name for value in config.input] == ["waveform"]
    session = onnxruntime.InferenceSession(folder / "1" / "model.onnx", providers=["CPUExecutionProvider"])
    batch = np.stack([noise(1)] * MAX_BATCH_SIZE)
    outputs = session.run([value.name for value in config.output], {"waveform": batch})
    for value, found in zip(config.output, outputs, strict=True):
        assert found.dtype == np.float32
        assert len(found) == MAX_BATCH_SIZE
        assert all(wanted in (-1, size) for wanted, size in zip(value.dims, found.shape[1:], strict=True))


def test_logits_alone_have_labels_one_a_line_in_order(config: Any, folder: Path) -> None:
    named = {value.name: value.label_filename for value in config.output if value.label_filename}
    assert named == {"logits": "labels.txt"}
    assert (folder / "labels.txt").read_text(encoding="utf-8").splitlines() == list(LABELS)


def test_writing_again_replaces_and_leaves_nothing_behind(published: Path, tmp_path: Path) -> None:
    for _ in range(2):
        folder = write_repository(published, tmp_path / "deep" / "repository")
    assert len([path for path in folder.rglob("*") if path.is_file()]) == 3


def test_damaged_graph_is_refused_and_nothing_written(published: Path, tmp_path: Path) -> None:
    models = shutil.copytree(published, tmp_path / "models")
    (models / "best_model.onnx").write_bytes(b"damaged")
    with pytest.raises(InvalidModelError, match="sha256"):
        write_repository(models, tmp_path / "repository")
    assert not (tmp_path / "repository").exists()


def test_missing_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError, match="invoke export"):
        write_repository(tmp_path, tmp_path / "repository")


def test_command_says_where(published: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--output", str(published), "--triton", str(tmp_path / "repository")]) == 0
    assert capsys.readouterr().out == f"written to {tmp_path / 'repository' / 'genre'}\n"
