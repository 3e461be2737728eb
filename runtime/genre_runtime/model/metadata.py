"""The sidecar of a model: `ModelMetadata` with its `AudioConfig`, and which model file is used.

`AudioConfig` is the only place of audio constants. The checkpoint, the sidecar and the metadata of the ONNX graphs each
have a copy, and the runtime refuses a model whose copies differ.

Limits of numbers are written once, in the metadata of a dataclass field, under the names that pydantic uses (`ge`,
`gt`, `le`). `check_limits` checks them, and `genre_export.schema` generates the JSON Schema of the sidecar
from them.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from genre_runtime.errors import InvalidModelError, ModelNotFoundError

MODEL_VARIABLE = "GENRE_MODEL"
MODEL_NAME = "best_model.onnx"
_LOG_MEL_SUFFIX = ".logmel.onnx"

SCHEMA_VERSION = 2
AUDIO_METADATA_KEY = "genre.audio"
LABELS_METADATA_KEY = "genre.labels"
FINE_AUDIO_METADATA_KEY = "genre.fine_audio"
TAGS_METADATA_KEY = "genre.tags"
GRAPH_KINDS = ("waveform", "log_mel")


def default_model_path() -> Path:
    """Return the default model: `$GENRE_MODEL`, else that of the repository, else that of the wheel.

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
    raise ModelNotFoundError(packaged, f"run `invoke export`, or name a model with ${MODEL_VARIABLE} or --model")


def check_named(model_path: Path) -> None:
    """Check that a path is the graph of a model, so that a wrong path is not reported as a missing sidecar.

    Parameters
    ----------
    model_path : Path

    Raises
    ------
    ModelNotFoundError
    """
    if os.path.isdir(model_path):  # noqa: PTH112  # False where pathlib would raise
        raise ModelNotFoundError(model_path, "it is a folder; name the graph in it, such as best_model.onnx")
    if model_path.name.endswith(_LOG_MEL_SUFFIX):
        both = model_path.name.removesuffix(_LOG_MEL_SUFFIX) + ".onnx"
        raise ModelNotFoundError(model_path, f"this graph takes spectrograms; name {both}, which loads both graphs")
    if model_path.suffix.lower() != ".onnx":
        raise ModelNotFoundError(model_path, "expected the graph of a model, a file such as best_model.onnx")
    if not os.path.isfile(model_path):  # noqa: PTH113
        raise ModelNotFoundError(model_path, "`invoke export` writes it and its sidecar")


SCALES = ("decibel", "kaldi")
_LIMIT_WORDS = {"ge": "at least", "gt": "more than", "le": "at most"}


def check_limits(values: Any) -> None:
    """Check the numbers of a dataclass against the limits in the metadata of its fields.

    Parameters
    ----------
    values : dataclass

    Raises
    ------
    ValueError
        A field with limits is not a finite number of its type, or is outside its limits.
    """
    for item in fields(values):
        if not item.metadata:
            continue
        value, limits = getattr(values, item.name), item.metadata
        number = type(value) is int or (item.type == "float" and type(value) is float and math.isfinite(value))
        low, high = limits.get("ge", limits.get("gt", -math.inf)), limits.get("le", math.inf)
        if not number or not low <= value <= high or value == limits.get("gt"):
            kind = "an integer" if item.type == "int" else "a finite number"
            words = " and ".join(f"{_LIMIT_WORDS[name]} {limit:g}" for name, limit in limits.items())
            raise ValueError(f"{item.name} is {value!r}: expected {kind} of {words}")


@dataclass(frozen=True)
class AudioConfig:
    """Constants of a log-mel front end.

    Two scales are known. `decibel` is what `librosa.feature.melspectrogram` followed by
    `librosa.power_to_db(ref=numpy.max)` computes: periodic Hann window, Slaney mel bands of unit area, decibels
    relative to the clip's loudest mel bin and not below `-top_db`. `kaldi` is what the weights of EfficientAT were
    taught on: pre-emphasis, symmetric Hann window, triangular bands of unit height on Kaldi's mel scale, and
    `(ln(power + 1e-5) + 4.5) / 5`, so the level is kept. What is quieter than music is made louder first, as
    `genre_runtime.raise_quiet` does.

    Frame `t` is centred at sample `t * hop_length`; the signal is padded with zeros.

    Attributes
    ----------
    sample_rate : int
        Hz, mono.
    n_fft : int
        Length of a frame, samples.
    window_length : int
        Length of the Hann window in the middle of the frame, samples; at most n_fft.
    hop_length : int
        From the centre of one frame to the next, samples.
    n_mels : int
        Number of mel bands.
    f_min : float
        Lower edge of the first band, Hz.
    f_max : float
        Upper edge of the last band, Hz; above f_min and at most half of sample_rate.
    top_db : float
        Dynamic range below the clip's loudest band, dB; for the scale `decibel`.
    scale : {"decibel", "kaldi"}
    """

    sample_rate: int = field(default=32_000, metadata={"ge": 1})
    n_fft: int = field(default=3_072, metadata={"ge": 1})
    window_length: int = field(default=2_972, metadata={"ge": 1})
    hop_length: int = field(default=3_840, metadata={"ge": 1})
    n_mels: int = field(default=128, metadata={"ge": 1})
    f_min: float = field(default=0.0, metadata={"ge": 0})
    f_max: float = field(default=11_025.0, metadata={"gt": 0})
    top_db: float = field(default=80.0, metadata={"gt": 0})
    scale: str = "decibel"

    def __post_init__(self) -> None:
        check_limits(self)
        if self.scale not in SCALES:
            raise ValueError(f"AudioConfig has the scale {self.scale!r}: expected {' or '.join(SCALES)}")
        if self.window_length > self.n_fft:
            raise ValueError(
                f"AudioConfig has a window_length of {self.window_length} samples in frames of {self.n_fft}: expected "
                "at most as many"
            )
        if not self.f_min < self.f_max <= self.sample_rate / 2:
            raise ValueError(
                f"AudioConfig has f_min {self.f_min} and f_max {self.f_max}: "
                f"expected f_min < f_max <= {self.sample_rate / 2} (half the sample rate)"
            )

    def n_frames(self, n_samples: int) -> int:
        """Return the number of frames of a waveform.

        Parameters
        ----------
        n_samples : int
            At `sample_rate`, at least 1.
        """
        if self.scale == "kaldi":  # pre-emphasis takes differences, of which there is one less
            return 1 + (n_samples - 1) // self.hop_length
        return 1 + n_samples // self.hop_length

    @property
    def frame_seconds(self) -> float:
        """Time from one frame to the next, seconds."""
        return self.hop_length / self.sample_rate

    def fingerprint(self) -> str:
        """Return 12 hexadecimal digits that change with every field."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:12]

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> AudioConfig:
        """Create a config from a mapping with all fields and no others.

        Parameters
        ----------
        values : mapping

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


FINE_AUDIO = AudioConfig(n_fft=1_024, window_length=800, hop_length=320, f_max=15_000.0, scale="kaldi")
"""Front end of the audio branch: frames of 10 ms, as the weights of EfficientAT know them."""


@dataclass(frozen=True)
class GraphFile:
    """One ONNX file of a model.

    Attributes
    ----------
    file : str
        Name of the ONNX file beside the sidecar.
    sha256 : str
        Of the bytes of the file, in hexadecimal digits.
    """

    file: str = field(metadata={"pattern": r"^[^/\\]*[^/\\.][^/\\]*$"})
    sha256: str = field(metadata={"pattern": "^[0-9a-f]{64}$"})


TAG_KINDS = ("music", "style", "mood", "instrument", "voice", "speech", "noise", "tone")


@dataclass(frozen=True)
class Tag:
    """One tag of a model: a label that is independent of the others.

    Attributes
    ----------
    name : str
        Unique in a model.
    kind : str
        One of `TAG_KINDS`.
    threshold : float
        Smallest mean probability at which the tag is named.
    genre : str or None
        The genre that a style belongs to.
    """

    name: str
    kind: str
    threshold: float = field(metadata={"gt": 0, "le": 1})
    genre: str | None = None

    def __post_init__(self) -> None:
        check_name(self.name, "tag")
        if self.kind not in TAG_KINDS:
            raise ValueError(f"the tag {self.name!r} has the kind {self.kind!r}: expected {', '.join(TAG_KINDS)}")
        if self.genre is not None:
            check_name(self.genre, "genre of a tag")
            if self.kind != "style":
                raise ValueError(f"the tag {self.name!r} is a {self.kind} with a genre: only a style has one")
        try:
            check_limits(self)
        except ValueError as error:
            raise ValueError(f"the tag {self.name!r}: {error}") from error


@dataclass(frozen=True)
class ModelMetadata:
    """The sidecar of a model.

    Attributes
    ----------
    labels : tuple of str
        Genre of each output of the graphs, in order.
    audio : AudioConfig
        Front end of the graph log_mel: of the picture branch, if the model has two branches.
    graphs : mapping of str to GraphFile
        The graph of each kind: waveform and log_mel.
    excerpt_seconds : float
        Length of the excerpts that the model was trained on, seconds.
    n_excerpts : int
        Number of excerpts of a track that are analysed by default.
    temperature : float
        Calibration temperature; the logits of the graphs are already divided by it.
    confidence_threshold : float
        Smallest confidence of a confident answer, chosen on validation data.
    fine_audio : AudioConfig or None
        Front end of the audio branch of a model of two branches, at the same sample rate.
    tags : tuple of Tag
        Tag of each output `tags` of the waveform graph, in order.
    genre_set_threshold : float
        Smallest probability of a genre in the answer set, chosen so that nine of ten sets contain the right one.
    metrics : mapping
        Figures of the model on each part of the data; `model.schema.json` describes them.
    provenance : mapping
        What the model was made from; `model.schema.json` describes it.
    """

    labels: tuple[str, ...]
    audio: AudioConfig
    graphs: Mapping[str, GraphFile]
    excerpt_seconds: float = field(default=10.0, metadata={"gt": 0, "le": 3600})
    n_excerpts: int = field(default=3, metadata={"ge": 1, "le": 1000})
    temperature: float = field(default=1.0, metadata={"gt": 0, "le": 1000})
    confidence_threshold: float = field(default=0.5, metadata={"gt": 0, "le": 1})
    fine_audio: AudioConfig | None = None
    tags: tuple[Tag, ...] = ()
    genre_set_threshold: float = field(default=0.05, metadata={"gt": 0, "le": 1})
    metrics: Mapping[str, Any] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> str:
        """Return the sidecar's text."""
        return json.dumps({"schema_version": SCHEMA_VERSION, **asdict(self)}, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> ModelMetadata:
        """Parse and check a sidecar.

        Parameters
        ----------
        text : str
            JSON.

        Raises
        ------
        InvalidModelError
            The text is not JSON, has another schema version, or a field is missing or out of range.
        """
        try:
            values = json.loads(text)
            version = values.pop("schema_version")
            if version != SCHEMA_VERSION:
                raise ValueError(f"schema_version is {version!r}: this version of the program reads {SCHEMA_VERSION}")
            values["labels"] = tuple(values["labels"])
            values["audio"] = AudioConfig.from_dict(values["audio"])
            if values.get("fine_audio") is not None:
                values["fine_audio"] = AudioConfig.from_dict(values["fine_audio"])
            values["tags"] = tuple(Tag(**tag) for tag in values.get("tags", ()))
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
            raise ValueError(f"labels are {list(self.labels)}: expected a list of names")
        for label in self.labels:
            check_name(label, "label")
        if len(set(self.labels)) != len(self.labels):
            raise ValueError(f"labels are {list(self.labels)}: expected each label once, not twice")
        names = [tag.name for tag in self.tags]
        if len(set(names)) != len(names):
            raise ValueError(f"tags are {names}: expected each tag once, not twice")
        if self.fine_audio is not None and self.fine_audio.sample_rate != self.audio.sample_rate:
            raise ValueError(
                f"fine_audio has a sample_rate of {self.fine_audio.sample_rate} Hz, audio of {self.audio.sample_rate} "
                "Hz: expected the same"
            )
        if set(self.graphs) != set(GRAPH_KINDS):
            raise ValueError(f"graphs are {sorted(self.graphs)}: expected {sorted(GRAPH_KINDS)}")
        for graph in self.graphs.values():
            for item in fields(graph):
                value = getattr(graph, item.name)
                if not isinstance(value, str) or not re.fullmatch(item.metadata["pattern"], value):
                    raise ValueError(f"{graph}: expected the name of a file beside the sidecar, and its sha256 in hex")
        if not isinstance(self.metrics, Mapping) or not isinstance(self.provenance, Mapping):
            raise ValueError(
                f"metrics and provenance are {type(self.metrics).__name__} and {type(self.provenance).__name__}: "
                "expected two objects"
            )
        check_limits(self)


def check_name(name: object, what: str) -> None:
    """Check that a name can be shown in one line.

    Parameters
    ----------
    name : object
    what : str
        What it names, for the message.

    Raises
    ------
    ValueError
        It is not text, is blank, or has control characters.
    """
    if not isinstance(name, str) or not name.isprintable() or not name.strip():
        raise ValueError(f"the {what} {name!r} cannot be printed: expected visible characters in one line")


def read_metadata(model_path: Path) -> ModelMetadata:
    """Read the sidecar of a model: the file with the suffix `.json` beside its graph.

    Parameters
    ----------
    model_path : Path
        The graph, or the sidecar itself.

    Raises
    ------
    ModelNotFoundError, InvalidModelError
    """
    try:
        path = model_path.with_suffix(".json")
        if not path.is_file():  # opening a named pipe would block until another process writes to it
            raise FileNotFoundError(path)
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InvalidModelError(f"the sidecar {path.name} is not UTF-8 text: write it with `invoke export`") from error
    except (OSError, ValueError) as error:  # ValueError: a path without a file name, such as "."
        path = model_path.with_suffix(".json") if model_path.name else model_path
        raise ModelNotFoundError(path, "expected the sidecar beside the graph; `invoke export` writes both") from error
    return ModelMetadata.from_json(text)
