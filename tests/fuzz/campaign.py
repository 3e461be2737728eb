"""A run: draws inputs, keeps what reaches something new, writes failures down, counts."""

from __future__ import annotations

import json
import re
import statistics
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from random import Random

from tests.fuzz.corpus import make_corpus
from tests.fuzz.harness import Worker
from tests.fuzz.mutators import mutate, mutate_graph, mutate_sidecar
from tests.fuzz.targets import ENTRIES
from tests.fuzz.tracing import Arc
from tests.fuzz.worker import Bounds, Reply
from tests.synthetic import write_model

FAILURES = frozenset(("untyped", "wrong", "memory", "crash", "hang"))
MEASURE_EVERY = 25
"""Inputs from one look at a worker's resident memory and descriptors to the next."""
KEPT_PER_SHAPE = 3
"""Failures alike that are written down; the rest is only counted."""
SLOW_SECONDS = 2.0
"""An input that takes longer, and longer than any before, is kept to be looked at; it is no failure."""
MODEL_SHARE = 0.04
MAX_SEEDS = 4_000
SUFFIXES = (".mp3", ".wav", ".m4a", ".flac", ".ogg", ".raw", ".au", "")


def shape(message: str) -> str:
    """Return a message's first line without its numbers and quoted pieces; of a crash, also where it was."""
    line = message.partition("\n")[0]
    if where := re.search(r'most recent call first\):\n.*?/([^/]+\.py)", line \d+ in (\w+)', message):
        line += f" at {where[2]} of {where[1]}"
    return re.sub(r"(?<!\w)b?'.*?'(?!\w)|b?\".*?\"|0x[0-9a-f]+|-?\d[\d.]*(e[-+]?\d+)?", "#", line)[:160]


@dataclass
class Summary:
    """Counts of a run; the growth's samples are (inputs so far, value) of one worker process after another."""

    seed: int
    n_inputs: int = 0
    seconds: float = 0.0
    outcomes: Counter[str] = field(default_factory=Counter)
    by_entry: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    shapes: Counter[str] = field(default_factory=Counter)
    n_noisy: int = 0
    n_kept: int = 0
    n_arcs: int = 0
    n_worker_starts: int = 0
    slowest_seconds: float = 0.0
    peak_bytes: int = 0
    memory_samples: list[list[int]] = field(default_factory=list)
    descriptor_samples: list[list[int]] = field(default_factory=list)

    def to_json(self) -> str:
        """Return everything as JSON."""
        return json.dumps(vars(self), indent=1)


def growth(samples: list[int]) -> tuple[float, float]:
    """Return by how much a worker's value grew from its first third to its second, and on to its last."""
    n = len(samples) // 3
    if n == 0:
        return 0.0, 0.0
    first, second, third = (statistics.median(samples[i * n : (i + 1) * n]) for i in range(3))
    return second - first, third - second


def leaks(summary: Summary, memory_bytes: int = 32 * 2**20, n_descriptors: int = 8) -> list[str]:
    """Name what grows without end: by more than so much from third to third of a worker's life, twice."""
    found = []
    for what, series, limit in (
        ("resident memory", summary.memory_samples, memory_bytes),
        ("open descriptors", summary.descriptor_samples, n_descriptors),
    ):
        for samples in series:
            steps = growth(samples)
            if min(steps) > limit:
                found.append(f"{what} grew by {steps[0]:.0f} and again by {steps[1]:.0f}")
    return found


class Campaign:
    """A fuzzing run with its state; `run` may be called once.

    Parameters
    ----------
    folder : Path
        Gets `failures/` and `slow/` (each input with a description), `report.json` and scratch files.
    seed : int
    factory : str
        The target, `module:function`.
    bounds : Bounds, optional
    """

    def __init__(
        self, folder: Path, seed: int, *, factory: str = "tests.fuzz.targets:BothTargets", bounds: Bounds | None = None
    ) -> None:
        self.folder, self.factory, self.bounds = folder, factory, bounds
        for kind in ("failures", "slow"):
            (folder / kind).mkdir(parents=True, exist_ok=True)
        self.summary = Summary(seed)
        self._seeds = list(make_corpus(folder).items())
        self._n_originals = len(self._seeds)
        model = write_model(folder)
        self._model = {"graph": model.read_bytes(), "sidecar": model.with_suffix(".json").read_bytes()}
        self._reached: set[tuple[str, str, int]] = set()
        self._arcs: set[Arc] = set()  # of all workers: one that was restarted begins with none
        self._lock = threading.Lock()
        self._next = 0

    def run(self, n_inputs: int, seconds: float = float("inf"), jobs: int = 1) -> Summary:
        """Run up to so many inputs in up to so many seconds."""
        began = time.monotonic()
        try:
            with ThreadPoolExecutor(jobs) as pool:
                for done in [pool.submit(self._work, number, n_inputs, began + seconds) for number in range(jobs)]:
                    done.result()
        finally:  # interrupted or failed, the counts are kept
            self.summary.seconds = time.monotonic() - began
            (self.folder / "report.json").write_text(self.summary.to_json(), encoding="utf-8")
        return self.summary

    def _work(self, number: int, n_inputs: int, until: float) -> None:
        own = self.folder / f"worker{number}"
        own.mkdir(exist_ok=True)
        with Worker(self.factory, own, self.bounds) as worker:
            n_starts = 0
            while time.monotonic() < until:
                with self._lock:
                    if self._next >= n_inputs:
                        break
                    index, self._next = self._next, self._next + 1
                    content, entry, suffix, description = self._draw(index)
                path = own / f"input{suffix}"
                path.write_bytes(content)
                reply = worker.run(path, entry, measure=index % MEASURE_EVERY == 0)
                path.unlink()
                with self._lock:
                    if worker.n_starts > n_starts:  # growth is counted within one process
                        n_starts = worker.n_starts
                        self.summary.n_worker_starts += 1
                        self.summary.memory_samples.append([])
                        self.summary.descriptor_samples.append([])
                        series = len(self.summary.memory_samples) - 1
                    if reply.resident_bytes:
                        self.summary.memory_samples[series].append(reply.resident_bytes)
                        self.summary.descriptor_samples[series].append(reply.n_descriptors)
                    self._account(index, content, entry, suffix, description, reply)

    def _draw(self, index: int) -> tuple[bytes, str, str, str]:
        random = Random(f"{self.summary.seed}:{index}")
        others = [content for _, content in self._seeds[: self._n_originals]]
        if random.random() < MODEL_SHARE:
            entry = random.choice(("graph", "sidecar"))
            content = self._model[entry]
            if random.random() < 0.3:
                mutant, how = mutate(content, random, list(self._model.values()))
            else:
                mutant, how = (mutate_graph if entry == "graph" else mutate_sidecar)(content, random)
            return mutant, entry, ".bin", f"{entry}: {how}"
        fresh = random.random() < 0.5 or len(self._seeds) == self._n_originals
        first, last = (0, self._n_originals) if fresh else (self._n_originals, len(self._seeds))
        name, content = self._seeds[random.randrange(first, last)]
        mutant, how = mutate(content, random, others)
        return mutant, random.choice(ENTRIES), random.choice(SUFFIXES), f"{name}: {how}"

    def _account(self, index: int, content: bytes, entry: str, suffix: str, description: str, reply: Reply) -> None:
        summary, look = self.summary, shape(reply.message)
        summary.n_inputs += 1
        summary.outcomes[reply.outcome] += 1
        summary.by_entry[entry] += 1
        summary.n_noisy += reply.noisy
        fresh = not self._arcs.issuperset(reply.new_arcs)
        self._arcs.update(reply.new_arcs)
        summary.n_arcs = len(self._arcs)
        summary.peak_bytes = max(summary.peak_bytes, reply.peak_bytes)
        summary.shapes[f"{reply.outcome}: {look}"] += 1
        mark = (reply.outcome, look, min(reply.n_excerpts, 8))
        if (fresh or mark not in self._reached) and entry in ENTRIES and len(self._seeds) < MAX_SEEDS:
            self._seeds.append((f"{description} [{index}]", content))
            summary.n_kept += 1
        self._reached.add(mark)
        if reply.seconds > max(SLOW_SECONDS, summary.slowest_seconds):
            self._write("slow", index, content, entry, suffix, description, reply)
        summary.slowest_seconds = max(summary.slowest_seconds, reply.seconds)
        if reply.outcome in FAILURES:
            kind = f"{reply.outcome} in {'models' if entry not in ENTRIES else 'audio'}: {look}"
            summary.failures[kind] += 1
            if summary.failures[kind] <= KEPT_PER_SHAPE:
                self._write("failures", index, content, entry, suffix, description, reply)

    def _write(
        self, kind: str, index: int, content: bytes, entry: str, suffix: str, description: str, reply: Reply
    ) -> None:
        name = f"{reply.outcome}-{index}"
        (self.folder / kind / f"{name}.input{suffix}").write_bytes(content)
        facts = {
            "seed": self.summary.seed,
            "index": index,
            "entry": entry,
            "how": description,
            **asdict(replace(reply, new_arcs=())),
        }
        (self.folder / kind / f"{name}.json").write_text(json.dumps(facts, indent=1), encoding="utf-8")
