"""The genres of the model, and the results of its training."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from functools import lru_cache
from threading import Lock
from typing import Any, TypeGuard

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from genre_api.images import confusion_png, confusion_svg
from genre_api.inference import sendable
from genre_api.problems import ServiceError, problem_responses
from genre_api.routes.page import best_type
from genre_api.schemas import Confusion, Genres, History, Input, Metrics
from genre_api.service import TheClassifier, TheService
from genre_runtime import GenreClassifier
from genre_runtime.errors import ModelNotFoundError

router = APIRouter(tags=["model"])

SVG, PNG = "image/svg+xml", "image/png"
_FIGURES = (
    "n_tracks",
    "n_groups",
    "accuracy",
    "accuracy_interval",
    "accuracy_own_genres",
    "balanced_accuracy",
    "macro_f1",
    "calibration_error",
    "confident",
    "per_source",
    "per_genre",
)
_PROVENANCE = ("clips_per_source", "clips_left_out", "split", "n_parameters", "versions")
_NO_MODEL = problem_responses(s503="unavailable")
_NOT_RECORDED = problem_responses(s404="not_recorded", s503="unavailable")
_DRAWN: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {
            SVG: {"schema": {"type": "string"}, "example": "<svg>...</svg>"},
            PNG: {"schema": {"type": "string", "format": "binary"}, "example": "\x89PNG..."},
        }
    },
    **_NOT_RECORDED,
    **problem_responses(s406="not_acceptable"),
}


@router.get("/api/genres", responses=_NO_MODEL)
async def genres(classifier: TheClassifier) -> Genres:
    """Return the genres of the model, and the confidence threshold of a confident result.

    \f

    Parameters
    ----------
    classifier : GenreClassifier
        The loaded classifier.
    """
    return Genres(genres=list(classifier.labels), confidence_threshold=classifier.metadata.confidence_threshold)


@router.get("/api/input", responses=_NO_MODEL)
async def input_of_model(classifier: TheClassifier) -> Input:
    """Return the excerpts that the model is given, and the constants of its log-mel spectrogram.

    \f

    Parameters
    ----------
    classifier : GenreClassifier
        The loaded classifier.
    """
    metadata = classifier.metadata
    return Input(excerpt_seconds=metadata.excerpt_seconds, n_excerpts=metadata.n_excerpts, audio=metadata.audio)


@router.get("/api/metrics")
async def metrics(service: TheService) -> Metrics:
    """Return the results of the training and the data it used; null if the sidecar does not contain them.

    \f

    Parameters
    ----------
    service : Service
        State of the running service.
    """
    classifier = service.classifier
    metadata = classifier.metadata if classifier else None
    values = answerable(metadata.metrics) if metadata else {}
    provenance = answerable(metadata.provenance) if metadata else {}
    test, files = (_some(values.get(part), _FIGURES) for part in ("test", "files"))
    error = service.load_error
    missing = error is None or (isinstance(error, ModelNotFoundError) and error.path != service.settings.head)
    return Metrics(
        model_exists=classifier is not None or not missing,  # a broken model exists, too
        model_path=classifier.model_path.name if classifier else None,
        **{name: _number(values.get(name)) for name in ("val_acc", "val_loss")},
        macro_f1=_number((test or {}).get("macro_f1")),
        epoch=values["epoch"] if isinstance(values.get("epoch"), int) else None,
        ready=service.reason is None,
        test=test,
        files=files,
        provenance=_some(provenance, _PROVENANCE),
    )


@router.get("/api/metrics/history", responses=_NOT_RECORDED)
async def history(classifier: TheClassifier) -> History:
    """Return the results of every epoch of the training.

    \f

    Parameters
    ----------
    classifier : GenreClassifier
        The loaded classifier.
    """
    epochs = answerable(classifier.metadata.metrics.get("history"))
    if not isinstance(epochs, list) or not epochs or not all(isinstance(epoch, dict) for epoch in epochs):
        raise _not_recorded("history of the training")
    return History(history=epochs)


@router.get("/api/metrics/confusion", response_model=Confusion, responses=_DRAWN)
def confusion(request: Request, classifier: TheClassifier) -> Response:
    """Return test tracks by true and predicted genre, as JSON or, by the Accept header, as SVG or PNG.

    \f

    Parameters
    ----------
    request : Request
        The request.
    classifier : GenreClassifier
        The loaded classifier.
    """
    wanted = best_type(request.headers.get("accept"), ("application/json", SVG, PNG))
    if wanted is None:
        raise ServiceError(406, "not_acceptable", f"accept one of application/json, {SVG} and {PNG}")
    labels, matrix = list(classifier.labels), _tested(classifier).get("confusion_matrix")
    if not _is_matrix(matrix, len(labels)):
        raise _not_recorded("confusion matrix")
    headers = {"Vary": "Accept"}
    if wanted != "application/json":
        return Response(_drawn(wanted, json.dumps([labels, matrix])), media_type=wanted, headers=headers)
    return JSONResponse(Confusion(labels=labels, matrix=matrix).model_dump(), headers=headers)


_drawing = Lock()


def _drawn(media_type: str, labels_and_matrix: str) -> str | bytes:
    """Draw a confusion matrix in one thread at a time, and each only once."""
    with _drawing:
        return _draw(media_type, labels_and_matrix)


@lru_cache(maxsize=4)
def _draw(media_type: str, labels_and_matrix: str) -> str | bytes:
    draw = confusion_svg if media_type == SVG else confusion_png
    return draw(*json.loads(labels_and_matrix))


def _tested(classifier: GenreClassifier) -> Mapping[str, Any]:
    """Return the figures of the test part; what older sidecars have outside of it is of validation."""
    test = classifier.metadata.metrics.get("test")
    return test if isinstance(test, Mapping) else {}


def answerable(value: Any) -> Any:
    """Return a JSON value without what an answer cannot contain: NaN and infinity become null, lone surrogates `?`.

    Parameters
    ----------
    value : object
        Value read from JSON.
    """
    if isinstance(value, Mapping):
        return {sendable(str(key)): answerable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [answerable(item) for item in value]
    if isinstance(value, str):
        return sendable(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _some(value: Any, names: tuple[str, ...]) -> dict[str, Any] | None:
    return {name: value[name] for name in names if name in value} or None if isinstance(value, Mapping) else None


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _is_matrix(value: Any, size: int) -> TypeGuard[list[list[int]]]:
    rows = value if isinstance(value, list) else []
    return len(rows) == size and all(
        isinstance(row, list) and len(row) == size and all(type(count) is int and count >= 0 for count in row)
        for row in rows
    )


def _not_recorded(what: str) -> ServiceError:
    return ServiceError(404, "not_recorded", f"the model's sidecar has no {what}")
