"""All measures, by the names that `--only` takes, in the order they are taken."""

from __future__ import annotations

from collections.abc import Callable

from tests.benchmarks import latency, library, processes, throughput
from tests.benchmarks.bench import Bench
from tests.benchmarks.figures import Figure

Measure = Callable[[Bench], list[Figure]]

# Those that bring torch into this process come last: the others are measured without it.
MEASURES: dict[str, Measure] = {
    "import": processes.import_time,
    "overhead": throughput.overhead,
    "jobs": throughput.jobs,
    "library": library.library,
    "latency": latency.latency,
    "front_end": latency.front_end,
    "memory": processes.memory,
    "long_file": processes.long_file,
    "cold_start": processes.cold_start,
    "reference": throughput.reference,
    "whole_track": throughput.whole_track,
}


def described() -> str:
    """List the measures, one a line."""
    return "\n".join(f"  {name:<12} {_first_line(measure)}" for name, measure in MEASURES.items())


def _first_line(measure: Measure) -> str:
    return (measure.__doc__ or "").splitlines()[0]
