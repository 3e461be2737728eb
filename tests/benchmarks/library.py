"""A library run: what the command adds to `classify_files` over the same files."""

from __future__ import annotations

import tempfile
from pathlib import Path

from tests.benchmarks.bench import Bench, all_classified
from tests.benchmarks.figures import Figure, Target, alternate, figure
from tests.benchmarks.processes import genre_command, run

TARGET = Target(0.85, at_most=False)


def library(bench: Bench) -> list[Figure]:
    """Tracks per second of `genre classify FOLDER` as a new process, over those of `classify_files`."""
    plan = bench.plan
    tracks = bench.material.unequal_tracks(plan.n_tracks, plan.track_seconds, plan.n_distinct)
    with tempfile.TemporaryDirectory(prefix="genre") as name:
        output, state = Path(name, "genres.jsonl"), Path(name, "music.genre")
        words = ("classify", str(tracks[0].parent), "--format", "jsonl", "--output", str(output))
        options = ("--jobs", str(bench.cores), "--device", "cpu", "--model", str(bench.model_path))
        command = (genre_command(), *words, *options)

        def from_nothing() -> None:
            state.unlink(missing_ok=True)
            run((*command, "--state", str(state)))

        sides = {
            "process": lambda: all_classified(bench.classifier.classify_files(tracks, jobs=bench.cores)),
            "command": lambda: run(command),
            "state": from_nothing,
        }
        title = f"{len(tracks)} tracks, classify_files / command / with a state file"
        seconds = alternate(title, sides, plan.rounds, warm_up=plan.warm_up)
    speed = {side: len(tracks) / seconds[side] for side in sides}
    return [
        figure(
            "library", "command / in process, tracks per second", speed["command"] / speed["process"], "ratio", TARGET
        ),
        figure("library", "with a new state file / in process", speed["state"] / speed["process"], "ratio", TARGET),
        figure("library", "in process", speed["process"], "tracks/s"),
        figure("library", "command", speed["command"], "tracks/s"),
        figure("library", "command with a new state file", speed["state"], "tracks/s"),
    ]
