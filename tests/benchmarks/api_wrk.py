"""wrk, the load generator, at work on the service: https://github.com/wg/wrk."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.figures import BenchmarkError

SCRIPT = Path(__file__).with_name("api_upload.lua")
PATIENCE_SECONDS = 120
"""Longest wait for an answer."""


@dataclass(frozen=True)
class Load:
    """What a run of wrk saw.

    Attributes
    ----------
    seconds : float
        Length of the run.
    p50, p99 : float
        Seconds from the request to the answer, over all answers.
    statuses : mapping of str to int
        Answers by status.
    broken, timed_out : int
        Connections that broke, answers that did not come.
    """

    seconds: float
    p50: float
    p99: float
    statuses: Mapping[str, int]
    broken: int
    timed_out: int

    @property
    def rate(self) -> float:
        """Files classified per second."""
        return self.statuses.get("200", 0) / self.seconds

    @property
    def n_busy(self) -> int:
        """Requests that the service refused because every place was taken."""
        return self.statuses.get("503", 0)

    @property
    def n_errors(self) -> int:
        """Everything that is neither an answer nor a refusal by 503."""
        others = sum(n for status, n in self.statuses.items() if status not in ("200", "503"))
        return others + self.broken + self.timed_out


def command_of_wrk() -> str:
    """Return the path of wrk.

    Raises
    ------
    BenchmarkError
        It is not installed.
    """
    found = shutil.which("wrk")
    if found is None:
        raise BenchmarkError(
            "no command `wrk`, the load generator: install it (`apt-get install wrk`, `brew install wrk`)"
        )
    return found


def start_wrk(
    address: str, files: Sequence[Path], *, connections: int, seconds: float, patient: bool, pace_seconds: float = 0
) -> subprocess.Popen[str]:
    """Start uploading files in turn over some connections; `load_of` waits for the end.

    Parameters
    ----------
    address : str
    files : sequence of path
    connections : int
    seconds : float
    patient : bool
        Whether clients wait after a 503 as Retry-After tells them.
    pace_seconds : float
        Wait of each connection before each request.
    """
    options = ["--threads", "1", "--connections", str(connections), "--duration", f"{max(1, round(seconds))}s"]
    options += ["--timeout", f"{PATIENCE_SECONDS}s", "--script", str(SCRIPT), address, "--"]
    arguments = [f"{pace_seconds:g}", "patient" if patient else "impatient", *map(str, files)]
    pipe = subprocess.PIPE
    return subprocess.Popen([command_of_wrk(), *options, *arguments], text=True, stdout=pipe, stderr=pipe)


def load_of(process: subprocess.Popen[str]) -> Load:
    """Wait for wrk and return what it saw.

    Raises
    ------
    BenchmarkError
        It failed.
    """
    try:
        out, err = process.communicate()
    finally:
        process.kill()  # an interrupted run leaves nothing behind
    lines = out.strip().splitlines() or [""]
    if process.returncode or not lines[-1].startswith("{"):
        raise BenchmarkError(f"wrk failed: {(err.strip() or out.strip() or 'no message').splitlines()[-1]}")
    return Load(**json.loads(lines[-1]))
