"""One clip in a warm process, and what the front end costs within the graph."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from tqdm import tqdm

from tests.benchmarks.bench import Bench
from tests.benchmarks.figures import Figure, Target, Values, alternate, figure
from tests.benchmarks.material import mono

CALLS_A_ROUND = 4


def latency(bench: Bench) -> list[Figure]:
    """Time of one clip, from memory and from an MP3, every core on it: median and 99th percentile."""
    classifier = bench.load(bench.cores)
    rate = classifier.metadata.audio.sample_rate
    waveform = mono(bench.plan.clip_seconds, rate, seed=1000)
    sides: dict[str, Callable[[], object]] = {
        "in memory": lambda: classifier.classify(waveform, rate),
        "from file": lambda: classifier.classify_file(bench.clip),
    }
    seconds = _time_calls(sides, bench.plan.n_calls)
    figures = []
    for name, values in seconds.items():
        blocks = np.array_split(values, min(bench.plan.rounds, values.size))
        for percentile in (50, 99):
            spread = [float(np.percentile(block, percentile)) * 1e3 for block in blocks]
            value = float(np.percentile(values, percentile)) * 1e3
            title = f"{bench.plan.clip_seconds:g}-s clip {name}, p{percentile} of {values.size}"
            figures.append(Figure("latency", title, value, min(spread), max(spread), "ms", len(blocks)))
    return figures


def front_end(bench: Bench) -> list[Figure]:
    """Share of the graph's time that the front end takes: waveform graph against log-mel graph, one thread."""
    import onnxruntime

    metadata = bench.classifier.metadata
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    sessions = {
        kind: onnxruntime.InferenceSession(
            bench.model_path.with_name(graph.file), options, providers=["CPUExecutionProvider"]
        )
        for kind, graph in metadata.graphs.items()
    }
    count = metadata.n_excerpts
    seconds_in_all = count * metadata.excerpt_seconds
    waveform = mono(seconds_in_all, metadata.audio.sample_rate, seed=3000).reshape(count, -1)
    inputs = {"waveform": waveform, "log_mel": sessions["waveform"].run(["log_mel"], {"waveform": waveform})[0]}

    def run(kind: str) -> Callable[[], object]:
        return lambda: [sessions[kind].run(["logits"], {kind: inputs[kind]}) for _ in range(CALLS_A_ROUND)]

    title = f"graphs, {count} excerpts of {metadata.excerpt_seconds:g} s"
    seconds = alternate(
        title, {kind: run(kind) for kind in inputs}, bench.plan.n_graph_rounds, warm_up=bench.plan.warm_up
    )
    whole, network = seconds["waveform"], seconds["log_mel"]
    # In a model of two branches, the graph for spectrograms contains only the picture branch. So the difference between
    # the two graphs is not the time of the front end.
    share = [figure("front_end", "front end, of the graph's time", 1 - network / whole, "share", Target(0.5))]
    return [
        *(share if metadata.fine_audio is None else []),
        figure("front_end", f"waveform graph, {count} excerpts", 1e3 * whole / CALLS_A_ROUND, "ms"),
        figure("front_end", f"log-mel graph, {count} excerpts", 1e3 * network / CALLS_A_ROUND, "ms"),
    ]


def _time_calls(sides: dict[str, Callable[[], object]], n_calls: int) -> dict[str, Values]:
    """Seconds of each call, the sides in turn; the first two calls of each are not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for number in tqdm(
        range(n_calls + 2), desc="one clip, in memory / from file", unit="pair", leave=False, disable=None
    ):
        for name, run in sides.items():
            started = time.perf_counter()
            run()
            elapsed = time.perf_counter() - started
            if number >= 2:
                seconds[name].append(elapsed)
    return {name: np.array(values) for name, values in seconds.items()}
