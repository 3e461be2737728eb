"""ONNX Runtime sessions: created, checked against the sidecar, and placed on a device.

`onnxruntime` is imported here and nowhere else, when the first session is made.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from genre_runtime.errors import (
    DeviceUnavailableError,
    InvalidModelError,
    MissingDependencyError,
    ModelNotFoundError,
)
from genre_runtime.metadata import AUDIO_METADATA_KEY, LABELS_METADATA_KEY, ModelMetadata

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

_PROVIDERS = {
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "directml": "DmlExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
    "cpu": "CPUExecutionProvider",
}
# TF32 keeps ten bits of a factor: too few for a spectrum with 80 dB of range.
_OPTIONS = {"cuda": {"use_tf32": "0"}}

DEVICES = ("auto", *_PROVIDERS)

_QUIET = 3  # ONNX Runtime's log level "error": its warnings about fallbacks are said in our words instead


def import_onnxruntime() -> ModuleType:
    """Import onnxruntime.

    Raises
    ------
    MissingDependencyError
        It is not installed; the message names the two extras.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingDependencyError(
            f"ONNX Runtime cannot be imported ({error}): install genre-runtime[cpu], or genre-runtime[gpu] for "
            "CUDA, but not both"
        ) from error
    module: ModuleType = onnxruntime
    return module


def available_devices() -> tuple[str, ...]:
    """Devices the installed ONNX Runtime was built for; whether one works shows when a session is made."""
    built = import_onnxruntime().get_available_providers()
    return tuple(name for name, provider in _PROVIDERS.items() if provider in built)


def create_session(
    path: Path, metadata: ModelMetadata, kind: str, device: str, threads: int
) -> tuple[InferenceSession, str]:
    """Open one graph of a model.

    Parameters
    ----------
    path : Path
        The graph whose bytes must have the sidecar's sha256.
    metadata : ModelMetadata
    kind : {"waveform", "log_mel"}
    device : str
        One of `DEVICES`; `auto` takes CUDA when it works, else the CPU.
    threads : int
        Threads within one operator; 0 lets ONNX Runtime decide.

    Returns
    -------
    InferenceSession
    str
        The device really used.

    Raises
    ------
    ModelNotFoundError, InvalidModelError, DeviceUnavailableError, MissingDependencyError
    """
    onnxruntime = import_onnxruntime()
    graph = _verified_bytes(path, metadata, kind)
    devices = available_devices()
    if device != "auto" and device not in devices:
        known = "this ONNX Runtime was not built for it" if device in _PROVIDERS else "there is no such device"
        raise DeviceUnavailableError(device, ("auto", *devices), known)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = _QUIET
    wanted = ("cuda", "cpu") if device == "auto" and "cuda" in devices else (device,)
    if device == "auto" and len(wanted) == 1:
        wanted = ("cpu",)
    if "cuda" in wanted:
        onnxruntime.preload_dlls()
    providers = [(_PROVIDERS[name], _OPTIONS.get(name, {})) for name in dict.fromkeys((*wanted, "cpu"))]
    try:
        session = onnxruntime.InferenceSession(graph, options, providers=providers)
    except Exception as error:  # ONNX Runtime raises its own classes straight below Exception
        raise InvalidModelError(f"{path.name} is not a graph that ONNX Runtime can run: {error}") from error
    used = _device_used(session)
    if device not in ("auto", used):
        raise DeviceUnavailableError(
            device, ("auto", *devices), f"ONNX Runtime could not start it and would use {used}"
        )
    _check_graph(session, metadata, path)
    return session, used


def _verified_bytes(path: Path, metadata: ModelMetadata, kind: str) -> bytes:
    try:
        if not path.is_file():  # opening a named pipe would wait for somebody to write into it
            raise OSError
        content = path.read_bytes()
    except OSError as error:
        raise ModelNotFoundError(path, "`invoke export` writes it") from error
    expected = metadata.graphs[kind].sha256
    found = hashlib.sha256(content).hexdigest()
    if found != expected:
        raise InvalidModelError(
            f"{path.name} has sha256 {found[:12]}..., the sidecar says {expected[:12]}...: the file was changed or cut "
            "short, or belongs to another sidecar; copy both again or run `invoke export`"
        )
    return content


def _device_used(session: InferenceSession) -> str:
    first = session.get_providers()[0]
    return next((name for name, provider in _PROVIDERS.items() if provider == first), first)


def _check_graph(session: InferenceSession, metadata: ModelMetadata, path: Path) -> None:
    """Compare what the graph says of itself with what the sidecar says."""
    try:
        stored: dict[str, Any] = session.get_modelmeta().custom_metadata_map
    except UnicodeDecodeError as error:
        raise InvalidModelError(f"{path.name} carries metadata that is no text: export the model again") from error
    for key, expected in (
        (AUDIO_METADATA_KEY, asdict(metadata.audio)),
        (LABELS_METADATA_KEY, list(metadata.labels)),
    ):
        try:
            found = json.loads(stored[key])
        except (KeyError, ValueError) as error:
            raise InvalidModelError(f"{path.name} carries no {key}: it was not written by `invoke export`") from error
        if found != expected:
            raise InvalidModelError(f"{path.name} and its sidecar disagree on {key}: export the model again")
    outputs = {output.name: output for output in session.get_outputs()}
    if "logits" not in outputs:
        raise InvalidModelError(f"{path.name} answers with {', '.join(outputs)}: expected logits among them")
    n_labels = outputs["logits"].shape[-1]
    if n_labels != len(metadata.labels):
        raise InvalidModelError(
            f"{path.name} has {n_labels} outputs but the sidecar names {len(metadata.labels)} labels"
        )
