"""The service under load: a process of its own, and what the system says of it."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tests.api.live import Live, live
from tests.benchmarks.bench import MODEL
from tests.benchmarks.figures import BenchmarkError

QUIET_SECONDS = 70
"""Longer than any Retry-After: wrk counts it as an error when a kept connection is closed while it waits."""


@dataclass
class Served:
    """A running service with the shipped model."""

    live: Live
    scratch: Path

    @property
    def address(self) -> str:
        """The address without a path."""
        return self.live.address

    def resident_mb(self) -> float:
        """Resident memory, millions of bytes."""
        return self._status("VmRSS") * 1024 / 1e6

    def peak_mb(self) -> float:
        """Largest resident memory so far, millions of bytes."""
        return self._status("VmHWM") * 1024 / 1e6

    def n_threads(self) -> int:
        """Threads of the process."""
        return self._status("Threads")

    def n_open_files(self) -> int:
        """Open files and sockets of the process."""
        return len(list(Path(f"/proc/{self.live.process.pid}/fd").iterdir()))

    def n_temporary_files(self) -> int:
        """Files in the folder for temporary ones."""
        return len(list(self.scratch.iterdir()))

    def processor_seconds(self) -> float:
        """Processor time used so far."""
        fields = Path(f"/proc/{self.live.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def accepted_percentiles(self) -> tuple[float, float]:
        """p50 and p99 of the seconds that requests answered with 200 took, by the service's own log; NaN for none."""
        seconds = []
        for line in self.live.log.read_text(encoding="utf-8").splitlines():
            entry = json.loads(line)
            if entry.get("route") == "/api/predict" and entry.get("status") == 200:
                seconds.append(entry["seconds"])
        if not seconds:
            return float("nan"), float("nan")
        p50, p99 = np.percentile(seconds, [50, 99])
        return float(p50), float(p99)

    def _status(self, name: str) -> int:
        text = Path(f"/proc/{self.live.process.pid}/status").read_text()
        [line] = [line for line in text.splitlines() if line.startswith(f"{name}:")]
        return int(line.split()[1])


@contextmanager
def served(workers: int) -> Iterator[Served]:
    """Start the service with its defaults and the shipped model.

    Raises
    ------
    BenchmarkError
        No Linux, or no model.
    """
    if not Path("/proc/self/status").is_file():
        raise BenchmarkError("memory is read from /proc: run this on Linux")
    if not MODEL.is_file():
        raise BenchmarkError(f"no model at {MODEL}: run `invoke export`")
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder, "scratch")
        scratch.mkdir()
        settings: dict[str, Any] = {"workers": workers, "drain_seconds": 1, "header_seconds": QUIET_SECONDS}
        with live(Path(folder), MODEL, {"TMPDIR": str(scratch)}, **settings) as service:
            yield Served(service, scratch)
