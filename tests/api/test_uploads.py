"""Uploads as paths for decoders, and the hostile files of the runtime sent as uploads."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.api.conftest import MakeClient
from tests.api.requests import LEAKS, assert_problem, audio_bytes, upload
from tests.runtime.hostile_files import CONTENTS, Hostile, endless_opus
from tests.synthetic import LABELS

STATUS = {"audio_limit": 413, "unreadable_audio": 415, "empty_audio": 422}


def test_where_temporary_files_cannot_be_made_uploads_are_read_from_memory(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    assert upload(client, audio_bytes()).json()["label"] == "tone"


@pytest.mark.parametrize("kind", ["form", "body"])
def test_full_disk_is_told_as_such(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    content = audio_bytes(60)
    if kind == "form":
        response = upload(client, content)
    else:
        response = client.post("/api/predict", content=content, headers={"Content-Type": "audio/wav"})
    assert_problem(response, 503, "storage_full")
    assert "No space left on device" in caplog.text


@pytest.fixture
def bounded(make_client: MakeClient) -> TestClient:
    """A service with the bounds of the runtime's own hostile tests."""
    return make_client(max_decode_seconds=600, max_decode_bytes=64 * 2**20)


@pytest.mark.parametrize("hostile", CONTENTS, ids=lambda hostile: hostile.name)
def test_hostile_file_as_upload(bounded: TestClient, scratch: Path, tmp_path: Path, hostile: Hostile) -> None:
    content = hostile.make(tmp_path).read_bytes()
    one = upload(bounded, content)
    [of_batch] = bounded.post("/api/predict/batch", files={"files": ("song", content)}).json()["results"]
    for leak in LEAKS:
        assert leak not in one.text
    answer = one.json()
    if one.status_code == 200:
        found = answer["label"]
        assert of_batch["prediction"]["probabilities"] == answer["probabilities"]
    else:
        found = answer["code"]
        assert one.status_code == STATUS[found]
        assert of_batch["error"] == {"code": found, "message": answer["detail"]}
    assert found in {*STATUS, *LABELS} if hostile.expected == "typed" else found == hostile.expected
    assert list(scratch.iterdir()) == []


def test_hours_in_few_bytes_are_cut_off(make_client: MakeClient) -> None:
    client = make_client(max_decode_seconds=60)
    content = endless_opus(10)
    assert upload(client, content).status_code == 200
    assert upload(client, content, whole="true").json()["code"] == "audio_limit"
