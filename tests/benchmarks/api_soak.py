"""The soak: a light load for long, and whether memory, threads, open and temporary files stay as they are."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx2
import numpy as np

from tests.benchmarks.api_service import Served, served
from tests.benchmarks.api_wrk import Load, load_of, start_wrk
from tests.benchmarks.figures import BenchmarkError
from tests.benchmarks.material import Material

CONNECTIONS = 4
PACE_SECONDS = 2.0
SAMPLE_SECONDS = 5.0
PAGES = {
    "/": "text/html",
    "/api/metrics": "application/json",
    "/api/metrics/confusion": "image/png",
    "/metrics": "*/*",
    "/readyz": "*/*",
}


@dataclass(frozen=True)
class Sample:
    """The service at one moment."""

    seconds: float
    resident_mb: float
    n_threads: int
    n_open_files: int
    n_temporary_files: int


@dataclass(frozen=True)
class Soak:
    """What a soak saw."""

    samples: Sequence[Sample]
    load: Load
    n_pages: int

    @property
    def drift_mb_per_hour(self) -> float:
        """Slope of a line through the second half of the memory's samples."""
        later = self.samples[len(self.samples) // 2 :]
        times, memory = [one.seconds / 3600 for one in later], [one.resident_mb for one in later]
        return float(np.polyfit(times, memory, 1)[0]) if len(later) > 1 else float("nan")


def soak(seconds: float, cores: int, material: Material, clip_seconds: float = 30) -> Soak:
    """Upload good files and a broken one in turn, ask for the other addresses too, and watch the process."""
    clips, tracks = material.tracks(6, clip_seconds, 6), material.tracks(2, 8 * clip_seconds, 2)
    files = [*clips, *tracks, material.broken()]
    with served(cores) as service:
        wrk = start_wrk(
            service.address, files, connections=CONNECTIONS, seconds=seconds, patient=True, pace_seconds=PACE_SECONDS
        )
        samples, n_pages = [], 0
        try:
            for sample in _watched(service, seconds):
                samples.append(sample)
                n_pages += _ask_the_rest(service, files[0])
        except BaseException:
            wrk.kill()
            raise
        return Soak(samples, load_of(wrk), n_pages)


def _watched(service: Served, seconds: float) -> Iterator[Sample]:
    began = time.monotonic()
    while (passed := time.monotonic() - began) < seconds:
        yield Sample(
            passed,
            service.resident_mb(),
            service.n_threads(),
            service.n_open_files(),
            service.n_temporary_files(),
        )
        time.sleep(min(SAMPLE_SECONDS, max(0.0, seconds - (time.monotonic() - began))))


def _ask_the_rest(service: Served, song: Path) -> int:
    """Ask for what wrk does not; returns how many answers came."""
    responses = [httpx2.get(service.address + page, headers={"Accept": accept}) for page, accept in PAGES.items()]
    address = f"{service.address}/api/predict?spectrogram=true&whole=true"
    responses.append(httpx2.post(address, files={"file": song.read_bytes()}, timeout=60))
    for response in responses:
        if response.status_code != 200:
            raise BenchmarkError(f"{response.url} answered {response.status_code} during the soak")
    return len(responses)
