"""Command line of the fuzzer: `python -m tests.fuzz --inputs 50000 --seconds 1200 --seed 0`."""

from __future__ import annotations

import argparse
import hashlib
import json
import platform
import sys
from pathlib import Path

import av
import numpy
import onnxruntime
import soundfile

from tests.fuzz.campaign import Campaign, Summary, growth, leaks
from tests.fuzz.harness import Worker
from tests.fuzz.tracing import PACKAGE

DEFAULT_FOLDER = Path(".cache/fuzz")


def versions() -> str:
    """Name the code and libraries that are tested."""
    digest = hashlib.sha256()
    for path in sorted(Path(PACKAGE).rglob("*.py")):
        digest.update(path.read_bytes())
    return (
        f"genre_runtime sources {digest.hexdigest()[:12]}, Python {platform.python_version()}, "
        f"libsndfile {soundfile.__libsndfile_version__}, PyAV {av.__version__} "
        f"(libavcodec {'.'.join(map(str, av.library_versions['libavcodec']))}), numpy {numpy.__version__}, "
        f"onnxruntime {onnxruntime.__version__}"
    )


def describe(summary: Summary) -> str:
    """Return the report, in lines."""
    lines = [
        f"{summary.n_inputs} inputs in {summary.seconds:.0f} s, seed {summary.seed}",
        f"outcomes: {dict(summary.outcomes.most_common())}",
        f"entries: {dict(summary.by_entry.most_common())}",
        f"kept as further seeds: {summary.n_kept}; steps between genre_runtime's lines seen: {summary.n_arcs}; "
        f"message shapes: {len(summary.shapes)}",
        f"slowest input {summary.slowest_seconds:.2f} s; most memory for one {summary.peak_bytes / 2**20:.0f} MiB",
        f"inputs at which a library wrote to stderr: {summary.n_noisy}; worker processes: {summary.n_worker_starts}",
    ]
    for memory, descriptors in zip(summary.memory_samples, summary.descriptor_samples, strict=True):
        if len(memory) > 2:
            steps = "; ".join(f"{step / 2**20:+.1f} MiB" for step in growth(memory))
            lines.append(
                f"worker: resident {memory[0] / 2**20:.0f} MiB first, {memory[-1] / 2**20:.0f} MiB last (from third to "
                f"third: {steps}); {descriptors[0]} descriptors first, {descriptors[-1]} last, {max(descriptors)} most"
            )
    lines += [f"LEAK: {leak}" for leak in leaks(summary)]
    lines += [f"FAILURE {n} x {kind}" for kind, n in summary.failures.most_common()]
    return "\n".join(lines)


def _replay(path: Path, folder: Path) -> int:
    """Run one kept input again, in a process of its own."""
    name = path.name.partition(".")[0]
    entry = json.loads(path.with_name(f"{name}.json").read_text(encoding="utf-8"))["entry"]
    folder.mkdir(parents=True, exist_ok=True)
    with Worker("tests.fuzz.targets:BothTargets", folder) as worker:
        reply = worker.run(path.absolute(), entry)
    print(reply.outcome, reply.message, sep="\n")
    return 0


def main() -> int:
    """Run and return 1 when anything failed or leaked."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=50_000)
    parser.add_argument("--seconds", type=float, default=float("inf"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1, help="worker processes at once")
    parser.add_argument("--folder", type=Path, default=DEFAULT_FOLDER, help="for failures and the report")
    parser.add_argument("--replay", type=Path, metavar="INPUT", help="run one input of failures/ again")
    options = parser.parse_args()
    if options.replay:
        return _replay(options.replay, options.folder / "replay")
    print(versions(), flush=True)
    summary = Campaign(options.folder, options.seed).run(options.inputs, options.seconds, options.jobs)
    print(describe(summary))
    return 1 if summary.failures or leaks(summary) else 0


if __name__ == "__main__":
    sys.exit(main())
