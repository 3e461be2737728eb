"""Tracks per second: against decoding alone, against the reference, and with one and two jobs."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from genre_runtime.audio.decoding import decode_excerpts
from tests.benchmarks.bench import Bench, all_classified
from tests.benchmarks.figures import BenchmarkError, Figure, Target, alternate, figure

AGREEMENT = 0.02
"""Largest difference of a probability between the runtime and the reference: they resample excerpt by excerpt here,
the whole track there."""


def overhead(bench: Bench) -> list[Figure]:
    """Time of `classify_files` over the time of only decoding the same excerpts on as many threads."""
    tracks = bench.tracks
    sides = {"decode": lambda: _decode_all(bench, tracks), "classify": _classify(bench, tracks, bench.cores)}
    seconds = alternate(
        f"{len(tracks)} tracks, decoded / classified", sides, bench.plan.rounds, warm_up=bench.plan.warm_up
    )
    ratio = seconds["classify"] / seconds["decode"]
    return [
        figure("overhead", "classified / only decoded, time", ratio, "ratio", Target(2.0)),
        figure("overhead", "only decoded", len(tracks) / seconds["decode"], "tracks/s"),
        figure("overhead", "classified", len(tracks) / seconds["classify"], "tracks/s"),
    ]


def reference(bench: Bench) -> list[Figure]:
    """Tracks per second with default excerpts, against the reference pipeline."""
    tracks = bench.tracks[: bench.plan.n_against]
    return _against_reference(bench, "reference", "default excerpts", tracks, {}, Target(15, at_most=False))


def whole_track(bench: Bench) -> list[Figure]:
    """Tracks per second of whole tracks, against the reference pipeline."""
    tracks, whole = bench.tracks[: bench.plan.n_whole], {"excerpts": "all"}
    return _against_reference(bench, "whole_track", "whole tracks", tracks, whole, Target(3, at_most=False))


def jobs(bench: Bench) -> list[Figure]:
    """Tracks per second of `classify_files` with one and with two jobs."""
    tracks = bench.tracks[: bench.plan.n_jobs_tracks]
    sides = {"one": _classify(bench, tracks, 1), "two": _classify(bench, tracks, 2)}
    seconds = alternate(
        f"{len(tracks)} tracks, one job / two jobs", sides, bench.plan.rounds, warm_up=bench.plan.warm_up
    )
    return [
        figure("jobs", "one job", len(tracks) / seconds["one"], "tracks/s"),
        figure("jobs", "two jobs", len(tracks) / seconds["two"], "tracks/s"),
        figure("jobs", "two jobs / one job, tracks per second", seconds["one"] / seconds["two"], "ratio"),
    ]


def _against_reference(
    bench: Bench, measure: str, what: str, tracks: list[Path], options: dict[str, Any], target: Target
) -> list[Figure]:
    from tests.benchmarks.reference import Reference  # torch and librosa only where they are measured

    pipeline = Reference(bench.checkpoint_path, bench.cores)
    _check_agreement(bench, pipeline.classify_file(bench.clip))
    few = bench.tracks[: bench.plan.n_reference]
    sides = {
        "runtime": _classify(bench, tracks, bench.cores, **options),
        "reference": lambda: [pipeline.classify_file(path) for path in few],
    }
    title = f"{what}: runtime, {len(tracks)} tracks / reference, {len(few)}"
    seconds = alternate(title, sides, bench.plan.rounds, warm_up=bench.plan.warm_up)
    ours, theirs = len(tracks) / seconds["runtime"], len(few) / seconds["reference"]
    return [
        figure(measure, f"{what} / reference, tracks per second", ours / theirs, "ratio", target),
        figure(measure, f"{what}, {len(tracks)} a round", ours, "tracks/s"),
        figure(measure, f"reference (whole tracks), {len(few)} a round", theirs, "tracks/s"),
    ]


def _check_agreement(bench: Bench, expected: dict[str, float]) -> None:
    """Two pipelines that answer differently do not do the same work."""
    found = bench.classifier.classify_file(bench.clip, excerpts="all").probabilities
    difference = max(abs(found[label] - expected[label]) for label in expected)
    if not difference <= AGREEMENT:
        raise BenchmarkError(
            f"runtime and reference differ by {difference:.3f} in a probability, {AGREEMENT} allowed: graph and "
            "checkpoint belong to different models; run `invoke export`"
        )


def _classify(bench: Bench, tracks: list[Path], n_jobs: int, **options: Any) -> Callable[[], None]:
    return lambda: all_classified(bench.classifier.classify_files(tracks, jobs=n_jobs, **options))


def _decode_all(bench: Bench, tracks: list[Path]) -> None:
    metadata = bench.classifier.metadata

    def decode(path: Path) -> None:
        decode_excerpts(
            path,
            metadata.audio.sample_rate,
            excerpt_seconds=metadata.excerpt_seconds,
            n_excerpts=metadata.n_excerpts,
        )

    with ThreadPoolExecutor(bench.cores) as pool:
        for _ in pool.map(decode, tracks):
            pass
