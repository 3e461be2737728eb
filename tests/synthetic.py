"""Sounds and models that tests make for themselves: no music and no training needed."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from genre_runtime.model.metadata import (
    AUDIO_METADATA_KEY,
    FINE_AUDIO,
    FINE_AUDIO_METADATA_KEY,
    LABELS_METADATA_KEY,
    TAGS_METADATA_KEY,
    AudioConfig,
    GraphFile,
    ModelMetadata,
    Tag,
)

RATE = 32_000
TEST = {
    "n_tracks": 1200,
    "n_groups": 300,
    "accuracy": 0.7,
    "accuracy_interval": [0.65, 0.75],
    "macro_f1": 0.7,
    "confident": {"coverage": 0.4, "precision": 0.85},
}
"""Figures of the test part."""

LABELS = ("noise", "quiet", "tone")
TAGS = (
    Tag("music", "music", 0.6),
    Tag("house", "style", 0.5, "electronic"),
    Tag("happy", "mood", 0.5),
    Tag("piano", "instrument", 0.5),
    Tag("female singing", "voice", 0.5),
    Tag("speech", "speech", 0.5),
    Tag("white noise", "noise", 0.5),
    Tag("sine wave", "tone", 0.5),
)
"""Tags of the tiny model of two branches, see `write_model`."""

GRAPHS = {"waveform": "best_model.onnx", "log_mel": "best_model.logmel.onnx"}


def tone(seconds: float = 2.0, rate: int = RATE, frequency: float = 440.0) -> NDArray[np.float32]:
    """A sine of half amplitude, shape (n_samples,)."""
    t = np.arange(round(seconds * rate)) / rate
    return (0.5 * np.sin(2 * np.pi * frequency * t)).astype(np.float32)


def noise(seconds: float = 2.0, rate: int = RATE, seed: int = 0) -> NDArray[np.float32]:
    """White noise of deviation 0.1, shape (n_samples,)."""
    return (0.1 * np.random.default_rng(seed).standard_normal(round(seconds * rate))).astype(np.float32)


def cut_short(path: Path, share: float) -> Path:
    """Keep that share of a file's bytes, as an interrupted download does."""
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    return path


def write_audio(path: Path, samples: NDArray[np.float32], rate: int = RATE) -> Path:
    """Write samples in the format that the path's suffix names, through libsndfile."""
    soundfile.write(path, samples, rate)
    return path


TAG_WEIGHTS = (20.0, 10.0, 10.0, -10.0, 10.0, -20.0, -10.0, -10.0)
TAG_BIAS = (-2.0, -1.0, -2.0, 0.0, -4.0, 2.0, 0.0, 0.0)
"""Logits of `TAGS` are weight * a + bias."""


def write_model(folder: Path, *, threshold: float = 0.5, tags: tuple[Tag, ...] = ()) -> Path:
    """Write a model of a few hundred bytes that needs no torch, and return the path of its graph.

    Its logits grow with the clip's mean absolute level `a`: noise 4 a, quiet 1 - 20 a, tone 10 a. So a tone
    of half amplitude is "tone" and silence is "quiet", with certainty that shows in the probabilities.

    With `tags`, of which there are as many as `TAGS`, it claims to have two branches. From a level of 0.1 it is music,
    below it is speech.
    """
    from onnx import TensorProto, checker, helper, save  # here, so that sounds can be made without it

    audio, fine_audio = AudioConfig(), FINE_AUDIO if tags else None
    weights = helper.make_tensor("weights", TensorProto.FLOAT, [1, 3], [4.0, -20.0, 10.0])
    bias = helper.make_tensor("bias", TensorProto.FLOAT, [3], [0.0, 1.0, 0.0])
    axes = {
        "waveform": helper.make_tensor("axes", TensorProto.INT64, [1], [1]),
        "log_mel": helper.make_tensor("axes", TensorProto.INT64, [2], [1, 2]),
    }
    shapes: dict[str, list[str | int | None]] = {
        "waveform": ["batch", "n_samples"],
        "log_mel": ["batch", audio.n_mels, "n_frames"],
    }
    graphs = {}
    for kind, name in GRAPHS.items():
        nodes = [
            helper.make_node("Abs", [kind], ["level"]),
            helper.make_node("ReduceMean", ["level", "axes"], ["pooled"], keepdims=0),
            helper.make_node("Unsqueeze", ["pooled", "last"], ["embedding"]),
            helper.make_node("MatMul", ["embedding", "weights"], ["product"]),
            helper.make_node("Add", ["product", "bias"], ["logits"]),
        ]
        outputs = [
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 3]),
            helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["batch", 1]),
        ]
        constants = [weights, bias, axes[kind], helper.make_tensor("last", TensorProto.INT64, [1], [1])]
        facts: dict[str, object] = {AUDIO_METADATA_KEY: asdict(audio), LABELS_METADATA_KEY: list(LABELS)}
        if tags and kind == "waveform":
            nodes += [
                helper.make_node("MatMul", ["embedding", "tag_weights"], ["tag_product"]),
                helper.make_node("Add", ["tag_product", "tag_bias"], ["tags"]),
            ]
            outputs.append(helper.make_tensor_value_info("tags", TensorProto.FLOAT, ["batch", len(TAG_BIAS)]))
            constants += [
                helper.make_tensor("tag_weights", TensorProto.FLOAT, [1, len(TAG_WEIGHTS)], TAG_WEIGHTS),
                helper.make_tensor("tag_bias", TensorProto.FLOAT, [len(TAG_BIAS)], TAG_BIAS),
            ]
            facts |= {FINE_AUDIO_METADATA_KEY: asdict(FINE_AUDIO), TAGS_METADATA_KEY: [tag.name for tag in tags]}
        graph = helper.make_graph(
            nodes, "level", [helper.make_tensor_value_info(kind, TensorProto.FLOAT, shapes[kind])], outputs, constants
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
        for key, value in facts.items():
            model.metadata_props.add(key=key, value=json.dumps(value))
        checker.check_model(model)
        save(model, folder / name)
        graphs[kind] = GraphFile(name, hashlib.sha256((folder / name).read_bytes()).hexdigest())
    metadata = ModelMetadata(
        labels=LABELS,
        audio=audio,
        graphs=graphs,
        confidence_threshold=threshold,
        fine_audio=fine_audio,
        tags=tags,
        metrics={"val_acc": 0.75, "val_loss": 0.5, "epoch": 3, "macro_f1": 0.7, "test": TEST},
        provenance={"split": {"split": "grouped"}},
    )
    path = folder / GRAPHS["waveform"]
    path.with_suffix(".json").write_text(metadata.to_json(), encoding="utf-8")
    return path


def sign(model_path: Path, kind: str = "waveform") -> None:
    """Make the sidecar vouch for a graph as it is now."""
    sidecar = model_path.with_suffix(".json")
    values = json.loads(sidecar.read_text(encoding="utf-8"))
    content = model_path.with_name(GRAPHS[kind]).read_bytes()
    values["graphs"][kind]["sha256"] = hashlib.sha256(content).hexdigest()
    sidecar.write_text(json.dumps(values), encoding="utf-8")
