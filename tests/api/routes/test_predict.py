"""An upload's genres, and what the service answers to a wrong upload."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from fastapi.testclient import TestClient
from starlette.formparsers import MultiPartParser

from genre_api import request_body
from genre_api.routes import predict as predict_module
from genre_runtime import GenreClassifier
from genre_runtime.errors import ModelNotFoundError
from tests.api.conftest import SECRET, MakeClient
from tests.api.requests import assert_problem, audio_bytes, upload
from tests.runtime.av_files import CONTAINERS, write_with_pyav
from tests.synthetic import RATE, TAGS, noise, tone, write_audio, write_model


def prediction_of(answer: dict[str, Any]) -> dict[str, Any]:
    """The part of an answer that is the package's."""
    return {name: value for name, value in answer.items() if name not in ("top", "timings", "path", "spectrogram")}


@pytest.mark.parametrize("options", [{}, {"excerpts": 2}, {"whole": "true"}], ids=["default", "two", "whole"])
@pytest.mark.parametrize("file_format", ["WAV", "FLAC", "OGG", "MP3"])
@pytest.mark.parametrize(
    "samples", [tone(47.3), noise(2), np.zeros(RATE, np.float32)], ids=["tone", "noise", "silence"]
)
def test_prediction_is_the_classifiers(
    client: TestClient, classifier: GenreClassifier, tmp_path: Path, samples: Any, file_format: str, options: Any
) -> None:
    path = tmp_path / "song"
    soundfile.write(path, np.stack([samples, 0.5 * samples], axis=1), 44_100, format=file_format)
    excerpts: Any = "all" if options.get("whole") else options.get("excerpts")
    expected = prediction_of(classifier.classify_file(path, excerpts=excerpts).to_dict())
    response = upload(client, path.read_bytes(), "song", **options)
    assert response.status_code == 200
    answer = response.json()
    assert prediction_of(answer) == expected
    assert answer["path"] == "song"
    assert set(answer["timings"]) == {"queue_seconds", "decode_seconds", "model_seconds", "total_seconds"}
    assert 0 < answer["timings"]["decode_seconds"] < answer["timings"]["total_seconds"]


def test_answers_of_a_model_with_tags(make_client: MakeClient, tmp_path: Path) -> None:
    tagging = GenreClassifier.load(write_model(tmp_path, tags=TAGS), device="cpu")
    client = make_client(lambda: tagging)
    song = upload(client, audio_bytes()).json()
    assert (song["music"], song["styles"], song["moods"], song["instruments"]) == ("music", ["house"], ["happy"], [])
    assert (song["genre_set"], list(song["tags"])) == (["tone", "noise"], ["music", "house", "happy"])
    path = write_audio(tmp_path / "talk.wav", noise(3))
    talk = upload(client, path.read_bytes()).json()
    assert (talk["music"], talk["reason"], talk["genre_set"]) == ("speech", "speech, not music", [])
    spectrogram = np.zeros((tagging.metadata.audio.n_mels, 100)).tolist()
    answer = client.post("/api/predict", json={"spec": spectrogram}).json()
    assert (answer["tags"], answer["styles"]) == ({}, [])


@pytest.mark.parametrize("suffix", CONTAINERS)
@pytest.mark.parametrize("rolled", [False, True], ids=["memory", "disk"])
def test_formats_that_libsndfile_does_not_know(
    client: TestClient,
    classifier: GenreClassifier,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    suffix: str,
    rolled: bool,
) -> None:
    if rolled:
        monkeypatch.setattr(MultiPartParser, "spool_max_size", 10)
    song = write_with_pyav(tmp_path / f"song{suffix}", tone(3, 48_000), 48_000)
    answer = upload(client, song.read_bytes()).json()
    assert prediction_of(answer) == prediction_of(classifier.classify_file(song).to_dict())
    batch = client.post("/api/predict/batch", files={"files": ("song", song.read_bytes())}).json()
    assert batch["results"][0]["prediction"]["probabilities"] == answer["probabilities"]


def test_top_lists_the_most_probable(client: TestClient) -> None:
    answer = upload(client, audio_bytes(), top=2).json()
    best = list(answer["probabilities"].items())[:2]
    assert [(entry["label"], entry["probability"]) for entry in answer["top"]] == best
    assert len(answer["probabilities"]) == 3


@pytest.mark.parametrize(
    "options",
    [
        {"top": 0},
        {"excerpts": 0},
        {"excerpts": 10**9},
        {"excerpts": "x"},
        {"whole": 2},
        {"exerpts": 2},
        {"whole": "true", "excerpts": 2},
    ],
    ids=str,
)
def test_wrong_option_is_a_problem(client: TestClient, options: dict[str, Any]) -> None:
    assert_problem(upload(client, audio_bytes(), **options), 422, "invalid_request")


@pytest.mark.parametrize("name", ["../../escape.wav", "/etc/passwd", "..\\..\\escape.wav", "song.raw", "ü" * 300])
def test_clients_file_name_reaches_no_file_and_no_log(
    client: TestClient, scratch: Path, tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        response = upload(client, audio_bytes(), name)
    assert response.status_code == 200
    assert response.json()["label"] == "tone"
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    assert name not in "".join(record.getMessage() for record in caplog.records if record.name.startswith("genre"))


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
        (b"ID3\x04\x00\x00\x7f\x7f\x7f\x7f" + bytes(500), 415, "unreadable_audio"),
    ],
    ids=["nothing", "text", "playlist", "cut header", "header alone", "cut flac", "cut ogg", "false m4a", "huge tag"],
)
def test_wrong_upload_is_a_problem(client: TestClient, scratch: Path, content: bytes, status: int, code: str) -> None:
    assert_problem(upload(client, content), status, code)
    assert list(scratch.iterdir()) == []


def test_audio_cut_short_is_judged_by_what_is_there(client: TestClient) -> None:
    content = audio_bytes(4)
    prediction = upload(client, content[: len(content) // 2]).json()
    assert prediction["label"] == "tone"
    assert prediction["duration_seconds"] == pytest.approx(2, abs=0.1)


def test_bounds_on_decoding_hold(make_client: MakeClient) -> None:
    content = audio_bytes(30, "FLAC")
    assert_problem(upload(make_client(max_decode_seconds=20), content, whole="true"), 413, "audio_limit")
    assert_problem(upload(make_client(max_decode_bytes=10**6), content, whole="true"), 413, "audio_limit")
    assert upload(make_client(max_decode_seconds=31), content, whole="true").status_code == 200


@pytest.mark.parametrize(
    ("request_options", "status", "code"),
    [
        ({}, 415, "unsupported_media_type"),
        ({"data": {"file": "words"}}, 415, "unsupported_media_type"),
        ({"files": {"song": ("song.wav", audio_bytes())}}, 422, "invalid_request"),
        ({"files": [("file", ("a", b"x")), ("file", ("b", b"y"))]}, 422, "invalid_request"),
        ({"files": {"file": (None, "no file name")}}, 422, "invalid_request"),
        ({"json": {"file": "song.wav"}}, 422, "invalid_request"),
        ({"content": b"x", "headers": {"Content-Type": "text/plain"}}, 415, "unsupported_media_type"),
        ({"content": b"x", "headers": {"Content-Type": "audio/mpeg"}}, 415, "unreadable_audio"),
        ({"content": b"", "headers": {"Content-Type": "audio/mpeg"}}, 422, "empty_audio"),
    ],
    ids=["nothing", "text field", "another field", "two files", "no file name", "json", "text", "no audio", "empty"],
)
def test_request_without_a_file_is_a_problem(
    client: TestClient, request_options: dict[str, Any], status: int, code: str
) -> None:
    assert_problem(client.post("/api/predict", **request_options), status, code)


@pytest.mark.parametrize(
    "media_type", ["audio/mpeg", "Audio/WAV; rate=16000", "audio/x-anything", "application/octet-stream"]
)
@pytest.mark.parametrize("rolled", [False, True], ids=["memory", "disk"])
def test_body_may_be_the_file_itself(
    client: TestClient, scratch: Path, monkeypatch: pytest.MonkeyPatch, media_type: str, rolled: bool
) -> None:
    if rolled:
        monkeypatch.setattr(request_body, "MAX_MEMORY_BYTES", 10)
    expected = prediction_of(upload(client, audio_bytes()).json())
    response = client.post("/api/predict?top=1", content=audio_bytes(), headers={"Content-Type": media_type})
    assert response.status_code == 200
    assert prediction_of(response.json()) == expected
    assert (response.json()["path"], len(response.json()["top"])) == (None, 1)
    assert list(scratch.iterdir()) == []


@pytest.mark.parametrize("n_bytes", [10, 10_000])
@pytest.mark.parametrize("address", ["/api/predict", "/api/predict/batch"])
def test_part_without_a_file_name_is_explained(client: TestClient, address: str, n_bytes: int) -> None:
    name = "files" if address.endswith("batch") else "file"
    response = client.post(address, files={name: (None, bytes(n_bytes))})
    assert_problem(response, *((422, "invalid_request") if n_bytes == 10 else (400, "invalid_body")))
    assert "without a file name" in response.json()["detail"] or "has no file name" in response.json()["detail"]
    assert "Content-Disposition" in response.json()["detail"]


def test_prediction_without_a_model_is_unavailable(client_without_model: TestClient) -> None:
    for response in (upload(client_without_model, audio_bytes()), client_without_model.get("/api/genres")):
        assert_problem(response, 503, "unavailable")
        assert "model_not_found" in response.json()["detail"]


@pytest.mark.parametrize(
    ("error", "code"), [(ModelNotFoundError(SECRET, ""), "model_not_found"), (RuntimeError(SECRET), "internal")]
)
def test_failure_of_the_service_tells_nothing_of_it(
    client: TestClient, scratch: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, code: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(predict_module, "classify_audio", fail)
    assert_problem(upload(client, audio_bytes()), 500, code)
    assert list(scratch.iterdir()) == []
    monkeypatch.undo()
    assert upload(client, audio_bytes()).status_code == 200
