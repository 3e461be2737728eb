"""What takes a fresh process: cold starts, imports and the largest resident memory."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from tests.benchmarks.bench import ROOT, Bench
from tests.benchmarks.figures import BenchmarkError, Figure, Target, alternate, figure

CLOCK_SECONDS = 0.5
IMPORT_ROUNDS = 4
"""Imports take milliseconds: so many times the plan's rounds."""


def cold_start(bench: Bench) -> list[Figure]:
    """Wall time of `genre classify clip.mp3` and of the reference, each as a new process."""
    clip = str(bench.clip)
    ours = (genre_command(), "classify", clip, "--model", str(bench.model_path), "--device", "cpu")
    theirs = (sys.executable, "-m", "tests.benchmarks.reference", str(bench.checkpoint_path), clip)
    sides = {"genre": lambda: run(ours), "reference": lambda: run(theirs)}
    seconds = alternate("cold start, genre / reference", sides, bench.plan.rounds, warm_up=bench.plan.warm_up)
    ratio = seconds["genre"] / seconds["reference"]
    return [
        figure("cold_start", "genre classify, cold process", seconds["genre"], "s", Target(0.5)),
        figure("cold_start", "reference, cold process", seconds["reference"], "s"),
        figure("cold_start", "genre / reference, cold process, time", ratio, "ratio", Target(0.1)),
    ]


def import_time(bench: Bench) -> list[Figure]:
    """Time of `import genre_runtime` in a new process, without the start of the interpreter."""
    statements = {
        "import genre_runtime": Target(0.15),
        "from genre_runtime import GenreClassifier": None,
    }
    seconds: dict[str, list[float]] = {statement: [] for statement in statements}
    for number in tqdm(range(IMPORT_ROUNDS * bench.plan.rounds + 1), desc="imports", leave=False, disable=None):
        for statement in statements:
            # The child's own clock leaves out the interpreter's start, which varies by more than the import takes.
            code = f"import time; started = time.perf_counter(); {statement}; print(time.perf_counter() - started)"
            elapsed = float(run((sys.executable, "-c", code)))
            if number:
                seconds[statement].append(elapsed)
    return [figure("import", statement, seconds[statement], "s", target) for statement, target in statements.items()]


def long_file(bench: Bench) -> list[Figure]:
    """Largest resident memory of a process that classifies the whole of a very long file."""
    path = bench.material.long_file(bench.plan.long_seconds)
    peak, seconds = _peak_memory(bench, [path], "all", "long file, whole")
    length = f"{bench.plan.long_seconds / 3600:.3g} h"
    return [
        figure("long_file", f"peak memory, {length} as a whole", [peak], "MB", Target(400)),
        figure("long_file", f"time, {length} as a whole", [seconds], "s"),
    ]


def memory(bench: Bench) -> list[Figure]:
    """Largest resident memory of `classify_files` over some and over all tracks."""
    sides = {len(tracks): tracks for tracks in (bench.tracks[: bench.plan.few], bench.tracks)}
    peaks: dict[int, list[float]] = {count: [] for count in sides}
    for _ in range(bench.plan.rounds):
        for count, tracks in sides.items():
            peaks[count].append(_peak_memory(bench, tracks, "default", f"memory, {count} tracks")[0])
    some, every = peaks.values()
    growth = [b / a for a, b in zip(some, every, strict=True)]
    return [
        *(figure("memory", f"peak memory, {count} tracks", values, "MB") for count, values in peaks.items()),
        figure("memory", f"peak memory, {bench.plan.n_tracks} / {bench.plan.few} tracks", growth, "ratio"),
    ]


def genre_command() -> str:
    """Return the path of the command `genre` of this environment."""
    command = shutil.which("genre", path=str(Path(sys.executable).parent))
    if command is None:
        raise BenchmarkError(f"no command `genre` beside {sys.executable}: run `invoke setup`")
    return command


def _peak_memory(bench: Bench, paths: Sequence[Path], excerpts: str, title: str) -> tuple[float, float]:
    """Return MB and seconds of a child that classifies `paths`."""
    command = (sys.executable, "-m", "tests.benchmarks.child", str(bench.model_path), str(bench.cores), excerpts)
    answer = json.loads(run(command, "\n".join(map(str, paths)), title))
    return answer["peak_bytes"] / 1e6, answer["seconds"]


def run(command: Sequence[str], text: str = "", title: str = "") -> str:
    """Run a command to its end and return what it printed; with a title, the time it takes is shown."""
    pipe = subprocess.PIPE
    with (
        tqdm(desc=title, bar_format="{desc}: {elapsed}", leave=False, disable=None if title else True) as clock,
        subprocess.Popen(command, cwd=ROOT, text=True, stdin=pipe, stdout=pipe, stderr=pipe) as process,
    ):
        try:
            out, err = _talk(process, text, clock)
        finally:
            process.kill()  # an interrupted run leaves nothing behind
    if process.returncode:
        last = (err.strip().splitlines() or ["no message"])[-1]
        raise BenchmarkError(f"`{Path(command[0]).name} {' '.join(command[1:3])}` failed: {last}")
    return out


def _talk(process: subprocess.Popen[str], text: str, clock: tqdm[Any]) -> tuple[str, str]:
    waiting: str | None = text
    while True:
        try:
            return process.communicate(waiting, timeout=CLOCK_SECONDS)
        except subprocess.TimeoutExpired:
            waiting = None  # it is on its way
            clock.refresh()
