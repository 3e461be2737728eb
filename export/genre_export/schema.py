"""The sidecar in full: its types, the JSON Schema that is generated from them, and the check before it is written.

`ModelMetadata` of the runtime is the source for everything but metrics and provenance, which the runtime passes on as
they are and which are described here. They may have more keys than these.
"""

from __future__ import annotations

import inspect
import json
import re
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Literal, Required, get_args

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, with_config
from typing_extensions import TypeAliasType, TypedDict

from genre_runtime import AudioConfig, GenreError, GraphFile, ModelMetadata, Tag
from genre_runtime.errors import InvalidModelError
from genre_training.model.tags import TagKind

SCHEMA_FILE = "model.schema.json"

Count = Annotated[int, Field(ge=0)]
Share = TypeAliasType(
    "Share", Annotated[float | None, Field(ge=0, le=1, description="0 to 1; null if there is nothing to count.")]
)
Interval = TypeAliasType(
    "Interval",
    Annotated[
        tuple[Share, Share] | None,
        Field(description="95 % interval over artists, [low, high]; null for fewer than five artists."),
    ],
)
ConfusionMatrix = TypeAliasType(
    "ConfusionMatrix",
    Annotated[
        list[list[Count]],
        Field(description="Number of tracks; rows: true genre, columns: answer, both in the order of labels."),
    ],
)

_open = with_config(ConfigDict(extra="allow", use_attribute_docstrings=True, allow_inf_nan=False))


class SidecarError(GenreError, ValueError):
    """The sidecar does not match its schema."""

    code = "sidecar"


@_open
class Epoch(TypedDict, total=False):
    """Figures of one epoch."""

    epoch: Required[Annotated[int, Field(ge=1)]]
    learning_rate: float | None
    train_loss: float | None
    val_loss: float | None
    val_acc: Share
    val_macro_f1: Share
    failed_clips: Count
    """Clips left out because their values are not finite."""
    seconds: Annotated[float, Field(ge=0)]


@_open
class SourceScores(TypedDict, total=False):
    """Figures of one data set."""

    n_tracks: Required[Count]
    n_groups: Count
    """Artists of these tracks."""
    accuracy: Required[Share]
    accuracy_interval: Interval
    accuracy_own_genres: Share
    """Accuracy if only the genres that this data set contains are possible answers."""
    accuracy_own_genres_interval: Interval


@_open
class GenreScores(TypedDict):
    """Figures of one genre."""

    precision: Share
    recall: Share
    f1: Share
    support: Count
    """Tracks of the genre."""


@_open
class Confident(TypedDict, total=False):
    """Figures of the confident answers."""

    coverage: Share
    """Share of the answers that are confident."""
    precision: Share
    """Share of these that are correct."""
    precision_interval: Interval


@_open
class ExcerptScores(TypedDict, total=False):
    """Accuracy of one excerpt and of whole tracks."""

    single_excerpt_accuracy: Share
    track_accuracy: Share


@_open
class Reliability(TypedDict, total=False):
    """Confidence against accuracy, in bins of equal width."""

    confidence: list[Share]
    accuracy: list[Share]
    count: list[Count]


@_open
class Scores(TypedDict, total=False):
    """Figures of one part of the split, by track."""

    n_tracks: Required[Count]
    n_groups: Count
    """Artists of these tracks."""
    accuracy: Required[Share]
    accuracy_own_genres: Share
    """Accuracy if only the genres of each track's data set are possible answers."""
    balanced_accuracy: Share
    macro_f1: Share
    micro_f1: Share
    log_loss: float | None
    """Natural logarithm, calibrated probabilities."""
    calibration_error: Share
    """Expected calibration error of the best genre."""
    calibration_error_uncalibrated: Share
    accuracy_interval: Interval
    accuracy_own_genres_interval: Interval
    balanced_accuracy_interval: Interval
    macro_f1_interval: Interval
    per_genre: dict[str, GenreScores]
    """By genre, among the genres of each track's data set, without genres that the part does not contain."""
    per_source: dict[str, SourceScores]
    """By data set."""
    confusion_matrix: ConfusionMatrix
    confused_pairs: list[tuple[str, str, Count]]
    """The most frequent wrong answers: [true genre, answer, number of tracks]."""
    confident: Confident
    excerpts: ExcerptScores
    reliability: Reliability


@_open
class FileScores(TypedDict, total=False):
    """Accuracy on the test tracks that exist as audio files, answered from these."""

    n_tracks: Required[Count]
    """0 if there is none; then nothing else is here."""
    n_groups: Count
    accuracy: Share
    accuracy_interval: Interval
    accuracy_own_genres: Share
    accuracy_own_genres_interval: Interval
    per_source: dict[str, SourceScores]
    confident: Confident
    n_pictured: Count
    """Tracks that are there as spectrogram pictures as well."""
    like_picture: Share
    """Share of these with the same answer from file and picture."""


@_open
class GraphScores(TypedDict, total=False):
    """Accuracy of the exported graph on audio files."""

    n_tracks: Required[Count]
    n_groups: Count
    accuracy: Required[Share]
    accuracy_interval: Interval


@_open
class GenreSets(TypedDict):
    """Figures of the answer sets on the clips that `test` is about."""

    right: Share
    """Share of the sets that contain the true genre."""
    mean_size: Annotated[float, Field(ge=0)]
    """Mean number of genres in a set."""


@_open
class Fusion(TypedDict):
    """How the branches are joined: logits = sum over branches of weight * log probability."""

    weights: dict[str, float]
    """By branch, audio and picture."""
    reliability: dict[str, Share]
    """Of the audio branch, by genre: at 0 its answer counts as a guess."""


class AudioFiles(BaseModel):
    """Accuracy from the audio files through the waveform graph, by data set (or all) and by part of the split."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, dict[str, GraphScores]]

    n_files: Count
    n_failed: Count


@_open
class Metrics(TypedDict, total=False):
    """Figures of the model on each part of the data."""

    val_acc: Required[Share]
    """Accuracy on validation tracks at the epoch of the model."""
    val_loss: Required[float | None]
    """Log-loss on validation tracks at the epoch of the model, after calibration on them."""
    epoch: Required[Count]
    """The epoch of the model."""
    macro_f1: Share
    """Mean F1 of the genres on test tracks, calibrated."""
    confusion_matrix: ConfusionMatrix | None
    """Of the test tracks."""
    history: list[Epoch]
    """One entry for each epoch, in order."""
    validation: Scores
    test: Scores
    held_out: Scores
    """Of a model for which folds stand: its own figures on the tracks that it was not trained on."""
    files: FileScores
    folds: list[dict[str, SourceScores]]
    """Test figures by data set, one entry for each fold of a cross-validation."""
    audio_branch: FileScores
    """Of a model of two branches: the audio branch alone, on the clips of `test`."""
    picture_branch: FileScores
    """The picture branch alone, on the same clips."""
    ending_lower: FileScores
    """Both branches, on the same clips without what lies above 10 kHz: the model's figures on muffled files."""
    picture: Scores
    """Figures of the picture branch on its own test clips, which are there as spectrograms only."""
    fusion: Fusion
    genre_sets: GenreSets
    audio_files: AudioFiles


@_open
class Split(TypedDict, total=False):
    """How the clips were divided, and how many are in each part."""

    split: str
    seed: int
    fold: Count
    train: Count
    validation: Count
    test: Count


@_open
class Variant(TypedDict, total=False):
    """Of a variant in lower precision: its own figures; all other figures are those of the float32 model."""

    name: Required[str]
    n_clips: Count
    n_networks: Annotated[int, Field(ge=1)]
    """1, or the number of folds if the model was trained on every clip."""
    accuracy: Share
    accuracy_float32: Share
    agreement: Share
    """Share of the clips with the same answer as from float32."""
    graph_speed_up: Annotated[float, Field(gt=0)]
    file_speed_up: Annotated[float, Field(gt=0)]
    """From an MP3 file of four minutes to its genre, decoding included."""


@_open
class StartingWeights(TypedDict, total=False):
    """Weights of another project from which the training started."""

    name: Required[str]
    sha256: str
    """Of the file."""
    source: str
    licence: str
    copyright: str
    heard: str
    """What they were trained on."""


@_open
class Provenance(TypedDict, total=False):
    """What the model was made from."""

    clips_per_source: dict[str, Count]
    """Number of clips of each data set."""
    clips_without_artist: dict[str, Count]
    """Number of clips of each data set whose artist is not known."""
    clips_left_out: dict[str, str]
    """Clips that could not be used, and why."""
    split: Split
    versions: dict[str, str]
    """Of the programs that trained the model."""
    device: str
    precision: str
    recipe: dict[str, Any]
    """All settings of the training."""
    n_parameters: Count
    genre_export: str
    """Version of the exporter."""
    parity: dict[str, Annotated[float, Field(ge=0)]]
    """Largest difference of each implementation from its reference."""
    variant: Variant
    init: StartingWeights
    branches: dict[str, dict[str, Any]]
    """Of a model of two branches: the provenance of each, audio and picture."""


class Graphs(TypedDict):
    """The graph of each kind."""

    waveform: GraphFile
    """Input waveform (batch, n_samples), float32 in [-1, 1] at the sample rate; outputs logits (batch, n_labels), if
    the sidecar has tags their logits tags (batch, n_tags), embedding (batch, n_features), log_mel (batch, n_mels,
    n_frames), and with fine_audio also fine_log_mel (batch, n_mels, n_fine_frames)."""
    log_mel: GraphFile
    """Input log_mel (batch, n_mels, n_frames); outputs logits and embedding, of the picture branch if the model has two
    branches: another embedding than that of the waveform graph."""


@dataclass(frozen=True, kw_only=True)
class Sidecar(ModelMetadata):
    """`ModelMetadata` as it is written, with the types of all its parts."""

    __pydantic_config__ = ConfigDict(extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)

    labels: Annotated[
        tuple[Annotated[str, Field(min_length=1)], ...], Field(min_length=1, json_schema_extra={"uniqueItems": True})
    ]
    graphs: Graphs  # type: ignore[assignment]  # to mypy, a TypedDict maps to object
    metrics: Metrics
    provenance: Provenance
    schema_version: Literal[2] = 2
    """Changes if a reader of an older sidecar would misread it."""


@cache
def _types() -> TypeAdapter[Sidecar]:
    return TypeAdapter(Sidecar)


def schema_text() -> str:
    """Return the JSON Schema of the sidecar (draft 2020-12), as export writes it beside the sidecar."""
    schema = _types().json_schema()
    parts = schema["$defs"]
    described = {"AudioConfig": AudioConfig, "GraphFile": GraphFile, "Tag": Tag}
    for part, source in ((schema, ModelMetadata), *((parts[name], source) for name, source in described.items())):
        part["description"], descriptions = _described(source)
        part["required"] = list(part["properties"])
        for name, values in part["properties"].items():
            values.pop("default", None)
            if name in descriptions:
                values.setdefault("description", descriptions[name])
    parts["AudioConfig"]["properties"]["scale"] |= {
        "enum": ["decibel", "kaldi"],
        "description": "Decibels relative to the clip's loudest bin, or Kaldi's scale, which keeps the level.",
    }
    parts["Tag"]["properties"]["kind"]["enum"] = list(get_args(TagKind))
    parts["Tag"]["properties"]["name"]["minLength"] = 1
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **_without_titles(schema)}
    return json.dumps(schema, indent=2) + "\n"


def check_sidecar(text: str) -> None:
    """Check that a sidecar can be read by the runtime and that its metrics and provenance match the schema.

    Parameters
    ----------
    text : str
        JSON.

    Raises
    ------
    SidecarError
        The message names the place, what was found and what was expected.
    """
    advice = "the checkpoint was written by another version of this project, or was changed: train it again"
    try:
        json.loads(text, parse_constant=_refuse)
        _types().validate_json(text, strict=True)
        ModelMetadata.from_json(text)
    except ValidationError as error:
        found = error.errors(include_url=False)[0]
        place = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in found["loc"])
        shown = repr(found["input"])
        shown = shown if len(shown) < 200 else f"{shown[:200]} ..."
        problem = "missing" if found["type"] == "missing" else f"{shown}: {found['msg']}"
        raise SidecarError(f"the sidecar does not match {SCHEMA_FILE}, at ${place}: {problem}; {advice}") from error
    except InvalidModelError as error:
        raise SidecarError(f"{error}; {advice}") from error
    except ValueError as error:
        raise SidecarError(
            f"the sidecar is not JSON ({error}): expected finite numbers and plain values, so check the metrics of the "
            "checkpoint"
        ) from error


def _described(source: type) -> tuple[str, dict[str, str]]:
    """Return the description of a dataclass and of each field, from its docstring."""
    head, _, table = inspect.cleandoc(source.__doc__ or "").partition("\n\nAttributes\n----------\n")
    found = re.findall(r"^(\w+) : .*\n((?: {4}.+\n?)+)", table, re.MULTILINE)
    return " ".join(head.split()), {name: " ".join(text.split()) for name, text in found}


def _without_titles(part: Any) -> Any:
    """Return a schema without titles, which only repeat the names of the keys."""
    if isinstance(part, dict):
        return {key: _without_titles(value) for key, value in part.items() if key != "title" or isinstance(value, dict)}
    return [_without_titles(value) for value in part] if isinstance(part, list) else part


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not a JSON number")
