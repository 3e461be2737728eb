"""Fixtures that several members' tests share."""

from __future__ import annotations

from pathlib import Path

import pytest

from genre_runtime import GenreClassifier
from tests.synthetic import write_model


@pytest.fixture
def model_path(tmp_path: Path) -> Path:
    """A tiny model in a folder of its own, free to be damaged."""
    folder = tmp_path / "model"
    folder.mkdir()
    return write_model(folder)


@pytest.fixture(scope="session")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> GenreClassifier:
    """A classifier over the tiny model, on the CPU, shared by all tests."""
    return GenreClassifier.load(write_model(tmp_path_factory.mktemp("model")), device="cpu", threads=1)
