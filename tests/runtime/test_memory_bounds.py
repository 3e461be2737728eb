"""Peak memory of a process that is handed a heavy file, through the package, by path and from memory."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.runtime.heavy_files import HEAVY, Heavy

if sys.platform != "linux":
    pytest.skip("memory is read from Linux's /proc", allow_module_level=True)

ROOT = Path(__file__).parents[2]
MOST_BYTES = 500_000_000
PATIENCE_SECONDS = 60.0
"""What catches a hang, the start of Python included."""


def measured(folder: Path, path: Path, how: str) -> tuple[dict[str, Any], int]:
    """Classify a file in a fresh process; returns what was found and the peak of memory in bytes."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.runtime.apart", folder, path, how],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
    )
    assert done.returncode == 0, done.stderr[-2_000:]
    answer = json.loads(done.stdout)
    return answer["found"], answer["peak_bytes"]


@pytest.mark.parametrize("how", ["path", "bytes"])
@pytest.mark.parametrize("heavy", HEAVY, ids=lambda heavy: heavy.name)
def test_memory_is_bounded_before_it_is_spent(tmp_path: Path, heavy: Heavy, how: str) -> None:
    path = heavy.make(tmp_path)
    (tmp_path / "model").mkdir()
    found, peak = measured(tmp_path / "model", path, how)
    # What was handed in from memory was there before.
    assert peak < MOST_BYTES + (path.stat().st_size if how == "bytes" else 0)
    if heavy.readable is not None:
        assert (found["error"] is None) == heavy.readable, found["message"]
