"""What the service says of itself and of its model."""

from __future__ import annotations

import logging

import pytest
from fastapi.testclient import TestClient

from genre_runtime import GenreClassifier
from tests.api.conftest import SECRET
from tests.synthetic import LABELS

METRICS_KEYS = {"model_exists", "model_path", "val_acc", "val_loss", "epoch", "ready"}


def test_index_lists_every_endpoint(client: TestClient) -> None:
    answer = client.get("/").json()
    expected = {
        "/": ["GET"],
        "/api/health": ["GET"],
        "/api/genres": ["GET"],
        "/api/metrics": ["GET"],
        "/api/predict": ["POST"],
    }
    assert answer["endpoints"].items() >= expected.items()
    assert client.get(answer["documentation"]).status_code == 200


def test_health_is_ready(client: TestClient, classifier: GenreClassifier) -> None:
    health = client.get("/api/health").json()
    assert (health["status"], health["ready"], health["reason"]) == ("ok", True, None)
    assert (health["device"], health["device_requested"]) == (classifier.device, "cpu")


def test_health_is_degraded_without_a_model(client_without_model: TestClient) -> None:
    response = client_without_model.get("/api/health")
    assert response.status_code == 200
    health = response.json()
    assert (health["status"], health["ready"], health["reason"]) == ("degraded", False, "model_not_found")
    assert health["device"] is None
    assert "secret" not in response.text


def test_log_says_why_there_is_no_model(caplog: pytest.LogCaptureFixture, request: pytest.FixtureRequest) -> None:
    with caplog.at_level(logging.ERROR):
        request.getfixturevalue("client_without_model")
    assert SECRET in caplog.text


def test_genres_in_the_order_of_the_model(client: TestClient) -> None:
    assert client.get("/api/genres").json() == {"genres": list(LABELS)}


def test_metrics_come_from_the_sidecar(client: TestClient) -> None:
    metrics = client.get("/api/metrics").json()
    assert metrics.keys() >= METRICS_KEYS
    assert (metrics["val_acc"], metrics["val_loss"], metrics["epoch"]) == (0.75, 0.5, 3)
    assert (metrics["model_exists"], metrics["model_path"], metrics["ready"]) == (True, "best_model.onnx", True)


def test_metrics_without_a_model(client_without_model: TestClient) -> None:
    metrics = client_without_model.get("/api/metrics").json()
    assert metrics.keys() >= METRICS_KEYS
    assert {value for value in metrics.values() if value is not None} == {False}
