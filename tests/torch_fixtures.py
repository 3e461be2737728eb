"""Fixtures for tests that need torch; a folder's conftest.py imports what it uses."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from filelock import FileLock

from genre_training.model.checkpoint import Checkpoint
from tests.export.tiny import published_model, tiny_checkpoint, tiny_fused_checkpoint


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Networks this small are slower on several threads, and sums come out the same on one."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory, one_thread: None) -> Path:
    """Folder of the published tiny model; to be read only."""
    return _published_once(tmp_path_factory, tiny_checkpoint)


@pytest.fixture(scope="session")
def published_fused(tmp_path_factory: pytest.TempPathFactory, one_thread: None) -> Path:
    """Folder of the published tiny model of two branches; to be read only."""
    return _published_once(tmp_path_factory, tiny_fused_checkpoint)


def _published_once(tmp_path_factory: pytest.TempPathFactory, checkpoint: Callable[[], Checkpoint]) -> Path:
    """Export a model once for all processes of pytest-xdist, whose temporary folders lie side by side."""
    base = tmp_path_factory.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    with FileLock(base / f"{checkpoint.__name__}.lock"):
        return published_model(base, checkpoint)
