"""An upload's genres, and what the service answers to a wrong upload."""

from __future__ import annotations

import asyncio
import io
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from fastapi.testclient import TestClient

from genre_api import app as app_module
from genre_api import create_app
from genre_runtime import GenreClassifier
from genre_runtime.errors import ModelNotFoundError
from tests.api.conftest import SECRET
from tests.synthetic import RATE, noise, tone


def audio_bytes(seconds: float = 2.0, file_format: str = "WAV") -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, tone(seconds), RATE, format=file_format)
    return buffer.getvalue()


def upload(client: TestClient, content: bytes, name: str = "song.wav") -> Any:
    return client.post("/api/predict", files={"file": (name, content)})


def assert_problem(response: Any, status: int, code: str) -> None:
    """Check one problem document, and that it tells nothing of the server."""
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert problem.keys() == {"type", "title", "status", "code", "detail"}
    assert (problem["status"], problem["code"]) == (status, code)
    assert problem["title"]
    assert problem["detail"]
    for leak in ("Traceback", "genre-", "/tmp", "scratch", "secret", "site-packages", ".py"):
        assert leak not in response.text


@pytest.mark.parametrize("samples", [tone(35), noise(2), np.zeros(RATE, np.float32)], ids=["tone", "noise", "silence"])
def test_prediction_is_the_classifiers(
    client: TestClient, classifier: GenreClassifier, tmp_path: Path, samples: np.ndarray[Any, np.dtype[np.float32]]
) -> None:
    path = tmp_path / "song.flac"
    soundfile.write(path, samples, RATE)
    response = upload(client, path.read_bytes(), "song.flac")
    assert response.status_code == 200
    assert response.json() == {**classifier.classify_file(path).to_dict(), "path": "song.flac"}


@pytest.mark.parametrize("name", ["../../escape.wav", "/etc/passwd", "..\\..\\escape.wav", "song.raw", "ü" * 300])
def test_clients_file_name_reaches_no_file(client: TestClient, scratch: Path, tmp_path: Path, name: str) -> None:
    response = upload(client, audio_bytes(), name)
    assert response.status_code == 200
    assert response.json()["label"] == "tone"
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        (b"", 422, "empty_audio"),
        (b"These are words and no music.", 415, "unreadable_audio"),
        (b"#EXTM3U\nfile:///etc/passwd\n", 415, "unreadable_audio"),
        (audio_bytes()[:20], 415, "unreadable_audio"),
        (audio_bytes()[:44], 422, "empty_audio"),
        (audio_bytes(file_format="FLAC")[:30], 415, "unreadable_audio"),
        (audio_bytes(file_format="OGG")[:100], 415, "unreadable_audio"),
        (b"\x00\x00\x00\x1cftypM4A " + bytes(500), 415, "unreadable_audio"),
    ],
    ids=["nothing", "text", "playlist", "cut header", "header alone", "cut flac", "cut ogg", "false m4a"],
)
def test_wrong_upload_is_a_problem(client: TestClient, scratch: Path, content: bytes, status: int, code: str) -> None:
    assert_problem(upload(client, content), status, code)
    assert list(scratch.iterdir()) == []


def test_audio_cut_short_is_judged_by_what_is_there(client: TestClient) -> None:
    content = audio_bytes(4)
    prediction = upload(client, content[: len(content) // 2]).json()
    assert prediction["label"] == "tone"
    assert prediction["duration_seconds"] == pytest.approx(2, abs=0.1)


@pytest.mark.parametrize(
    "request_options",
    [{}, {"data": {"file": "words"}}, {"files": {"song": ("song.wav", audio_bytes())}}, {"json": {"file": "song.wav"}}],
    ids=["nothing", "text field", "another field", "json"],
)
def test_request_without_a_file_is_a_problem(client: TestClient, request_options: dict[str, Any]) -> None:
    response = client.post("/api/predict", **request_options)
    assert_problem(response, 422, "invalid_request")
    assert "file" in response.json()["detail"]


def test_broken_form_is_a_problem(client: TestClient) -> None:
    headers = {"Content-Type": "multipart/form-data"}  # names no boundary
    assert_problem(client.post("/api/predict", content=b"--x", headers=headers), 400, "http")


def test_too_large_upload_is_a_problem(
    classifier: GenreClassifier, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app_module, "MAX_UPLOAD_BYTES", 50_000)
    with TestClient(create_app(lambda: classifier)) as client:
        assert upload(client, audio_bytes(1)).status_code == 200
        response = upload(client, audio_bytes(2))
        assert_problem(response, 413, "upload_too_large")
        assert "50000 bytes" in response.json()["detail"]
    assert list(scratch.iterdir()) == []


def test_too_large_upload_is_refused_while_it_arrives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app_module, "MAX_UPLOAD_BYTES", 50_000)
    parts = [b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n', *[bytes(1000)] * 100]
    waiting = iter(parts)
    sent: list[MutableMapping[str, Any]] = []

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request", "body": next(waiting), "more_body": True}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/api/predict",
        "query_string": b"",
        "headers": [(b"content-type", b"multipart/form-data; boundary=x")],
    }
    asyncio.run(create_app()(scope, receive, send))
    assert sent[0]["status"] == 413
    assert len(list(waiting)) == 50


def test_prediction_without_a_model_is_unavailable(client_without_model: TestClient) -> None:
    for response in (upload(client_without_model, audio_bytes()), client_without_model.get("/api/genres")):
        assert_problem(response, 503, "unavailable")
        assert int(response.headers["Retry-After"]) > 0
        assert "model_not_found" in response.json()["detail"]


@pytest.mark.parametrize(
    ("error", "code"), [(ModelNotFoundError(SECRET, ""), "model_not_found"), (RuntimeError(SECRET), "internal")]
)
def test_failure_of_the_service_tells_nothing_of_it(
    classifier: GenreClassifier, scratch: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, code: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    with TestClient(create_app(lambda: classifier), raise_server_exceptions=False) as client:
        monkeypatch.setattr(classifier, "classify_file", fail)
        assert_problem(upload(client, audio_bytes()), 500, code)
    assert list(scratch.iterdir()) == []


def test_unknown_address_and_method_are_problems(client: TestClient) -> None:
    assert_problem(client.get("/api/none"), 404, "http")
    response = client.get("/api/predict")
    assert_problem(response, 405, "http")
    assert response.headers["Allow"] == "POST"
