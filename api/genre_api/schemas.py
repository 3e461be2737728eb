"""The JSON objects of predictions and problems, as OpenAPI shows them."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict

_PROBABILITIES = {"rock": 0.9, "pop": 0.07, "blues": 0.03}
_EXCERPT = {"start_seconds": 0.0, "end_seconds": 10.0, "silent": False, "probabilities": _PROBABILITIES}
_TIMINGS = {"queue_seconds": 0.001, "decode_seconds": 0.03, "model_seconds": 0.05, "total_seconds": 0.09}
_PREDICTION: dict[str, Any] = {
    "path": "song.mp3",
    "label": "rock",
    "confidence": 0.9,
    "confident": True,
    "reason": None,
    "probabilities": _PROBABILITIES,
    "excerpts": [_EXCERPT],
    "duration_seconds": 10.0,
    "announced_seconds": None,
    "device": "cpu",
    "spectrogram": None,
    "top": [{"label": "rock", "probability": 0.9}],
    "timings": _TIMINGS,
}


def with_example(value: dict[str, Any]) -> ConfigDict:
    """Return the configuration of a model whose example OpenAPI shows."""
    return ConfigDict(json_schema_extra={"examples": [value]}, protected_namespaces=())


class Problem(BaseModel):
    """A problem document (RFC 9457). `code` is stable and meant for programs, `detail` for people."""

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


class Excerpt(BaseModel):
    """A stretch of the track and its genres; a silent one is left out of the track's answer."""

    start_seconds: float
    end_seconds: float
    silent: bool
    probabilities: dict[str, float]


class Timings(BaseModel):
    """Seconds: waiting for a worker, decoding, in the model, and from the request's head to the answer."""

    queue_seconds: float
    decode_seconds: float
    model_seconds: float
    total_seconds: float


class Ranked(BaseModel):
    """One of the most probable genres."""

    label: str
    probability: float


class Prediction(BaseModel):
    """The genres of a track.

    `path` is the client's own name of it; `reason` says why an answer is not confident; `spectrogram` is a PNG in
    Base64, the excerpts side by side and the lowest band below, where the option of that name asked for it.
    """

    model_config = with_example(_PREDICTION)
    path: str | None
    label: str
    confidence: float
    confident: bool
    reason: str | None
    probabilities: dict[str, float]
    excerpts: list[Excerpt]
    duration_seconds: float
    announced_seconds: float | None
    device: str
    spectrogram: str | None
    top: list[Ranked]
    timings: Timings


class BatchError(BaseModel):
    """Why one file of a batch has no genres; the codes are those of problem documents."""

    code: str
    message: str


class BatchItem(BaseModel):
    """One file of a batch: a prediction or an error."""

    path: str | None
    prediction: Prediction | None
    error: BatchError | None


class Batch(BaseModel):
    """Answers in the order of the files."""

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
