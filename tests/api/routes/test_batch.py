"""Many uploads in one request."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from genre_api.inference import classify_audio
from genre_api.routes import predict as batch_module
from tests.api.conftest import SECRET, MakeClient
from tests.api.requests import LEAKS, assert_problem, audio_bytes, upload


def send(client: TestClient, *contents: bytes, **options: Any) -> Any:
    files = [("files", (f"{i}.wav", content)) for i, content in enumerate(contents)]
    return client.post("/api/predict/batch", files=files, params=options)


def test_each_file_has_its_result_or_error(client: TestClient, scratch: Path) -> None:
    good, big = audio_bytes(2), audio_bytes(40)
    response = send(client, good, b"words", b"", big, top=1)
    assert response.status_code == 200
    answer = response.json()
    results = answer["results"]
    assert answer["n_failed"] == 2
    assert [result["path"] for result in results] == ["0.wav", "1.wav", "2.wav", "3.wav"]
    assert [(result["error"] or {}).get("code") for result in results] == [
        None,
        "unreadable_audio",
        "empty_audio",
        None,
    ]
    for content, result in ((good, results[0]), (big, results[3])):
        alone = upload(client, content, top=1).json()
        ours = result["prediction"]
        assert {**ours, "path": 0, "timings": 0} == {**alone, "path": 0, "timings": 0}
    assert list(scratch.iterdir()) == []


def test_batch_is_bounded(make_client: MakeClient, scratch: Path) -> None:
    client = make_client(max_batch=2)
    assert send(client, audio_bytes(), audio_bytes()).status_code == 200
    assert_problem(send(client, *[audio_bytes()] * 3), 413, "too_many_files")
    assert list(scratch.iterdir()) == []


def test_largest_batch_is_within_the_bound_on_parts(make_client: MakeClient) -> None:
    client = make_client(max_batch=5, max_parts=2)
    assert send(client, *[audio_bytes(0.1)] * 5).status_code == 200


def test_wrong_batches_are_problems(client: TestClient) -> None:
    assert_problem(client.post("/api/predict/batch", json={"path": "a"}), 415, "unsupported_media_type")
    answer = client.post("/api/predict/batch", files={"file": ("a", b"b")})
    assert_problem(answer, 422, "invalid_request")
    assert "in a part named 'files', but 'file'" in answer.json()["detail"]
    answer = send(client, audio_bytes(), excerpts=0)
    assert_problem(answer, 422, "invalid_request")
    assert answer.json()["detail"].endswith(", found '0'")


def test_batch_without_a_model(client_without_model: TestClient) -> None:
    assert_problem(send(client_without_model, audio_bytes()), 503, "unavailable")


def test_surprise_at_one_file_is_that_files_error(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail_at_words(classifier: Any, file: Any, **options: Any) -> Any:
        if file.read(5) == b"words":
            raise RuntimeError(SECRET)
        return classify_audio(classifier, file, **options)

    monkeypatch.setattr(batch_module, "classify_audio", fail_at_words)
    response = send(client, b"words", audio_bytes())
    results = response.json()["results"]
    assert results[0]["error"]["code"] == "internal"
    assert results[1]["prediction"]["label"] == "tone"
    assert not [leak for leak in LEAKS if leak in response.text]
