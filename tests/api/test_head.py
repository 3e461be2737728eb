"""A service with `GENRE_HEAD`: a user's own genres in every answer."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from genre_api import Settings
from genre_api.service import load_classifier
from genre_runtime.model.head import GenreHead
from genre_runtime.model.metadata import read_metadata
from tests.api.conftest import MakeClient
from tests.api.requests import assert_problem, audio_bytes, upload

LABELS = ("calm", "loud")
METRICS = {
    "test": {"n_tracks": 20, "n_groups": 9, "accuracy": 0.85, "macro_f1": 0.8, "confusion_matrix": [[9, 1], [2, 8]]}
}


@pytest.fixture
def head(model_path: Path) -> GenreHead:
    """Genres by the level that the tiny model measures: a tone of half amplitude is loud, silence calm."""
    return GenreHead(
        LABELS,
        np.array([[-20], [20]], np.float32),
        np.array([2, -2], np.float32),
        (None, None),
        model_sha256=read_metadata(model_path).graphs["waveform"].sha256,
        confidence_threshold=0.6,
        metrics=METRICS,
        provenance={"created": "2026-11-28T10:00:00+00:00", "examples": {"calm": 10, "loud": 10}},
    )


def client_of(make_client: MakeClient, model: Path, head: Path) -> TestClient:
    values: dict[str, Any] = {"model": model, "head": head, "device": "cpu"}
    return make_client(lambda: load_classifier(Settings(**values)), **values)


@pytest.fixture
def client(make_client: MakeClient, model_path: Path, head: GenreHead, tmp_path: Path) -> TestClient:
    path = tmp_path / "mine.genre"
    path.write_text(head.to_json(), encoding="utf-8")
    return client_of(make_client, model_path, path)


def test_answers_have_the_genres_of_the_head(client: TestClient) -> None:
    song = upload(client, audio_bytes()).json()
    assert (song["label"], song["confident"], set(song["probabilities"])) == ("loud", True, set(LABELS))
    assert set(song["excerpts"][0]["probabilities"]) == set(LABELS)
    batch = client.post("/api/predict/batch", files={"files": ("song", audio_bytes())}).json()
    assert batch["results"][0]["prediction"]["probabilities"] == song["probabilities"]


def test_figures_are_those_of_the_head(client: TestClient) -> None:
    assert client.get("/api/genres").json() == {"genres": list(LABELS), "confidence_threshold": 0.6}
    metrics = client.get("/api/metrics").json()
    assert (metrics["macro_f1"], metrics["test"]["accuracy"], metrics["val_acc"]) == (0.8, 0.85, None)
    assert client.get("/api/metrics/confusion").json()["labels"] == list(LABELS)
    assert client.get("/api/metrics/history").status_code == 404
    health = client.get("/api/health").json()
    assert health["head"] == {"file": "mine.genre", "created": "2026-11-28T10:00:00+00:00", "n_genres": 2}
    assert health["model"] == "best_model.onnx"


def test_service_without_a_head_names_none(make_client: MakeClient) -> None:
    assert make_client().get("/api/health").json()["head"] is None


def test_spectrogram_is_refused(client: TestClient) -> None:
    response = client.post("/api/predict", json={"spec": [[-30.0] * 9] * 128})
    assert_problem(response, 422, "invalid_input")
    assert "give audio" in response.json()["detail"]


@pytest.mark.parametrize(
    ("case", "code", "words"),
    [
        ("missing", "model_not_found", "'mine.genre'"),
        ("broken", "invalid_head", "write it with `genre learn`"),
        ("foreign", "invalid_head", "learnt with another model"),
    ],
)
def test_unusable_head_is_a_load_error(
    make_client: MakeClient, model_path: Path, head: GenreHead, tmp_path: Path, case: str, code: str, words: str
) -> None:
    path = tmp_path / "mine.genre"
    if case != "missing":
        foreign = dataclasses.replace(head, model_sha256=64 * "0")
        path.write_text(foreign.to_json() if case == "foreign" else "{}", encoding="utf-8")
    client = client_of(make_client, model_path, path)
    ready = client.get("/readyz")
    assert_problem(ready, 503, "not_ready")
    assert code in ready.json()["detail"]
    assert words in ready.json()["load_error"]
    assert_problem(upload(client, audio_bytes()), 503, "unavailable")
    assert client.get("/api/metrics").json()["model_exists"]
    assert client.get("/api/health").json()["head"] is None
