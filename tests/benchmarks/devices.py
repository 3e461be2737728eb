"""Speed of each device side by side: `python -m tests.benchmarks.devices --devices cpu cuda`.

Takes the installed runtime and nothing else, so that it also runs where there is a GPU and little more. Prints a
Markdown table with a column a device: the graph alone by size of batch, one clip in a warm process, files.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from genre_runtime import GenreClassifier, Prediction
from genre_runtime.classifier import ExcerptCount
from genre_runtime.model.onnx_model import OnnxModel
from tests.benchmarks.machine import describe
from tests.synthetic import noise, tone, write_audio

BATCHES = (1, 8, 32)
N_RUNS = 200
N_TRACKS = 200
TRACK_SECONDS, TRACK_RATE = 240, 44_100

Row = dict[str, str]


def milliseconds(job: Callable[[], object], n_runs: int) -> list[float]:
    """Wall time of each run, after ten that are not counted."""
    for _ in range(10):
        job()
    found = []
    for _ in range(n_runs):
        start = time.perf_counter()
        job()
        found.append(1e3 * (time.perf_counter() - start))
    return found


def measure(device: str, model: Path | None, tracks: list[Path], n_runs: int) -> Row:
    """Return what one device does, by the names of the table's rows."""
    classifier = GenreClassifier.load(model, device=device)
    metadata = classifier.metadata
    n_samples = round(metadata.excerpt_seconds * metadata.audio.sample_rate)
    graphs = OnnxModel(classifier.model_path, metadata, device, 0)
    rows: Row = {}
    for n_clips in BATCHES:
        batch = 0.1 * np.random.default_rng(0).standard_normal((n_clips, n_samples)).astype(np.float32)
        taken = milliseconds(lambda batch=batch: graphs.run_graph(batch), n_runs)  # type: ignore[misc]
        rows[f"graph, {n_clips} excerpts together, ms an excerpt"] = f"{statistics.median(taken) / n_clips:.2f}"
    clip = noise(30, metadata.audio.sample_rate)
    taken = milliseconds(lambda: classifier.classify(clip, metadata.audio.sample_rate), n_runs)
    rows["clip of 30 s in memory, p50 ms"] = f"{statistics.median(taken):.2f}"
    rows["clip of 30 s in memory, p99 ms"] = f"{np.percentile(taken, 99):.2f}"
    files = GenreClassifier.load(model, device=device, threads=1 if device == "cpu" else 0)
    counts: tuple[tuple[ExcerptCount, str], ...] = ((3, "default excerpts"), ("all", "whole tracks"))
    for excerpts, what in counts:
        some = tracks if excerpts == 3 else tracks[: max(8, len(tracks) // 8)]
        start = time.perf_counter()
        results = list(files.classify_files(some, excerpts=excerpts))
        seconds = time.perf_counter() - start
        assert all(isinstance(result, Prediction) and result.device == device for result in results), results
        rows[f"MP3s of four minutes, {what}, tracks/s"] = f"{len(some) / seconds:.1f}"
    return rows


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.devices", description=__doc__)
    parser.add_argument("--devices", nargs="+", default=["cpu"])
    parser.add_argument("--model", type=Path)
    parser.add_argument("--quick", action="store_true", help="does it work? the figures mean nothing")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        seconds = 20 if options.quick else TRACK_SECONDS
        sound = noise(seconds, TRACK_RATE) + tone(seconds, TRACK_RATE)
        track = write_audio(Path(folder, "track.mp3"), np.stack([sound, sound[::-1]], axis=1), TRACK_RATE)
        tracks = [track] * (4 if options.quick else N_TRACKS)
        columns = {one: measure(one, options.model, tracks, 3 if options.quick else N_RUNS) for one in options.devices}
    machine = describe(os.cpu_count() or 1)
    versions = ", ".join(f"{name} {number}" for name, number in machine["versions"].items())
    print(f"{machine['cpu']}, {machine['cores']} cores. {versions}.\n")
    print(f"| | {' | '.join(columns)} |", f"|---|{'---|' * len(columns)}", sep="\n")
    for name in next(iter(columns.values())):
        print(f"| {name} | {' | '.join(column[name] for column in columns.values())} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
