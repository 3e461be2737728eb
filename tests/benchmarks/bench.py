"""What every measure is given: how much of everything, the files, the model, the classifier."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from genre_runtime import GenreClassifier, GenreError, Prediction
from tests.benchmarks.material import DEFAULT_FOLDER, Material

ROOT = Path(__file__).parents[2]
MODEL = ROOT / "models" / "best_model.onnx"


@dataclass(frozen=True)
class Plan:
    """How much is measured.

    Attributes
    ----------
    n_tracks, n_distinct : int
        MP3s, and how many of them differ.
    track_seconds, clip_seconds, long_seconds : float
    rounds : int
        Times each side of a comparison is run.
    warm_up : bool
        Whether a round that does not count comes first.
    n_against, n_whole, n_reference : int
        Tracks a round: by the runtime with default excerpts, by the runtime as a whole, by the slow reference.
    n_jobs_tracks : int
        Tracks a round when one job is compared with two.
    few : int
        Tracks of the smaller side when memory is compared; the larger side takes them all.
    n_calls : int
        Calls of one clip, over all rounds.
    n_graph_rounds : int
        Rounds of the two graphs, which take milliseconds.
    """

    n_tracks: int = 200
    n_distinct: int = 4
    track_seconds: float = 240.0
    clip_seconds: float = 30.0
    long_seconds: float = 36_000.0
    rounds: int = 5
    warm_up: bool = True
    n_against: int = 40
    n_whole: int = 8
    n_reference: int = 4
    n_jobs_tracks: int = 60
    few: int = 50
    n_calls: int = 1000
    n_graph_rounds: int = 50


FULL = Plan()
QUICK = Plan(
    n_tracks=6,
    n_distinct=2,
    track_seconds=20,
    clip_seconds=20,
    long_seconds=90,
    rounds=1,
    warm_up=False,
    n_against=4,
    n_whole=2,
    n_reference=1,
    n_jobs_tracks=4,
    few=2,
    n_calls=3,
    n_graph_rounds=5,
)


class Bench:
    """One run of the benchmark.

    Parameters
    ----------
    plan : Plan
    cores : int
        Cores that the measures use.
    folder : Path
        Cache of the sounds.
    """

    def __init__(self, plan: Plan, cores: int, folder: Path = DEFAULT_FOLDER) -> None:
        self.plan = plan
        self.cores = cores
        self.material = Material(folder)
        self.model_path = MODEL
        self.checkpoint_path = MODEL.with_suffix(".pt")

    @cached_property
    def tracks(self) -> list[Path]:
        """The MP3s."""
        return self.material.tracks(self.plan.n_tracks, self.plan.track_seconds, self.plan.n_distinct)

    @cached_property
    def clip(self) -> Path:
        """One short MP3."""
        return self.material.clip(self.plan.clip_seconds)

    @cached_property
    def classifier(self) -> GenreClassifier:
        """For many files at once, each by one thread, as the command does it."""
        return self.load(1)

    def load(self, threads: int) -> GenreClassifier:
        """Load the shipped model onto the CPU."""
        return GenreClassifier.load(self.model_path, device="cpu", threads=threads)


def all_classified(results: Iterable[Prediction | GenreError]) -> None:
    """Take every result; an error is raised, for a file that fails is quick and would flatter the figure."""
    for result in results:
        if isinstance(result, GenreError):
            raise result
