"""Fixtures that several members' tests share."""

from __future__ import annotations

from pathlib import Path

import pytest

from genre_runtime import GenreClassifier
from tests.synthetic import write_model

LONG = (
    "tests/export/test_quantize.py",
    "tests/training/train/test_fuse.py",
    "tests/benchmarks/",
    "tests/test_shared_data.py",
    "tests/export/",
    "tests/test_cases.py",
    "tests/runtime/library/bulk/",
    "tests/runtime/library/tags/test_field_matrix.py",
    "tests/api/test_live.py",
    "tests/api/test_isolation.py",
    "tests/api/test_jobs_live.py",
    "tests/parity/",
    "tests/training/train/",
    "tests/fuzz/",
    "tests/runtime/cli/",
)
"""Files whose tests take longest. They begin first: one that begins last keeps one process at work and others idle."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests that take longest first."""

    def place(item: pytest.Item) -> int:
        return next((i for i, name in enumerate(LONG) if item.nodeid.startswith(name)), len(LONG))

    items.sort(key=place)


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
