"""Writes the published model as a model repository of NVIDIA Triton Inference Server.

    <repository>/genre/config.pbtxt
    <repository>/genre/labels.txt
    <repository>/genre/1/model.onnx

`tritonserver --model-repository <repository>` serves it; the classification extension returns genres by name.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import onnx
from onnx import ValueInfoProto

from genre_export.publish import SIDECAR_FILE
from genre_runtime import ModelMetadata, create_session, read_metadata, replacing, write_whole
from genre_runtime.errors import InvalidModelError

MODEL_NAME = "genre"
VERSION = "1"
LABELS_FILE = "labels.txt"
MAX_BATCH_SIZE = 64
MAX_QUEUE_DELAY_MICROSECONDS = 2000
"""About the time of an excerpt on a CPU: enough to join requests that arrive together."""


def write_repository(models: Path, repository: Path) -> Path:
    """Write the waveform graph of a published model as model `genre` of a repository.

    Parameters
    ----------
    models : Path
        Folder of the published model.
    repository : Path
        Created if it does not exist.

    Returns
    -------
    Path
        Folder of the model in the repository.

    Raises
    ------
    ModelNotFoundError, InvalidModelError
        A file is missing, or the files do not match; nothing is written.
    """
    metadata = read_metadata(models / SIDECAR_FILE)
    if any("\n" in label for label in metadata.labels):
        raise InvalidModelError("the name of a genre contains a line break: Triton reads one label a line; rename it")
    path = models / metadata.graphs["waveform"].file
    create_session(path, metadata, "waveform", "cpu", 1)  # refuses a graph that is damaged or does not match
    content = path.read_bytes()
    folder = repository / MODEL_NAME
    (folder / VERSION).mkdir(parents=True, exist_ok=True)
    with replacing(folder / VERSION / "model.onnx") as temporary:
        temporary.write_bytes(content)
    write_whole(folder / LABELS_FILE, [f"{label}\n" for label in metadata.labels])
    write_whole(folder / "config.pbtxt", [model_config(onnx.load_model_from_string(content), metadata)])
    return folder


def model_config(model: onnx.ModelProto, metadata: ModelMetadata) -> str:
    """Return `config.pbtxt` of a waveform graph.

    Parameters
    ----------
    model : ModelProto
        The graph.
    metadata : ModelMetadata
        Its sidecar.
    """
    audio = metadata.audio
    return f"""\
# {MODEL_NAME}: excerpts of {metadata.excerpt_seconds:g} s, mono, float32 in [-1, 1] at {audio.sample_rate} Hz.
# logits are divided by the calibration temperature: their softmax, averaged over a track's excerpts, is the answer.
name: "{MODEL_NAME}"
backend: "onnxruntime"
max_batch_size: {MAX_BATCH_SIZE}

# Requests share a batch only if their clips have the same number of samples: ragged batching is off, because padding
# would change the input. Cut all excerpts to one length; those of another length run alone.
dynamic_batching {{
  max_queue_delay_microseconds: {MAX_QUEUE_DELAY_MICROSECONDS}
}}

# dims do not include the first axis, the batch.
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
