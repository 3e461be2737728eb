"""Creates ONNX Runtime sessions, on a device, and checks that graph and sidecar match.

This is the only module that imports `onnxruntime`, when the first session is created.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import re
import warnings
from dataclasses import asdict
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from genre_runtime.errors import (
    DeviceUnavailableError,
    GenreError,
    InvalidModelError,
    MissingDependencyError,
    ModelNotFoundError,
    counted,
)
from genre_runtime.model.metadata import (
    AUDIO_METADATA_KEY,
    FINE_AUDIO_METADATA_KEY,
    LABELS_METADATA_KEY,
    TAGS_METADATA_KEY,
    ModelMetadata,
)

if TYPE_CHECKING:
    from onnxruntime import InferenceSession


_FLOAT32 = "tensor(float)"


def output_names(metadata: ModelMetadata, kind: str) -> tuple[str, ...]:
    """Return the outputs that a graph must have, each (batch, n).

    Parameters
    ----------
    metadata : ModelMetadata
        The sidecar.
    kind : {"waveform", "log_mel"}
        Input of the graph.
    """
    return ("logits", "tags", "embedding") if metadata.tags and kind == "waveform" else ("logits", "embedding")


def check_graph(session: InferenceSession, metadata: ModelMetadata, kind: str, name: str) -> None:
    """Check that metadata, inputs and outputs of a graph match its sidecar.

    Parameters
    ----------
    session : InferenceSession
    metadata : ModelMetadata
        The sidecar.
    kind : {"waveform", "log_mel"}
        Input of the graph.
    name : str
        File name for messages.

    Raises
    ------
    InvalidModelError
    """
    _check_facts(session, metadata, kind, name)
    _check_input(session, metadata, kind, name)
    outputs = {output.name: output for output in session.get_outputs()}
    for wanted in output_names(metadata, kind):
        if wanted not in outputs:
            raise InvalidModelError(f"{name} has the outputs {', '.join(outputs)}: expected {wanted} among them")
        found = outputs[wanted]
        if found.type != _FLOAT32 or len(found.shape) != 2:
            raise InvalidModelError(
                f"{name} has the output {wanted} as {_description(found)}: expected {_FLOAT32} of two axes; "
                "export the model again"
            )
    n_labels = outputs["logits"].shape[-1]
    if n_labels != len(metadata.labels):
        raise InvalidModelError(
            f"{name} has {counted(n_labels, 'output')} but the sidecar names {counted(len(metadata.labels), 'label')}"
        )
    if metadata.tags and kind == "waveform" and outputs["tags"].shape[-1] != len(metadata.tags):
        raise InvalidModelError(
            f"{name} has {counted(outputs['tags'].shape[-1], 'tag')} but the sidecar names {len(metadata.tags)}: "
            "export the model again"
        )


def _check_facts(session: InferenceSession, metadata: ModelMetadata, kind: str, name: str) -> None:
    try:
        stored: dict[str, Any] = session.get_modelmeta().custom_metadata_map
    except UnicodeDecodeError as error:
        raise InvalidModelError(f"{name} has metadata that is not text: export the model again") from error
    facts: dict[str, Any] = {AUDIO_METADATA_KEY: asdict(metadata.audio), LABELS_METADATA_KEY: list(metadata.labels)}
    if kind == "waveform" and metadata.fine_audio is not None:
        facts[FINE_AUDIO_METADATA_KEY] = asdict(metadata.fine_audio)
    if kind == "waveform" and metadata.tags:
        facts[TAGS_METADATA_KEY] = [tag.name for tag in metadata.tags]
    for key, expected in facts.items():
        try:
            found = json.loads(stored[key])
        except (KeyError, ValueError, RecursionError) as error:
            raise InvalidModelError(f"{name} has no metadata {key}: it was not written by `invoke export`") from error
        if found != expected:
            raise InvalidModelError(f"{name} and its sidecar disagree on {key}: export the model again")


def _check_input(session: InferenceSession, metadata: ModelMetadata, kind: str, name: str) -> None:
    """Check that there is one input with free batch and length: free dimensions are None or a name."""
    inputs = session.get_inputs()
    if [value.name for value in inputs] != [kind]:
        names = ", ".join(value.name for value in inputs) or "nothing"
        raise InvalidModelError(f"{name} has the inputs {names}: expected {kind} alone; export the model again")
    fixed = [size if isinstance(size, int) else None for size in inputs[0].shape]
    expected = [None, None] if kind == "waveform" else [None, metadata.audio.n_mels, None]
    if inputs[0].type != _FLOAT32 or fixed != expected:
        raise InvalidModelError(
            f"{name} takes {kind} as {_description(inputs[0])}: expected {_FLOAT32} of any batch and length; export "
            "the model again"
        )


def _description(value: Any) -> str:
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
# every convolution again for each new shape, and there are many: batches of any size, excerpts of any length.
_OPTIONS = {"cuda": {"use_tf32": "0", "cudnn_conv_algo_search": "HEURISTIC"}}

_PLACE_IN_SOURCE = re.compile(r"^/\S+\.(?:cc|h):\d+ [^()]*\([^()]*\) ")

DEVICES = ("auto", *_PROVIDERS)

_LOG_LEVEL = 3  # errors: fallbacks, of which ONNX Runtime warns, are reported by this package


def import_onnxruntime() -> ModuleType:
    """Import onnxruntime with its telemetry switched off.

    Returns
    -------
    module

    Raises
    ------
    MissingDependencyError
        It is not installed; the message names the two extras.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # again: the environment may have changed since the package was imported
    try:
        with warnings.catch_warnings():  # a build with CUDA warns on a machine without
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
    """Return the devices that the installed ONNX Runtime was built for; `probe_devices` tells which of them work."""
    built = import_onnxruntime().get_available_providers()
    return tuple(name for name, provider in _PROVIDERS.items() if provider in built)


def probe_devices(model_path: Path, metadata: ModelMetadata) -> dict[str, str]:
    """Try to run a model on every device.

    Parameters
    ----------
    model_path : Path
        The waveform graph.
    metadata : ModelMetadata

    Returns
    -------
    dict of str to str
        For each device `works`, or why it does not; then the providers of ONNX Runtime that this package does not use,
        such as Azure's, which calls servers.
    """
    available = available_devices()
    answers = {}
    for device in _PROVIDERS:
        if device not in available:
            answers[device] = "not in this ONNX Runtime"
            continue
        try:
            create_session(model_path, metadata, "waveform", device, 1)
            answers[device] = "works"
        except GenreError as error:
            answers[device] = f"does not work: {error}"
    for provider in import_onnxruntime().get_available_providers():
        if provider not in _PROVIDERS.values():
            answers[provider] = "offered by ONNX Runtime, but not used here"
    return answers


def installed_onnxruntimes() -> dict[str, str]:
    """Return the versions of installed packages that contain ONNX Runtime; two of them overwrite each other."""
    from importlib import metadata as packages  # 20 ms, which only `genre info` needs

    found = {}
    for name in ("onnxruntime", "onnxruntime-gpu", "onnxruntime-directml", "onnxruntime-openvino"):
        with contextlib.suppress(packages.PackageNotFoundError):
            found[name] = packages.version(name)
    return found


def create_session(
    path: Path, metadata: ModelMetadata, kind: str, device: str, threads: int
) -> tuple[InferenceSession, str]:
    """Open one graph of a model.

    Parameters
    ----------
    path : Path
        The graph; its sha256 must be the one in the sidecar.
    metadata : ModelMetadata
        The sidecar.
    kind : {"waveform", "log_mel"}
        Input of the graph.
    device : str
        One of `DEVICES`; `auto` is CUDA if it works, else the CPU.
    threads : int
        Threads within one operator; 0 lets ONNX Runtime decide.

    Returns
    -------
    InferenceSession
    str
        The device that is used.

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
    except Exception as error:  # the classes of ONNX Runtime inherit Exception itself
        why = f": {one_line(error)}"
        try:  # if the graph fails on the CPU too, the graph is damaged, not the device
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
    options.log_severity_level = _LOG_LEVEL
    # Otherwise the session keeps a memory plan of 6 KB for every length that occurs, and the last excerpts of whole
    # tracks all differ in length. Runs are not slower without the plans.
    options.enable_mem_pattern = False
    providers = [(_PROVIDERS[name], _OPTIONS.get(name, {})) for name in dict.fromkeys((device, "cpu"))]
    # ONNX Runtime's own fallback prints to stdout, where results belong, and could change the device during a run.
    return onnxruntime.InferenceSession(graph, options, providers=providers, enable_fallback=0)


def one_line(error: Exception) -> str:
    """Return a message of ONNX Runtime as one line, without the position in its source code.

    Parameters
    ----------
    error : Exception
        From ONNX Runtime.
    """
    return _PLACE_IN_SOURCE.sub("", " ".join(str(error).split()))


def _load_gpu_libraries(onnxruntime: ModuleType) -> None:
    """Load the CUDA libraries that pip installed; does nothing in a build without CUDA.

    ONNX Runtime prints missing libraries to stdout, where results belong; the error of the session names them again.
    """
    with contextlib.redirect_stdout(io.StringIO()):
        onnxruntime.preload_dlls()


def _verified_bytes(path: Path, metadata: ModelMetadata, kind: str) -> bytes:
    try:
        if not path.is_file():  # opening a named pipe would block until another process writes to it
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
