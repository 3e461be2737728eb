"""Spectrograms as pictures."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
from fastapi.testclient import TestClient
from PIL import Image

from genre_api.images import COLUMNS, COLUMNS_OF_WHOLE, N_COLOURS, Picture
from genre_runtime import GenreClassifier
from tests.api.requests import audio_bytes, upload
from tests.synthetic import tone


def pixels(drawing: str) -> Any:
    """Levels of a picture, shape (n_mels, n_columns), the lowest band first."""
    image = Image.open(io.BytesIO(base64.b64decode(drawing)))
    assert (image.format, image.mode) == ("PNG", "P")
    return np.asarray(image)[::-1]


def test_picture_comes_where_it_is_asked_for(client: TestClient, classifier: GenreClassifier) -> None:
    content = audio_bytes(45)
    assert upload(client, content).json()["spectrogram"] is None
    n_mels = classifier.metadata.audio.n_mels
    asked = upload(client, content, spectrogram="true").json()
    assert asked["probabilities"] == upload(client, content).json()["probabilities"]
    assert pixels(asked["spectrogram"]).shape == (n_mels, 3 * COLUMNS)
    whole = upload(client, content, spectrogram="true", whole="true").json()
    assert pixels(whole["spectrogram"]).shape == (n_mels, len(whole["excerpts"]) * COLUMNS_OF_WHOLE)
    files = {"files": ("song", content)}
    [item] = client.post("/api/predict/batch?spectrogram=true", files=files).json()["results"]
    assert item["prediction"]["spectrogram"] == asked["spectrogram"]


def test_spectrogram_that_was_sent_is_drawn(client: TestClient, classifier: GenreClassifier) -> None:
    n_mels = classifier.metadata.audio.n_mels
    rows = [[-80.0] * 20] * (n_mels - 1) + [[-3.0] * 20]
    drawn = pixels(client.post("/api/predict?spectrogram=true", json={"spec": rows}).json()["spectrogram"])
    assert (drawn[-1] == N_COLOURS - 1).all()
    assert drawn[:-1].max() < N_COLOURS // 10


def test_loud_bands_are_bright_and_silence_is_dark(classifier: GenreClassifier) -> None:
    audio = classifier.metadata.audio
    picture = Picture(audio)
    sound = tone(10, audio.sample_rate)
    picture.add(sound)
    picture.add(np.zeros_like(sound))
    drawn = pixels(picture.png())
    n_columns = drawn.shape[1] // 2
    assert drawn[:, :n_columns].max() == N_COLOURS - 1
    assert (drawn[:, :n_columns].mean(axis=1) > N_COLOURS / 2).mean() < 0.5
    assert drawn[:, n_columns:].max() == 0
