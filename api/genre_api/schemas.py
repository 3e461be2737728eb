"""The JSON objects that the service answers with, as OpenAPI shows them."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, FailFast, Field

from genre_runtime import AudioConfig

_PROBABILITIES = {"rock": 0.9, "pop": 0.07, "blues": 0.03}
_EXCERPT = {"start_seconds": 0.0, "end_seconds": 10.0, "silent": False, "probabilities": _PROBABILITIES}
_TIMINGS = {"queue_seconds": 0.001, "decode_seconds": 0.03, "model_seconds": 0.05, "total_seconds": 0.09}
_RESULT: dict[str, Any] = {
    "path": "song.mp3",
    "label": "rock",
    "confidence": 0.9,
    "confident": True,
    "reason": None,
    "probabilities": _PROBABILITIES,
    "music": "music",
    "tags": {"music": 0.98, "singing": 0.8, "hard rock": 0.7, "electric guitar": 0.6, "energetic": 0.5},
    "styles": ["hard rock"],
    "moods": ["energetic"],
    "instruments": ["electric guitar"],
    "voice": ["singing"],
    "genre_set": ["rock"],
    "excerpts": [_EXCERPT],
    "duration_seconds": 10.0,
    "announced_seconds": None,
    "device": "cpu",
}
_PREDICTION: dict[str, Any] = {
    **_RESULT,
    "spectrogram": None,
    "top": [{"label": "rock", "probability": 0.9}],
    "timings": _TIMINGS,
}


def with_example(value: dict[str, Any]) -> ConfigDict:
    """Return the configuration of a model with an example for OpenAPI.

    Parameters
    ----------
    value : dict
        The example.
    """
    return ConfigDict(json_schema_extra={"examples": [value]}, protected_namespaces=())


class Problem(BaseModel):
    """A problem document (RFC 9457). `code` is stable and for programs, `detail` is for people."""

    model_config = with_example(
        {
            "type": "about:blank",
            "title": "Unsupported Media Type",
            "status": 415,
            "code": "unreadable_audio",
            "detail": "not an audio file: it begins with b'<html>', expected MP3, FLAC, WAV, ...",
            "request_id": "2f1c7c0e5b4b4c8f9d8f0c4f3a5b6c7d",
        }
    )
    type: str = "about:blank"
    title: str
    status: int
    code: str
    detail: str
    request_id: str | None


class NotReady(Problem):
    """A problem document of `/readyz`. `load_error` says why the model could not be loaded, null if it was loaded."""

    model_config = with_example(
        {
            "type": "about:blank",
            "title": "Service Unavailable",
            "status": 503,
            "code": "not_ready",
            "detail": "not ready: model_not_found",
            "request_id": "2f1c7c0e5b4b4c8f9d8f0c4f3a5b6c7d",
            "load_error": "no model file at 'best_model.onnx': train and export one",
        }
    )
    load_error: str | None


class Excerpt(BaseModel):
    """An excerpt of the track and its genres; silent excerpts do not count for the result of the track."""

    start_seconds: float
    end_seconds: float
    silent: bool
    probabilities: dict[str, float]


class Timings(BaseModel):
    """Seconds spent waiting for a worker, decoding, in the model, and from the request's head to the answer."""

    queue_seconds: float
    decode_seconds: float
    model_seconds: float
    total_seconds: float


class Ranked(BaseModel):
    """One of the most probable genres."""

    label: str
    probability: float


class TrackResult(BaseModel):
    """The genres of a track. `path` is the client's name of the track; `reason` says why a result is not confident.

    `genre_set` contains the genres whose probability reaches the threshold in the model's sidecar, most probable first;
    nine of ten contain the right one. It is empty if the track is not music. `music` is null if the model has no tags
    and the track is not silent. `tags` contains the tags that reach their threshold, with their probabilities;
    `styles`, `moods`, `instruments` and `voice` are the tags of each kind, most probable first.
    """

    model_config = with_example(_RESULT)
    path: str | None
    label: str
    confidence: float
    confident: bool
    reason: str | None
    probabilities: dict[str, float]
    music: Literal["music", "speech", "noise", "tone", "silence"] | None
    tags: dict[str, float]
    styles: list[str]
    moods: list[str]
    instruments: list[str]
    voice: list[str]
    genre_set: list[str]
    excerpts: list[Excerpt]
    duration_seconds: float
    announced_seconds: float | None
    device: str


class Prediction(TrackResult):
    """The genres of a track, and how long the answer took.

    With the option `spectrogram`, the field of that name is a PNG in Base64: the excerpts side by side, the lowest band
    at the bottom.
    """

    model_config = with_example(_PREDICTION)
    spectrogram: str | None
    top: list[Ranked]
    timings: Timings


class ExcerptEmbedding(BaseModel):
    """The embedding of one excerpt."""

    start_seconds: float
    end_seconds: float
    embedding: list[float]


class Embedding(BaseModel):
    """The embedding of a track: similar music has similar directions. It is the mean of those of the excerpts.

    Embeddings can be compared if they are of the same model: `model_sha256` is that of its graph. `excerpts` is null
    without the option `per_excerpt`.
    """

    model_config = with_example(
        {
            "model_sha256": 64 * "0",
            "n_features": 3,
            "embedding": [0.6, 0.8, 0.0],
            "excerpts": [{"start_seconds": 0.0, "end_seconds": 10.0, "embedding": [0.6, 0.8, 0.0]}],
        }
    )
    model_sha256: str
    n_features: int
    embedding: list[float]
    excerpts: list[ExcerptEmbedding] | None


class SimilarTrack(BaseModel):
    """A known track. `similarity` is the cosine of the embeddings, -1 to 1."""

    path: str
    similarity: float
    label: str
    confident: bool
    duration_seconds: float


class Similar(BaseModel):
    """The known tracks that sound most like a track, the most similar first, and how many tracks are known.

    The track itself is left out. A silent track has none.
    """

    model_config = with_example(
        {
            "tracks": [
                {
                    "path": "albums/song.mp3",
                    "similarity": 0.93,
                    "label": "rock",
                    "confident": True,
                    "duration_seconds": 215.3,
                }
            ],
            "n_known": 8000,
        }
    )
    tracks: list[SimilarTrack]
    n_known: int


class BatchError(BaseModel):
    """Why one file of a batch failed; the codes are those of problem documents."""

    code: str
    message: str


class BatchItem(BaseModel):
    """One file of a batch: a prediction or an error."""

    path: str | None
    prediction: Prediction | None
    error: BatchError | None


class Batch(BaseModel):
    """Results in the order of the files."""

    model_config = with_example(
        {
            "results": [
                {"path": "song.mp3", "prediction": _PREDICTION, "error": None},
                {"path": "text.mp3", "prediction": None, "error": {"code": "empty_audio", "message": "0 bytes"}},
            ],
            "n_failed": 1,
        }
    )
    results: list[BatchItem]
    n_failed: int


class FailedTrack(BaseModel):
    """A file of a job that could not be classified."""

    path: str
    error: BatchError


MAX_JOB_PATHS = 10_000


class JobRequest(BaseModel):
    """The files of a job: paths of files and folders in the folders of `GENRE_AUDIO_ROOTS`. `.` is all of a folder."""

    model_config = ConfigDict(strict=True, extra="forbid", json_schema_extra={"examples": [{"paths": ["albums"]}]})
    paths: Annotated[
        list[Annotated[str, Field(max_length=4096)]], Field(min_length=1, max_length=MAX_JOB_PATHS), FailFast()
    ]


_JOB: dict[str, Any] = {
    "id": "2f1c7c0e5b4b4c8f9d8f0c4f3a5b6c7d",
    "state": "running",
    "paths": ["albums"],
    "n_paths": 1,
    "excerpts": None,
    "whole": False,
    "created": "2026-11-28T12:00:00Z",
    "started": "2026-11-28T12:00:01Z",
    "ended": None,
    "n_total": 5000,
    "n_done": 1200,
    "n_failed": 3,
    "error": None,
}


class Job(BaseModel):
    """A long job. `paths` are the first of the `n_paths` given.

    `n_total` is null before the folders were scanned, `n_done` includes the `n_failed` files whose result is an error.
    A job with the state `failed` says why in `error`; its results so far stay readable, as those of a cancelled one.
    """

    model_config = with_example(_JOB)
    id: str
    state: Literal["queued", "running", "done", "cancelled", "failed"]
    paths: list[str]
    n_paths: int
    excerpts: int | None
    whole: bool
    created: datetime
    started: datetime | None = None
    ended: datetime | None = None
    n_total: int | None = None
    n_done: int = 0
    n_failed: int = 0
    error: BatchError | None = None


class JobList(BaseModel):
    """The jobs that the service keeps, the oldest first."""

    model_config = with_example({"jobs": [_JOB]})
    jobs: list[Job]


_METRICS: dict[str, Any] = {
    "model_exists": True,
    "model_path": "best_model.onnx",
    "val_acc": 0.55,
    "val_loss": 1.31,
    "epoch": 36,
    "ready": True,
    "macro_f1": 0.59,
    "test": {"n_tracks": 975, "n_groups": 446, "accuracy": 0.57, "accuracy_interval": [0.52, 0.62], "macro_f1": 0.6},
    "files": {"n_tracks": 90, "n_groups": 60, "accuracy": 0.55, "accuracy_interval": [0.43, 0.66]},
    "provenance": {"split": {"split": "grouped", "seed": 0, "fold": 0}},
}


class Index(BaseModel):
    """What this service is and where its endpoints are."""

    model_config = with_example(
        {
            "name": "Music genre classification",
            "version": "0.1.0",
            "documentation": "/docs",
            "endpoints": {"/api/genres": ["GET"]},
        }
    )
    name: str
    version: str
    documentation: str
    endpoints: dict[str, list[str]]


class Head(BaseModel):
    """The file of `genre learn` whose genres replace those of the model; null for what is not known."""

    file: str | None
    created: str | None
    n_genres: int


class Health(BaseModel):
    """Whether predictions can be made, and with which model, head and device. `head` is null without `GENRE_HEAD`.

    `known_tracks` is the number of tracks that `/api/similar` finds, null before they were read.
    """

    model_config = with_example(
        {
            "status": "ok",
            "ready": True,
            "reason": None,
            "model": "best_model.onnx",
            "head": {"file": "mine.genre", "created": "2026-11-28", "n_genres": 5},
            "device": "cpu",
            "device_requested": "auto",
            "known_tracks": 8000,
            "version": "0.1.0",
            "versions": {"genre_runtime": "0.1.0", "python": "3.11.7"},
        }
    )
    status: str
    ready: bool
    reason: str | None
    model: str | None
    head: Head | None
    device: str | None
    device_requested: str | None
    known_tracks: int | None
    version: str
    versions: dict[str, str | None]


class Live(BaseModel):
    """The process answers."""

    model_config = with_example({"status": "alive"})
    status: str


class Ready(BaseModel):
    """Predictions can be made."""

    model_config = with_example({"status": "ready"})
    status: str


class Genres(BaseModel):
    """The genres of the model, in the order of its outputs, and the confidence threshold of a confident result."""

    model_config = with_example({"genres": ["blues", "rock"], "confidence_threshold": 0.65})
    genres: list[str]
    confidence_threshold: float


class Input(BaseModel):
    """What the model is given: excerpts of a track, and the constants of the log-mel spectrogram that `spec` takes.

    The model's other front end, if it has one, works on the waveform inside the graph and is not of use to a client.
    """

    model_config = with_example({"excerpt_seconds": 10.0, "n_excerpts": 3, "audio": asdict(AudioConfig())})
    excerpt_seconds: float
    n_excerpts: int
    audio: AudioConfig


class Metrics(BaseModel):
    """Results of the training, and the data it used.

    `test` and `files`, the test tracks that exist as audio files, are by artists that training did not have.
    """

    model_config = with_example(_METRICS)
    model_exists: bool
    model_path: str | None
    val_acc: float | None
    val_loss: float | None
    epoch: int | None
    ready: bool
    macro_f1: float | None
    test: dict[str, Any] | None
    files: dict[str, Any] | None
    provenance: dict[str, Any] | None


class History(BaseModel):
    """One object for each epoch of the training."""

    model_config = with_example({"history": [{"epoch": 1, "train_loss": 2.5, "val_loss": 1.9, "val_acc": 0.36}]})
    history: list[dict[str, Any]]


class Confusion(BaseModel):
    """Number of test tracks by true genre (row) and predicted genre (column)."""

    model_config = with_example(
        {"labels": ["blues", "rock"], "matrix": [[5, 1], [0, 7]], "rows": "true", "columns": "answered"}
    )
    labels: list[str]
    matrix: list[list[int]]
    rows: str = "true"
    columns: str = "answered"


_REFERENCED = (Problem, NotReady, JobRequest)


def reference(model: type[BaseModel]) -> dict[str, str]:
    """Return the reference to a model that FastAPI does not find by itself.

    Parameters
    ----------
    model : type of BaseModel
        One of those that `add_references` adds.
    """
    return {"$ref": f"#/components/schemas/{model.__name__}"}


def add_references(description: dict[str, Any]) -> dict[str, Any]:
    """Add the models of references to an OpenAPI description, and leave out FastAPI's own answer 422.

    Parameters
    ----------
    description : dict
        As FastAPI makes it; changed in place.
    """
    components = description["components"]["schemas"]
    components |= {model.__name__: model.model_json_schema() for model in _REFERENCED}
    for name in ("HTTPValidationError", "ValidationError"):
        components.pop(name, None)
    for methods in description["paths"].values():
        for operation in methods.values():
            if "HTTPValidationError" in str(operation["responses"].get("422")):
                del operation["responses"]["422"]
    return description
