"""What the service says of itself."""

from __future__ import annotations

import logging

import pytest
from fastapi.testclient import TestClient

from genre_api.routes.health import without_folders
from genre_api.routes.page import best_type
from genre_runtime import GenreClassifier
from tests.api.conftest import SECRET, MakeClient
from tests.api.requests import assert_problem

ENDPOINTS = {
    "/": ["GET"],
    "/livez": ["GET"],
    "/readyz": ["GET"],
    "/metrics": ["GET"],
    "/api/health": ["GET"],
    "/api/genres": ["GET"],
    "/api/input": ["GET"],
    "/api/metrics": ["GET"],
    "/api/metrics/history": ["GET"],
    "/api/metrics/confusion": ["GET"],
    "/api/predict": ["POST"],
    "/api/predict/batch": ["POST"],
    "/api/embedding": ["POST"],
    "/api/similar": ["POST"],
    "/api/jobs": ["GET", "POST"],
    "/api/jobs/{job_id}": ["DELETE", "GET"],
    "/api/jobs/{job_id}/results": ["GET"],
    "/api/jobs/{job_id}/events": ["GET"],
}
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


def test_index_lists_every_endpoint(client: TestClient) -> None:
    answer = client.get("/").json()
    assert answer["endpoints"] == ENDPOINTS
    assert client.get(answer["documentation"]).status_code == 200


def test_browsers_get_a_page(client: TestClient) -> None:
    response = client.get("/", headers={"Accept": BROWSER})
    assert response.headers["content-type"].startswith("text/html")
    assert response.headers["Vary"] == "Accept"
    assert "script-src 'self';" in response.headers["Content-Security-Policy"]
    assert all(path in response.text for path in ENDPOINTS)


def test_page_does_not_believe_the_host_header(client: TestClient) -> None:
    response = client.get("/", headers={"Accept": "text/html", "Host": "x'><script>alert(1)</script>"})
    assert "<script>" not in response.text


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (None, "application/json"),
        ("*/*", "application/json"),
        (BROWSER, "text/html"),
        ("text/*;q=0.5, application/json;q=0.4", "text/html"),
        ("text/html;q=0, */*", "application/json"),
        ("image/png", None),
        ("text/html;q=many", None),
        (",;,=,q=", None),
    ],
)
def test_accept_header_chooses(accept: str | None, expected: str | None) -> None:
    assert best_type(accept, ("application/json", "text/html")) == expected


def test_every_endpoint_has_an_example_in_openapi(client: TestClient) -> None:
    schema = client.get("/openapi.json").json()
    for path, methods in schema["paths"].items():
        for method, operation in methods.items():
            content = operation["responses"]["202" if "202" in operation["responses"] else "200"]["content"]
            for media_type in content.values():
                name = media_type["schema"].get("$ref", "").rpartition("/")[2]
                component = schema["components"]["schemas"].get(name, {})
                assert "example" in media_type or component.get("examples"), (path, method)


def test_health_is_ready(client: TestClient, classifier: GenreClassifier) -> None:
    health = client.get("/api/health").json()
    assert (health["status"], health["ready"], health["reason"]) == ("ok", True, None)
    assert (health["device"], health["device_requested"]) == (classifier.device, "cpu")
    assert health["model"] == "best_model.onnx"
    assert {"python", "onnxruntime", "genre_runtime"} <= health["versions"].keys()
    assert client.get("/livez").json() == {"status": "alive"}
    assert client.get("/readyz").json() == {"status": "ready"}


def test_health_is_degraded_without_a_model(client_without_model: TestClient) -> None:
    response = client_without_model.get("/api/health")
    assert response.status_code == 200
    health = response.json()
    assert (health["status"], health["ready"], health["reason"]) == ("degraded", False, "model_not_found")
    assert health["device"] is None
    assert "secret" not in response.text
    assert client_without_model.get("/livez").status_code == 200
    ready = client_without_model.get("/readyz")
    assert_problem(ready, 503, "not_ready")
    assert "model_not_found" in ready.json()["detail"]
    assert ready.json()["load_error"] == "no model file at 'best_model.onnx': `invoke export` writes it"


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("no model file at '/srv/my models/a.onnx': export it", "no model file at 'a.onnx': export it"),
        (r"no model file at 'C:\\Users\\me\\a.onnx': export it", "no model file at 'a.onnx': export it"),
        ("Load model from /srv/models/a.onnx failed: in and/or out", "Load model from a.onnx failed: in and/or out"),
        (r"Load model from C:\models\a.onnx failed", "Load model from a.onnx failed"),
        ("see https://example.org/a/b", "see https://example.org/a/b"),
    ],
)
def test_load_error_names_files_without_their_folders(message: str, expected: str) -> None:
    assert without_folders(message) == expected


def test_load_error_is_null_while_the_service_drains(client: TestClient) -> None:
    client.app.state.service.draining = True  # type: ignore[attr-defined]
    assert client.get("/readyz").json()["load_error"] is None


def test_surprise_while_loading_is_no_end_of_the_service(make_client: MakeClient) -> None:
    def load() -> GenreClassifier:
        raise RuntimeError(SECRET)

    client = make_client(load)
    assert_problem(client.get("/readyz"), 503, "not_ready")
    assert client.get("/readyz").json()["load_error"] is None
    assert_problem(client.get("/api/genres"), 503, "unavailable")


def test_log_says_why_there_is_no_model(caplog: pytest.LogCaptureFixture, request: pytest.FixtureRequest) -> None:
    with caplog.at_level(logging.ERROR):
        request.getfixturevalue("client_without_model")
    assert SECRET in caplog.text


def test_unknown_address_and_method_are_problems(client: TestClient) -> None:
    assert_problem(client.get("/api/none"), 404, "unknown_address")
    response = client.get("/api/predict")
    assert_problem(response, 405, "method_not_allowed")
    assert response.headers["Allow"] == "POST"


def test_head_is_answered_like_get(client: TestClient) -> None:
    response = client.head("/livez")
    assert response.status_code == 200
