"""A client of the service over the tiny model, and of one without a model."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from genre_api import create_app
from genre_runtime import GenreClassifier
from genre_runtime.errors import ModelNotFoundError

SECRET = "/srv/secret/best_model.onnx"
"""A path of the server that no answer may show."""


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that temporary files go to."""
    folder = tmp_path / "deep" / "scratch"
    folder.mkdir(parents=True)
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def client(classifier: GenreClassifier, scratch: Path) -> Iterator[TestClient]:
    with TestClient(create_app(lambda: classifier)) as client:
        yield client


@pytest.fixture
def client_without_model() -> Iterator[TestClient]:
    def load() -> GenreClassifier:
        raise ModelNotFoundError(SECRET, "`invoke export` writes it")

    with TestClient(create_app(load)) as client:
        yield client
