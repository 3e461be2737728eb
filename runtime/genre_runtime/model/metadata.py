"""Which model is meant: the one that is named, or the one that is shipped.

What a model says about itself: the audio it expects, its labels, its metrics.

`AudioConfig` is the only home of audio constants. It rides in the checkpoint, in the sidecar JSON and
in the ONNX metadata, and the runtime refuses a model whose copies differ.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from genre_runtime.errors import InvalidModelError, ModelNotFoundError

MODEL_VARIABLE = "GENRE_MODEL"
MODEL_NAME = "best_model.onnx"
_LOG_MEL_SUFFIX = ".logmel.onnx"


def default_model_path() -> Path:
    """Return the model to use when none is named: `$GENRE_MODEL`, the repository's, or the wheel's.

    Raises
    ------
    ModelNotFoundError
    """
    if named := os.environ.get(MODEL_VARIABLE):
        return Path(named)
    package = Path(__file__).parent.parent
    repository = package.parent.parent / "models" / MODEL_NAME
    if (package.parent / "pyproject.toml").is_file() and repository.is_file():
        return repository
    packaged = package / "model" / MODEL_NAME
    if packaged.is_file():
        return packaged
    raise ModelNotFoundError(packaged, f"run `invoke export`, or name one by ${MODEL_VARIABLE} or --model")


def check_named(model_path: Path) -> None:
    """Refuse a path that is not the graph of a model, before a sidecar is missed or found foreign beside it.

    Raises
    ------
    ModelNotFoundError
    """
    if os.path.isdir(model_path):  # noqa: PTH112  # where pathlib raises, these say False
        raise ModelNotFoundError(model_path, "it is a folder; name the graph in it, such as best_model.onnx")
    if model_path.name.endswith(_LOG_MEL_SUFFIX):
        both = model_path.name.removesuffix(_LOG_MEL_SUFFIX) + ".onnx"
        raise ModelNotFoundError(model_path, f"this graph takes spectrograms alone; name {both}, which finds it")
    if model_path.suffix.lower() != ".onnx":
        raise ModelNotFoundError(model_path, "a model is named by its graph, a file such as best_model.onnx")
    if not os.path.isfile(model_path):  # noqa: PTH113
        raise ModelNotFoundError(model_path, "`invoke export` writes it, and its sidecar beside it")


SCHEMA_VERSION = 1
AUDIO_METADATA_KEY = "genre.audio"
LABELS_METADATA_KEY = "genre.labels"
GRAPH_KINDS = ("waveform", "log_mel")


@dataclass(frozen=True)
class AudioConfig:
    """Log-mel front end: mono audio at `sample_rate`, Hann window, power spectrum, Slaney mel bands.

    Frames are centred (frame `t` is centred at sample `t * hop_length`, the signal padded with zeros),
    decibels are relative to the clip's loudest mel bin and floored at `-top_db`. The same numbers come
    from `librosa.feature.melspectrogram` followed by `librosa.power_to_db(ref=numpy.max)`.

    Attributes
    ----------
    sample_rate : int
        Hz.
    n_fft, hop_length : int
        Samples.
    n_mels : int
        Number of mel bands.
    f_min, f_max : float
        Lower edge of the first and upper edge of the last band, Hz.
    top_db : float
        Dynamic range kept below the loudest bin, dB.
    """

    sample_rate: int = 22_050
    n_fft: int = 2_048
    hop_length: int = 2_646
    n_mels: int = 128
    f_min: float = 0.0
    f_max: float = 11_025.0
    top_db: float = 80.0

    def __post_init__(self) -> None:
        for name in ("sample_rate", "n_fft", "hop_length", "n_mels"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f"AudioConfig.{name} is {value!r}: expected a positive integer")
        for name in ("f_min", "f_max", "top_db"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
                raise ValueError(f"AudioConfig.{name} is {value!r}: expected a finite number")
        if not 0 <= self.f_min < self.f_max <= self.sample_rate / 2:
            raise ValueError(
                f"AudioConfig has f_min {self.f_min} and f_max {self.f_max}: "
                f"expected 0 <= f_min < f_max <= {self.sample_rate / 2} (half the sample rate)"
            )
        if self.top_db <= 0:
            raise ValueError(f"AudioConfig.top_db is {self.top_db}: expected a positive number")

    def n_frames(self, n_samples: int) -> int:
        """Return the number of frames that `n_samples` samples give."""
        return 1 + n_samples // self.hop_length

    @property
    def frame_seconds(self) -> float:
        """Time from one frame to the next, seconds."""
        return self.hop_length / self.sample_rate

    def fingerprint(self) -> str:
        """Return 12 hexadecimal digits that change whenever any field does."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:12]

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> AudioConfig:
        """Build from a mapping that has every field and nothing else.

        Raises
        ------
        ValueError
            A field is missing, unknown or out of range.
        """
        names = {item.name for item in fields(cls)}
        if set(values) != names:
            raise ValueError(
                f"audio settings have missing {sorted(names - set(values))} "
                f"and unknown {sorted(set(values) - names)} fields"
            )
        return cls(**values)


@dataclass(frozen=True)
class GraphFile:
    """One ONNX file of a model: its name beside the sidecar and the sha256 of its bytes."""

    file: str
    sha256: str


@dataclass(frozen=True)
class ModelMetadata:
    """The sidecar of a model.

    Attributes
    ----------
    labels : tuple of str
        Genre of each output of the graph, in order.
    audio : AudioConfig
        The front end inside the graph.
    graphs : mapping of str to GraphFile
        `"waveform"` (input: samples) and `"log_mel"` (input: spectrogram).
    excerpt_seconds : float
        Length of the excerpts the model was trained on.
    n_excerpts : int
        Number of excerpts a track is judged by unless the caller says otherwise.
    temperature : float
        Calibration temperature; the graph's logits are already divided by it.
    confidence_threshold : float
        Smallest confidence called confident, chosen on validation data.
    metrics : mapping
        `val_acc`, `val_loss`, `epoch`, `macro_f1`, history, confusion matrix and more.
    provenance : mapping
        Data, split, seed and versions the model comes from.
    """

    labels: tuple[str, ...]
    audio: AudioConfig
    graphs: Mapping[str, GraphFile]
    excerpt_seconds: float = 10.0
    n_excerpts: int = 3
    temperature: float = 1.0
    confidence_threshold: float = 0.5
    metrics: Mapping[str, Any] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> str:
        """Return the sidecar's text."""
        return json.dumps({"schema_version": SCHEMA_VERSION, **asdict(self)}, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> ModelMetadata:
        """Parse and check a sidecar.

        Raises
        ------
        InvalidModelError
            Not JSON, another schema version, or a field missing or out of range.
        """
        try:
            values = json.loads(text)
            version = values.pop("schema_version")
            if version != SCHEMA_VERSION:
                raise ValueError(f"schema_version is {version!r}, this runtime reads {SCHEMA_VERSION}")
            values["labels"] = tuple(values["labels"])
            values["audio"] = AudioConfig.from_dict(values["audio"])
            values["graphs"] = {name: GraphFile(**graph) for name, graph in values["graphs"].items()}
            metadata = cls(**values)
            metadata._check()
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError) as error:
            raise InvalidModelError(
                f"the model's sidecar cannot be used ({error}): write it again with `invoke export`"
            ) from error
        return metadata

    def _check(self) -> None:
        if not self.labels or not all(isinstance(label, str) and label for label in self.labels):
            raise ValueError("labels must be a list of names")
        unfit = [label for label in self.labels if not label.isprintable() or not label.strip()]
        if unfit:
            raise ValueError(f"the label {unfit[0]!r} cannot be printed: expected visible characters on one line")
        if len(set(self.labels)) != len(self.labels):
            raise ValueError("a label stands twice")
        if set(self.graphs) != set(GRAPH_KINDS):
            raise ValueError(f"graphs are {sorted(self.graphs)}, expected {sorted(GRAPH_KINDS)}")
        for graph in self.graphs.values():
            named = isinstance(graph.file, str) and Path(graph.file).name == graph.file != ".."
            if not named or not isinstance(graph.sha256, str):
                raise ValueError(f"{graph} must hold the name of a file beside the sidecar and its sha256")
        if not isinstance(self.metrics, Mapping) or not isinstance(self.provenance, Mapping):
            raise ValueError("metrics and provenance must be objects")
        if not isinstance(self.n_excerpts, int):
            raise ValueError(f"n_excerpts is {self.n_excerpts!r}, expected a whole number")
        for name, low, high in (
            ("excerpt_seconds", 0.0, 3600.0),
            ("n_excerpts", 0, 1000),
            ("temperature", 0.0, 1000.0),
            ("confidence_threshold", 0.0, 1.0),
        ):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not low < value <= high:
                raise ValueError(f"{name} is {value!r}, expected more than {low} and at most {high}")


def read_metadata(model_path: Path) -> ModelMetadata:
    """Read the sidecar that lies beside `model_path` (same name, suffix `.json`).

    Raises
    ------
    ModelNotFoundError, InvalidModelError
    """
    try:
        path = model_path.with_suffix(".json")
        if not path.is_file():  # opening a named pipe would wait for somebody to write into it
            raise FileNotFoundError(path)
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InvalidModelError(f"the sidecar {path.name} is not UTF-8 text: write it with `invoke export`") from error
    except (OSError, ValueError) as error:  # ValueError: a path without a file name, such as "."
        path = model_path.with_suffix(".json") if model_path.name else model_path
        raise ModelNotFoundError(path, "the sidecar belongs beside the graph; `invoke export` writes both") from error
    return ModelMetadata.from_json(text)
