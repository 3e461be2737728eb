"""What the export tests share."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from tests.torch_fixtures import one_thread, published

__all__ = ["logging_as_before", "one_thread", "published"]


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """The command silences the exporter's chatter for its whole process, which here is that of all tests."""
    before = logging.root.manager.disable
    yield
    logging.disable(before)
