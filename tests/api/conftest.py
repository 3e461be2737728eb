"""A client of the service over the tiny model, of one without a model, and of one with settings of a test's choice."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from genre_api import Settings, create_app
from genre_runtime import GenreClassifier
from genre_runtime.decoders.pool import DecoderPool
from genre_runtime.errors import ModelNotFoundError

SECRET = "/srv/secret/best_model.onnx"
"""A path of the server that no answer may show."""

MakeClient = Callable[..., TestClient]


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("GENRE_"):
            monkeypatch.delenv(name)


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that temporary files go to."""
    folder = tmp_path / "deep" / "scratch"
    folder.mkdir(parents=True)
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture(scope="session")
def decoders() -> Iterator[DecoderPool]:
    """Processes that decode for all tests, since starting them takes a while."""
    with DecoderPool(4) as pool:
        yield pool


@pytest.fixture
def make_client(classifier: GenreClassifier, decoders: DecoderPool, scratch: Path) -> Iterator[MakeClient]:
    """A function that makes a client of a service with the settings given."""
    with ExitStack() as stack:

        def make(load: Callable[[], GenreClassifier] = lambda: classifier, **values: Any) -> TestClient:
            app = create_app(load, Settings(**{"workers": 2, **values}), decoders)
            return stack.enter_context(TestClient(app, raise_server_exceptions=False))

        yield make


@pytest.fixture
def client(make_client: MakeClient) -> TestClient:
    return make_client()


@pytest.fixture
def client_without_model(make_client: MakeClient) -> TestClient:
    def load() -> GenreClassifier:
        raise ModelNotFoundError(SECRET, "`invoke export` writes it")

    return make_client(load)
