"""The JSON objects that tell of the service and of its model, as OpenAPI shows them."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from genre_api.schemas import with_example

_METRICS: dict[str, Any] = {
    "model_exists": True,
    "model_path": "best_model.onnx",
    "val_acc": 0.55,
    "val_loss": 1.31,
    "epoch": 36,
    "ready": True,
    "macro_f1": 0.59,
    "test": {"n_tracks": 1653, "accuracy": 0.57, "macro_f1": 0.6},
    "provenance": {"split": {"split": "grouped", "seed": 0, "fold": 0}},
}


class Index(BaseModel):
    """What this service is and where its endpoints lie."""

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


class Health(BaseModel):
    """Whether predictions can be made, and on what."""

    model_config = with_example(
        {
            "status": "ok",
            "ready": True,
            "reason": None,
            "model": "best_model.onnx",
            "device": "cpu",
            "device_requested": "auto",
            "version": "0.1.0",
            "versions": {"genre_runtime": "0.1.0", "python": "3.11.7"},
        }
    )
    status: str
    ready: bool
    reason: str | None
    model: str | None
    device: str | None
    device_requested: str | None
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
    """The genres that the model knows, in the order of its outputs, and the confidence from which an answer is sure."""

    model_config = with_example({"genres": ["blues", "rock"], "confidence_threshold": 0.65})
    genres: list[str]
    confidence_threshold: float


class Metrics(BaseModel):
    """How well the model did in training, and on what data."""

    model_config = with_example(_METRICS)
    model_exists: bool
    model_path: str | None
    val_acc: float | None
    val_loss: float | None
    epoch: int | None
    ready: bool
    macro_f1: float | None
    test: dict[str, Any] | None
    provenance: dict[str, Any] | None


class History(BaseModel):
    """One object an epoch of the training."""

    model_config = with_example({"history": [{"epoch": 1, "train_loss": 2.5, "val_loss": 1.9, "val_acc": 0.36}]})
    history: list[dict[str, Any]]


class Confusion(BaseModel):
    """Validation tracks by true genre (row) and answered genre (column)."""

    model_config = with_example(
        {"labels": ["blues", "rock"], "matrix": [[5, 1], [0, 7]], "rows": "true", "columns": "answered"}
    )
    labels: list[str]
    matrix: list[list[int]]
    rows: str = "true"
    columns: str = "answered"
