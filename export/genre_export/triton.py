"""The published model as a model repository of NVIDIA Triton Inference Server.

    <repository>/genre/config.pbtxt
    <repository>/genre/labels.txt
    <repository>/genre/1/model.onnx

`tritonserver --model-repository <repository>` serves it; the classification extension answers with genres by name.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import onnx
from onnx import ValueInfoProto

from genre_export.publish import SIDECAR_FILE
from genre_runtime.errors import InvalidModelError
from genre_runtime.model.metadata import ModelMetadata, read_metadata
from genre_runtime.model.session import create_session
from genre_runtime.output_files import replacing

MODEL_NAME = "genre"
VERSION = "1"
LABELS_FILE = "labels.txt"
MAX_BATCH_SIZE = 64
MAX_QUEUE_DELAY_MICROSECONDS = 2000
"""As long as an excerpt takes on a CPU, and enough for requests that arrive together to meet."""


def write_repository(models: Path, repository: Path) -> Path:
    """Write the waveform graph of the model in `models` as model `genre` of `repository`; returns its folder.

    Raises
    ------
    ModelNotFoundError, InvalidModelError
        The model is not there or its parts do not belong together; nothing is written.
    """
    metadata = read_metadata(models / SIDECAR_FILE)
    if any("\n" in label for label in metadata.labels):
        raise InvalidModelError("a genre's name holds a line break: Triton reads one label a line, so rename it")
    path = models / metadata.graphs["waveform"].file
    create_session(path, metadata, "waveform", "cpu", 1)  # refuses a graph that is damaged or not the sidecar's
    content = path.read_bytes()
    folder = repository / MODEL_NAME
    (folder / VERSION).mkdir(parents=True, exist_ok=True)
    with replacing(folder / VERSION / "model.onnx") as temporary:
        temporary.write_bytes(content)
    with replacing(folder / LABELS_FILE) as temporary:
        temporary.write_text("".join(f"{label}\n" for label in metadata.labels), encoding="utf-8")
    with replacing(folder / "config.pbtxt") as temporary:
        temporary.write_text(model_config(onnx.load_model_from_string(content), metadata), encoding="utf-8")
    return folder


def model_config(model: onnx.ModelProto, metadata: ModelMetadata) -> str:
    """Return `config.pbtxt` of a waveform graph."""
    audio = metadata.audio
    return f"""\
# {MODEL_NAME}: excerpts of {metadata.excerpt_seconds:g} s, mono, float32 in [-1, 1] at {audio.sample_rate} Hz.
# logits are divided by the calibration temperature: their softmax, averaged over a track's excerpts, is the answer.
name: "{MODEL_NAME}"
backend: "onnxruntime"
max_batch_size: {MAX_BATCH_SIZE}

# Requests share a batch only when their clips have as many samples: ragged batching stays off, because padding would
# change what the model hears. So cut excerpts to one length, or those of another will run on their own.
dynamic_batching {{
  max_queue_delay_microseconds: {MAX_QUEUE_DELAY_MICROSECONDS}
}}

# The first axis, the batch, is Triton's own and does not stand in dims.
input [
{_tensors(model.graph.input)}
]
output [
{_tensors(model.graph.output)}
]
"""


def _tensors(values: Iterable[ValueInfoProto]) -> str:
    lines = []
    for value in values:
        shape = value.type.tensor_type.shape.dim[1:]
        dims = ", ".join(str(-1 if dimension.dim_param else dimension.dim_value) for dimension in shape)
        labels = f', label_filename: "{LABELS_FILE}"' if value.name == "logits" else ""
        lines.append(f'  {{ name: "{value.name}", data_type: TYPE_FP32, dims: [ {dims} ]{labels} }}')
    return ",\n".join(lines)
