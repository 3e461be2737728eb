"""What a graph says of itself, held against the sidecar: a foreign one is refused before it is asked anything.

ONNX Runtime sessions: created, checked against the sidecar, and placed on a device.

`onnxruntime` is imported here and nowhere else, when the first session is made.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import re
import warnings
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
from genre_runtime.model.metadata import AUDIO_METADATA_KEY, LABELS_METADATA_KEY, ModelMetadata
from genre_runtime.telemetry import disable_telemetry

if TYPE_CHECKING:
    from onnxruntime import InferenceSession


OUTPUTS = ("logits", "embedding")
"""What is asked of every graph; each (batch, n)."""

_FLOAT32 = "tensor(float)"


def check_graph(session: InferenceSession, metadata: ModelMetadata, kind: str, name: str) -> None:
    """Compare metadata, inputs and outputs of a graph with what the sidecar says.

    Parameters
    ----------
    session : InferenceSession
    metadata : ModelMetadata
    kind : {"waveform", "log_mel"}
    name : str
        The file, for messages.

    Raises
    ------
    InvalidModelError
    """
    _check_facts(session, metadata, name)
    _check_input(session, metadata, kind, name)
    outputs = {output.name: output for output in session.get_outputs()}
    for wanted in OUTPUTS:
        if wanted not in outputs:
            raise InvalidModelError(f"{name} answers with {', '.join(outputs)}: expected {wanted} among them")
        found = outputs[wanted]
        if found.type != _FLOAT32 or len(found.shape) != 2:
            raise InvalidModelError(
                f"{name} answers {wanted} as {_words(found)}: expected {_FLOAT32} of two axes; export the model again"
            )
    n_labels = outputs["logits"].shape[-1]
    if n_labels != len(metadata.labels):
        raise InvalidModelError(f"{name} has {n_labels} outputs but the sidecar names {len(metadata.labels)} labels")


def _check_facts(session: InferenceSession, metadata: ModelMetadata, name: str) -> None:
    try:
        stored: dict[str, Any] = session.get_modelmeta().custom_metadata_map
    except UnicodeDecodeError as error:
        raise InvalidModelError(f"{name} carries metadata that is no text: export the model again") from error
    for key, expected in (
        (AUDIO_METADATA_KEY, asdict(metadata.audio)),
        (LABELS_METADATA_KEY, list(metadata.labels)),
    ):
        try:
            found = json.loads(stored[key])
        except (KeyError, ValueError, RecursionError) as error:
            raise InvalidModelError(f"{name} carries no {key}: it was not written by `invoke export`") from error
        if found != expected:
            raise InvalidModelError(f"{name} and its sidecar disagree on {key}: export the model again")


def _check_input(session: InferenceSession, metadata: ModelMetadata, kind: str, name: str) -> None:
    """Expect one input, of any batch and length: dimensions that are free come as a word or None."""
    inputs = session.get_inputs()
    if [value.name for value in inputs] != [kind]:
        names = ", ".join(value.name for value in inputs) or "nothing"
        raise InvalidModelError(f"{name} asks for {names}: expected {kind} alone; export the model again")
    fixed = [size if isinstance(size, int) else None for size in inputs[0].shape]
    expected = [None, None] if kind == "waveform" else [None, metadata.audio.n_mels, None]
    if inputs[0].type != _FLOAT32 or fixed != expected:
        raise InvalidModelError(
            f"{name} takes {kind} as {_words(inputs[0])}: expected {_FLOAT32} of any batch and length; export the "
            "model again"
        )


def _words(value: Any) -> str:
    return f"{value.type} of shape ({', '.join(str(size) for size in value.shape)})"


_PROVIDERS = {
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "directml": "DmlExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
    "cpu": "CPUExecutionProvider",
}
# TF32 keeps ten bits of a factor: too few for a spectrum with 80 dB of range. By default cuDNN tries every algorithm of
# every convolution anew for each shape it meets, and shapes are many: batches of any size, excerpts of any length.
_OPTIONS = {"cuda": {"use_tf32": "0", "cudnn_conv_algo_search": "HEURISTIC"}}

_PLACE_IN_SOURCE = re.compile(r"^/\S+\.(?:cc|h):\d+ [^()]*\([^()]*\) ")

DEVICES = ("auto", *_PROVIDERS)

_QUIET = 3  # ONNX Runtime's log level "error": its warnings about fallbacks are said in our words instead


def import_onnxruntime() -> ModuleType:
    """Import onnxruntime, its telemetry switched off.

    Returns
    -------
    module

    Raises
    ------
    MissingDependencyError
        It is not installed; the message names the two extras.
    """
    disable_telemetry()  # again: the environment may have been replaced since `genre_runtime` was imported
    try:
        with warnings.catch_warnings():  # a build with CUDA complains where there is none
            warnings.filterwarnings("ignore", message="Failed to register bundled CUDA plugin EP")
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


def other_providers() -> tuple[str, ...]:
    """Providers of the installed ONNX Runtime that are no device here, such as Azure's, which calls servers."""
    built = import_onnxruntime().get_available_providers()
    return tuple(provider for provider in built if provider not in _PROVIDERS.values())


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
    if device != "cpu":
        _load_gpu_libraries(onnxruntime)
    devices = available_devices()
    if device != "auto" and device not in devices:
        known = "this ONNX Runtime was not built for it" if device in _PROVIDERS else "there is no such device"
        raise DeviceUnavailableError(device, ("auto", *devices), known)
    wanted = device
    if device == "auto":
        wanted = "cuda" if "cuda" in devices else "cpu"
    why = ""
    try:
        session = _open(onnxruntime, graph, wanted, threads)
    except Exception as error:  # ONNX Runtime raises its own classes straight below Exception
        why = f": {one_line(error)}"
        try:  # the graph's fault or the device's? The CPU tells
            if wanted == "cpu":
                raise
            session = _open(onnxruntime, graph, "cpu", threads)
        except Exception as on_cpu:
            raise InvalidModelError(
                f"{path.name} is not a graph that ONNX Runtime can run: {one_line(on_cpu)}"
            ) from on_cpu
    used = _device_used(session)
    if device not in ("auto", used):
        raise DeviceUnavailableError(
            device, ("auto", *devices), f"ONNX Runtime could not start it and would use {used}{why}"
        )
    check_graph(session, metadata, kind, path.name)
    return session, used


def _open(onnxruntime: ModuleType, graph: bytes, device: str, threads: int) -> InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = _QUIET
    # Else the session keeps a plan of its memory for every length it has ever met, 6 KB each, and the last excerpts of
    # whole tracks are all of different lengths. Without, a run takes as long.
    options.enable_mem_pattern = False
    providers = [(_PROVIDERS[name], _OPTIONS.get(name, {})) for name in dict.fromkeys((device, "cpu"))]
    # Its own fallback prints to stdout, where results belong, and would change the device in the middle of a run.
    return onnxruntime.InferenceSession(graph, options, providers=providers, enable_fallback=0)


def one_line(error: Exception) -> str:
    """Return ONNX Runtime's message in one line, without the place in its source that it may begin with."""
    return _PLACE_IN_SOURCE.sub("", " ".join(str(error).split()))


def _load_gpu_libraries(onnxruntime: ModuleType) -> None:
    """Load CUDA's libraries from where pip lays them; a build without CUDA does nothing.

    What is missing is printed to stdout, where results belong; the session says it again.
    """
    with contextlib.redirect_stdout(io.StringIO()):
        onnxruntime.preload_dlls()


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
