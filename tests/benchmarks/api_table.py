"""The load test and the soak as Markdown, in docs/speed.md between their markers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from tests.benchmarks.api_load import Level
from tests.benchmarks.api_soak import CONNECTIONS, PACE_SECONDS, Sample, Soak
from tests.benchmarks.figures import Figure
from tests.benchmarks.table import DOCUMENT, in_words, write_readme

QUIET = 0.5
"""Load average up to which nothing else worth mentioning ran."""

LEVEL_HEADER = (
    "connections",
    "files/s",
    "503/s",
    "other errors",
    "p50, p99 of all answers",
    "p50, p99 of the accepted",
    "peak memory",
)
SHARE_HEADER = ("8 connections, in turn with `classify_files`", "median", "least to largest", "target", "met")
SOAK_HEADER = ("minute", "memory", "threads", "open files and sockets", "temporary files")


def load_table(facts: dict[str, Any], machine: dict[str, Any]) -> str:
    """Both tables of the load test."""
    levels = _table(LEVEL_HEADER, [_level(one) for one in facts["levels"]])
    shares = _table(SHARE_HEADER, [_share(one) for one in facts["compared"]])
    return "\n\n".join([_where(machine), levels, shares])


def soak_table(facts: dict[str, Any], machine: dict[str, Any]) -> str:
    """The table of the soak, under what was asked and answered."""
    soak: Soak = facts["soak"]
    load = soak.load
    statuses = ", ".join(f"{n} of status {status}" for status, n in sorted(load.statuses.items()))
    drift = f"{soak.drift_mb_per_hour:+.1f} MB per hour"
    words = (
        f"{load.seconds / 60:.0f} minutes, {CONNECTIONS} connections with a request every {PACE_SECONDS:g} s, every "
        f"ninth file broken: {statuses}; {load.broken} connections broke, {load.timed_out} answers did not come. "
        f"Besides, {soak.n_pages} requests for pages, pictures and whole tracks. Over the second half "
        f"memory changed by {drift}."
    )
    return "\n\n".join([_where(machine), words, _table(SOAK_HEADER, [_sample(one) for one in _some(soak.samples)])])


def write_table(name: str, text: str) -> None:
    """Put a table between its markers in docs/speed.md."""
    write_readme(text, DOCUMENT, name)


def _where(machine: dict[str, Any]) -> str:
    versions = ", ".join(
        f"{name} {machine['versions'][name]}" for name in ("python", "onnxruntime") if name in machine["versions"]
    )
    load = machine["load_average"]
    busy = (
        ""
        if load is None or load <= QUIET
        else f" Other work ran on the machine, load average {load:.1f} at the start."
    )
    cores = f"{machine['cores']} of {machine['cores_available']} cores"
    return f"{datetime.now(UTC).date()}, {machine['cpu']}, {cores}, {machine['system']}. {versions}.{busy}"


def _level(one: Level) -> tuple[str, ...]:
    load = one.load
    return (
        f"{one.connections}{'' if one.patient else ', without waiting'}",
        f"{load.rate:.1f}",
        f"{load.n_busy / load.seconds:.1f}",
        str(load.n_errors),
        f"{_time(load.p50)}, {_time(load.p99)}",
        f"{_time(one.accepted_p50)}, {_time(one.accepted_p99)}",
        f"{one.peak_mb:.0f} MB",
    )


def _share(one: Figure) -> tuple[str, ...]:
    target = f"at least {in_words(one.target.bound, one.unit)}" if one.target else ""
    met = "" if one.met is None else "yes" if one.met else "no"
    spread = f"{in_words(one.low, one.unit)} to {in_words(one.high, one.unit)}"
    return (one.name, in_words(one.value, one.unit), spread, target, met)


def _some(samples: Sequence[Sample], n: int = 8) -> list[Sample]:
    """The first sample, the last, and some evenly between them."""
    last = len(samples) - 1
    return [samples[i] for i in sorted({round(k * last / (n - 1)) for k in range(n)})]


def _sample(one: Sample) -> tuple[str, ...]:
    counts = (one.n_threads, one.n_open_files, one.n_temporary_files)
    return (f"{one.seconds / 60:.1f}", f"{one.resident_mb:.1f} MB", *map(str, counts))


def _time(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{1000 * seconds:.0f} ms"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [header, ["---"] * len(header), *rows])
