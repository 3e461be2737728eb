"""Writes the tables of tests/parity/README.md: `python -m tests.parity`, or `invoke parity`."""

from __future__ import annotations

import sys
from pathlib import Path

from genre_export.graphs import WaveformGraph
from genre_export.parity import check_parity, front_ends, measure_pairs, measure_parity, parity_table
from genre_export.publish import GRAPH_FILES, runner
from genre_runtime.model.metadata import read_metadata
from genre_training.model.checkpoint import load_checkpoint
from tests.benchmarks.machine import describe
from tests.benchmarks.table import write_readme

MODELS = Path(__file__).parents[2] / "models"
README = Path(__file__).with_name("README.md")


def pairs_table(pairs: dict[tuple[str, str], float]) -> str:
    """Return the differences of each two front ends, dB, as the upper half of a square."""
    names = list(dict.fromkeys(name for pair in pairs for name in pair))
    lines = [f"| dB | {' | '.join(names[1:])} |", f"|---|{'---|' * (len(names) - 1)}"]
    for one in names[:-1]:
        cells = (f"{pairs[one, other]:.2g}" if (one, other) in pairs else "" for other in names[1:])
        lines.append(f"| {one} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> int:
    """Measure the shipped model, write the README, and return 1 if the gate would refuse it."""
    checkpoint = load_checkpoint(MODELS / "best_model.pt")
    metadata = read_metadata(MODELS / GRAPH_FILES["waveform"])
    network = checkpoint.trained_network()
    graph = WaveformGraph(network, metadata.temperature, metadata.audio, metadata.fine_audio).eval()
    run_waveform, run_log_mel = (runner(MODELS / name) for name in GRAPH_FILES.values())
    worst = measure_parity(graph, run_waveform, run_log_mel)
    versions = ", ".join(f"{name} {number}" for name, number in describe(1)["versions"].items())
    tables = "\n\n".join(pairs_table(measure_pairs(graph, run_waveform, output)) for output in front_ends(graph))
    text = (
        f"The shipped model, sha256 {metadata.graphs['waveform'].sha256[:12]}. {versions}.\n\n"
        "Largest difference from the reference (spectrograms: NumPy; logits and embedding: torch):\n\n"
        f"{parity_table(worst)}\n\n"
        f"Each two implementations, largest difference:\n\n{tables}"
    )
    print(text)
    write_readme(text, README)
    check_parity(worst)
    return 0


if __name__ == "__main__":
    sys.exit(main())
