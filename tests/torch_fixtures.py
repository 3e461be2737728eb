"""Fixtures for tests that need torch; a folder's conftest.py imports what it uses."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.export.tiny import published_model, tiny_fused_checkpoint


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
    return published_model(tmp_path_factory.getbasetemp())


@pytest.fixture(scope="session")
def published_fused(tmp_path_factory: pytest.TempPathFactory, one_thread: None) -> Path:
    """Folder of the published tiny model of two branches; to be read only."""
    return published_model(tmp_path_factory.getbasetemp(), tiny_fused_checkpoint)
