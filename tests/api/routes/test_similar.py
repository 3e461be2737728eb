"""`/api/embedding`, and `/api/similar` with the tracks of a state file."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from genre_runtime import GenreClassifier
from tests.api.conftest import MakeClient
from tests.api.live import write_state
from tests.api.requests import assert_problem, audio_bytes
from tests.patience import PATIENCE_SECONDS
from tests.synthetic import noise, tone, write_audio

WAV = {"Content-Type": "audio/wav"}


@pytest.fixture
def music(tmp_path: Path) -> Path:
    """A folder of music, and beside it one that no client may know of."""
    folder = tmp_path / "music"
    for name in ("music/album", "private"):
        (tmp_path / name).mkdir(parents=True)
    write_audio(folder / "album" / "a.wav", tone(2))
    write_audio(folder / "album" / "b.wav", noise(3))
    write_audio(folder / "silent.wav", np.zeros(16_000, np.float32))
    (folder / "text.mp3").write_text("no music")
    (folder / "copy.wav").write_bytes((folder / "album" / "b.wav").read_bytes())
    write_audio(tmp_path / "private" / "secret.wav", tone(3))
    return folder


@pytest.fixture
def state(music: Path, classifier: GenreClassifier, tmp_path: Path) -> Path:
    write_state(
        tmp_path / "state", classifier.model_path, *sorted(path for path in tmp_path.rglob("*.*") if path.is_file())
    )
    return tmp_path / "state"


def similar(client: TestClient, content: bytes, **options: Any) -> Any:
    """Ask until the tracks were read."""
    for _ in range(600):
        response = client.post("/api/similar", content=content, headers=WAV, params=options)
        if response.status_code != 503 or "still being read" not in response.json()["detail"]:
            return response
        assert_problem(response, 503, "unavailable")
        time.sleep(0.05)
    raise AssertionError("not read within half a minute")


def names(response: Any) -> list[str]:
    assert response.status_code == 200
    return [track["path"] for track in response.json()["tracks"]]


def test_embedding_is_the_classifiers(client: TestClient, classifier: GenreClassifier, music: Path) -> None:
    song = music / "album" / "b.wav"
    expected = classifier.classify_file(song, excerpts="all")
    assert expected.embedding is not None
    form = client.post("/api/embedding?whole=true", files={"file": ("b", song.read_bytes())}).json()
    assert form == {
        "model_sha256": classifier.metadata.graphs["waveform"].sha256,
        "n_features": 1,
        "embedding": pytest.approx(expected.embedding.tolist(), abs=1e-9),
        "excerpts": None,
    }
    assert np.float32(form["embedding"][0]) == expected.embedding[0]
    body = client.post("/api/embedding?excerpts=2&per_excerpt=true", content=song.read_bytes(), headers=WAV).json()
    assert [set(part) for part in body["excerpts"]] == [{"start_seconds", "end_seconds", "embedding"}]


def test_embedding_of_a_path(make_client: MakeClient, music: Path) -> None:
    client = make_client(audio_roots=str(music))
    assert client.post("/api/embedding", json={"path": "album/a.wav"}).json()["n_features"] == 1
    assert_problem(client.post("/api/embedding", json={"path": "../private/secret.wav"}), 404, "not_found")


@pytest.mark.parametrize("address", ["/api/embedding", "/api/similar"])
def test_refusals_are_those_of_predict(make_client: MakeClient, state: Path, address: str) -> None:
    client = make_client(state=state, max_body_bytes=200_000)
    similar(client, audio_bytes())
    spectrogram = [[-30.0] * 9] * 128
    response = client.post(address, json={"spec": spectrogram})
    assert_problem(response, 422, "invalid_request")
    assert "has no embedding" in response.json()["detail"]
    response = client.post(address, content=b"x", headers={"Content-Type": "application/x-npy"})
    assert_problem(response, 415, "unsupported_media_type")
    assert "x-npy" not in response.headers["Accept-Post"]
    assert_problem(client.post(address, json={"path": "a"}), 403, "path_disabled")
    assert_problem(client.post(address, content=b"words", headers=WAV), 415, "unreadable_audio")
    assert_problem(client.post(address, content=bytes(200_001), headers=WAV), 413, "upload_too_large")
    for query in ("top=0", "top=101", "whole=true&excerpts=2", "spectrogram=true"):
        assert_problem(client.post(f"{address}?{query}", content=audio_bytes(), headers=WAV), 422, "invalid_request")


def test_new_endpoints_need_the_key(make_client: MakeClient) -> None:
    client = make_client(api_key="a-long-key")
    for address in ("/api/embedding", "/api/similar"):
        assert_problem(client.post(address, content=audio_bytes(), headers=WAV), 401, "unauthorized")


def test_similar_is_off_without_a_state_file(client: TestClient) -> None:
    response = client.post("/api/similar", content=audio_bytes(), headers=WAV)
    assert_problem(response, 403, "similar_disabled")
    assert "GENRE_STATE" in response.json()["detail"]
    assert client.get("/api/health").json()["known_tracks"] is None


def test_tracks_below_the_roots_alone_are_shown(make_client: MakeClient, music: Path, state: Path) -> None:
    client = make_client(state=state, audio_roots=os.pathsep.join([str(music / "none"), str(music)]))
    response = similar(client, audio_bytes(4))
    # Of files with the same bytes one is shown; silent files and files without audio are left out.
    assert sorted(names(response)) == ["album/a.wav", "album/b.wav"]
    assert response.json()["n_known"] == client.get("/api/health").json()["known_tracks"] == 2
    assert str(music.parent) not in response.text
    track = next(track for track in response.json()["tracks"] if track["path"] == "album/a.wav")
    assert track == {
        "path": "album/a.wav",
        "similarity": pytest.approx(1),
        "label": "tone",
        "confident": True,
        "duration_seconds": 2.0,
    }
    assert "genre_known_tracks 2.0" in client.get("/metrics").text
    # What is shown can be asked for.
    assert client.post("/api/predict", json={"path": track["path"]}).status_code == 200


def test_without_roots_file_names_alone_are_shown(make_client: MakeClient, music: Path, state: Path) -> None:
    client = make_client(state=state)
    response = similar(client, audio_bytes(4))
    assert sorted(names(response)) == ["a.wav", "b.wav", "secret.wav"]
    assert len(names(similar(client, audio_bytes(4), top=1))) == 1
    assert "private" not in response.text


def test_track_itself_and_silence(make_client: MakeClient, music: Path, state: Path) -> None:
    client = make_client(state=state, audio_roots=str(music))
    assert names(similar(client, (music / "album" / "b.wav").read_bytes())) == ["album/a.wav"]
    assert names(client.post("/api/similar", json={"path": "album/a.wav"})) == ["album/b.wav"]
    assert names(similar(client, (music / "silent.wav").read_bytes())) == []


def test_changed_state_file_is_read_again(
    make_client: MakeClient, music: Path, state: Path, classifier: GenreClassifier
) -> None:
    client = make_client(state=state, audio_roots=str(music))
    assert len(names(similar(client, audio_bytes(4)))) == 2
    write_audio(music / "new.wav", tone(5))
    write_state(state, classifier.model_path, music / "new.wav")
    deadline = time.monotonic() + PATIENCE_SECONDS
    while len(names(similar(client, audio_bytes(4)))) == 2:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert "new.wav" in names(similar(client, audio_bytes(4)))


def test_wrong_state_file_is_told_until_it_is_right(
    make_client: MakeClient, state: Path, music: Path, caplog: pytest.LogCaptureFixture
) -> None:
    good = state.read_bytes()
    state.write_bytes(b"words")
    client = make_client(state=state)
    response = similar(client, audio_bytes())
    assert_problem(response, 503, "unavailable")
    assert "cannot be read" in response.json()["detail"]
    assert "is not a state file" in caplog.text or "not a database" in caplog.text
    assert client.get("/readyz").status_code == 200
    state.write_bytes(good)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (response := similar(client, audio_bytes())).status_code != 200:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert names(response)
