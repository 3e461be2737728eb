"""Fixtures of the export tests."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from tests.torch_fixtures import one_thread, published, published_fused

__all__ = ["logging_as_before", "one_thread", "published", "published_fused"]


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """Restore logging, which the command switches off for its whole process."""
    before = logging.root.manager.disable
    yield
    logging.disable(before)
