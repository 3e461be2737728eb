"""Body of a fresh process that classifies files and tells its largest resident memory.

python -m tests.benchmarks.child MODEL CORES default|all < LIST

LIST is paths, one a line. Prints one JSON object: `peak_bytes`, `seconds`, `n_files`.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from genre_runtime import GenreClassifier, GenreError


def peak_bytes() -> int:
    """Largest resident memory of this process so far.

    Linux's `ru_maxrss` starts at what the parent had when it started this process; `VmHWM` does not.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return 1024 * int(line.split()[1])
    if sys.platform == "win32":
        raise SystemExit("peak memory is measured on Linux and macOS only")
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def main(model: str, cores: int, excerpts: str, paths: list[str]) -> None:
    """Classify the files and print the JSON object; a single file gets all cores, several get one each."""
    started = time.perf_counter()
    classifier = GenreClassifier.load(model, device="cpu", threads=1 if len(paths) > 1 else cores)
    results = classifier.classify_files(paths, jobs=cores, excerpts="all" if excerpts == "all" else None)
    for path, result in zip(paths, results, strict=True):
        if isinstance(result, GenreError):
            raise SystemExit(f"{path}: {result}")
    seconds = time.perf_counter() - started
    print(json.dumps({"peak_bytes": peak_bytes(), "seconds": seconds, "n_files": len(paths)}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.stdin.read().splitlines())
