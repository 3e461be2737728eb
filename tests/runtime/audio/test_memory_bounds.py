"""Peak memory of a process that decodes a file with large claims, by path and from memory."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.runtime.apart import measured
from tests.runtime.heavy_files import HEAVY, Heavy

if sys.platform != "linux":
    pytest.skip("memory is read from Linux's /proc", allow_module_level=True)

MOST_BYTES = 500_000_000


BY_BYTES = HEAVY[::5]
"""What holds for a path holds for bytes: a few show it."""


@pytest.mark.parametrize(
    ("heavy", "how"),
    [*((heavy, "path") for heavy in HEAVY), *((heavy, "bytes") for heavy in BY_BYTES)],
    ids=lambda value: getattr(value, "name", value),
)
def test_memory_is_bounded_before_it_is_spent(tmp_path: Path, heavy: Heavy, how: str) -> None:
    path = heavy.make(tmp_path)
    found, peak = measured(tmp_path, path, how)
    # What was handed in from memory was there before.
    assert peak < MOST_BYTES + (path.stat().st_size if how == "bytes" else 0)
    if heavy.readable is not None:
        assert (found.error is None) == heavy.readable, found.message
