"""What tests send, and what they expect of a refusal."""

from __future__ import annotations

import io
from typing import Any

import soundfile
from fastapi.testclient import TestClient

from tests.synthetic import RATE, tone

LEAKS = ("Traceback", "/proc", "genre-", "/tmp", "scratch", "secret", "site-packages", ".py")


def audio_bytes(seconds: float = 2.0, file_format: str = "WAV") -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, tone(seconds), RATE, format=file_format)
    return buffer.getvalue()


def upload(client: TestClient, content: bytes, name: str = "song.wav", **options: Any) -> Any:
    return client.post("/api/predict", files={"file": (name, content)}, params=options)


def assert_problem(response: Any, status: int, code: str) -> None:
    """Check one problem document, and that it contains no path or traceback of the server."""
    assert (response.status_code, response.json().get("code")) == (status, code)
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    members = {"type", "title", "status", "code", "detail", "request_id"}
    assert problem.keys() == members | ({"load_error"} if code == "not_ready" else set())
    assert problem["status"] == status
    assert problem["title"]
    assert problem["detail"]
    assert problem["request_id"] == response.headers["X-Request-ID"]
    for leak in LEAKS:
        assert leak not in response.text
    if status in (429, 503):
        assert int(response.headers["Retry-After"]) > 0
