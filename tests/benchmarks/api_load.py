"""The load test: rising numbers of connections, and the service beside `classify_files` on the same files."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from genre_runtime import GenreClassifier
from tests.benchmarks.api_service import Served, served
from tests.benchmarks.api_wrk import Load, load_of, start_wrk
from tests.benchmarks.bench import MODEL, all_classified
from tests.benchmarks.figures import Figure, Target, figure
from tests.benchmarks.material import Material

LEVELS = (1, 8, 64, 256)
COMPARED = 8
SHARE = 0.85
"""Of what `classify_files` does, the least that the service is to do at `COMPARED` connections."""


@dataclass(frozen=True)
class LoadPlan:
    """How much is measured: files and their length, seconds of each load, rounds of each comparison."""

    n_files: int = 8
    clip_seconds: float = 30.0
    track_seconds: float = 240.0
    seconds: float = 15.0
    side_seconds: float = 6.0
    rounds: int = 4


FULL = LoadPlan()
QUICK = LoadPlan(n_files=2, clip_seconds=2, track_seconds=4, seconds=1, side_seconds=1, rounds=1)


@dataclass(frozen=True)
class Level:
    """One row of the load table; seconds of the accepted requests are the service's own."""

    connections: int
    patient: bool
    load: Load
    accepted_p50: float
    accepted_p99: float
    peak_mb: float


def levels(plan: LoadPlan, cores: int, material: Material) -> Iterator[Level]:
    """Load a fresh service with each number of connections, with 30-s clips."""
    clips = material.tracks(plan.n_files, plan.clip_seconds, plan.n_files)
    for connections, patient in [*((n, True) for n in LEVELS), (LEVELS[-1], False)]:
        with served(cores) as service:
            _uploaded(service, clips, 1, 1)
            service.live.log.write_text("")  # it is open for appending
            load = _uploaded(service, clips, connections, plan.seconds, patient=patient)
            yield Level(connections, patient, load, *service.accepted_percentiles(), service.peak_mb())


def against_the_package(plan: LoadPlan, cores: int, material: Material) -> list[Figure]:
    """Files per second through the service over those of `classify_files`, the two in turn on the same files."""
    classifier = GenreClassifier.load(MODEL, device="cpu", threads=1)
    kinds = {
        "30-s MP3s": material.tracks(plan.n_files, plan.clip_seconds, plan.n_files),
        "four-minute MP3s": material.tracks(plan.n_files, plan.track_seconds, min(4, plan.n_files)),
    }
    figures = []
    for name, files in kinds.items():
        with served(cores) as service:
            figures += _compared(name, plan, classifier, service, files, cores)
    return figures


def _compared(
    name: str, plan: LoadPlan, classifier: GenreClassifier, service: Served, files: Sequence[Path], cores: int
) -> list[Figure]:
    def through_the_service() -> tuple[float, float]:
        began = service.processor_seconds()
        load = _uploaded(service, files, COMPARED, plan.side_seconds)
        return load.rate, (service.processor_seconds() - began) / max(1, load.statuses.get("200", 0))

    def in_this_process() -> tuple[float, float]:
        n_files, began, used = 0, time.perf_counter(), time.process_time()
        while time.perf_counter() - began < plan.side_seconds:
            all_classified(classifier.classify_files(list(files) * 2, jobs=cores))
            n_files += 2 * len(files)
        return n_files / (time.perf_counter() - began), (time.process_time() - used) / n_files

    sides: list[Callable[[], tuple[float, float]]] = [through_the_service, in_this_process]
    rounds = [[side() for side in sides] for _ in range(plan.rounds + 1)][1:]
    rates, costs = ([[side[i] for side in one] for one in rounds] for i in (0, 1))
    return [
        figure(
            "share",
            f"{name}: service / `classify_files`, files per second",
            _ratios(rates),
            "share",
            Target(SHARE, at_most=False),
        ),
        figure("share", f"{name}: service", [one[0] for one in rates], "files/s"),
        figure("share", f"{name}: `classify_files`", [one[1] for one in rates], "files/s"),
        figure("share", f"{name}: processor time of a file, service", [1000 * one[0] for one in costs], "ms"),
        figure("share", f"{name}: processor time of a file, `classify_files`", [1000 * one[1] for one in costs], "ms"),
    ]


def _ratios(pairs: Sequence[Sequence[float]]) -> list[float]:
    return [service / package for service, package in pairs]


def _uploaded(
    service: Served, files: Sequence[Path], connections: int, seconds: float, *, patient: bool = True
) -> Load:
    return load_of(start_wrk(service.address, files, connections=connections, seconds=seconds, patient=patient))
