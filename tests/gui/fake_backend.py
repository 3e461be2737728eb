"""A classifier that does with a file what the test says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from threading import Event

from genre_gui.backends.base import Link
from genre_gui.backends.stored import Progress
from genre_gui.tracks import Result
from genre_runtime import Prediction
from genre_runtime.library.cache import LibraryState
from genre_runtime.model.metadata import AudioConfig, GraphFile, ModelMetadata
from genre_runtime.prediction import ExcerptPrediction

LABELS = ("noise", "quiet", "tone")


def metadata(**changes: object) -> ModelMetadata:
    """Return a sidecar that says as little as it may."""
    graphs = {kind: GraphFile(f"{kind}.onnx", "0" * 64) for kind in ("waveform", "log_mel")}
    values: dict[str, object] = {"labels": LABELS, "audio": AudioConfig(), "graphs": graphs, **changes}
    return ModelMetadata(**values)  # type: ignore[arg-type]


def prediction(path: Path, label: str = "tone", confidence: float = 0.9, seconds: float = 30.0) -> Prediction:
    """Return an answer."""
    others = [other for other in LABELS if other != label]
    probabilities = {label: confidence, others[0]: (1 - confidence) * 0.75, others[1]: (1 - confidence) * 0.25}
    confident = confidence >= 0.5
    return Prediction(
        label=label,
        confidence=confidence,
        confident=confident,
        reason=None if confident else "the best genre reaches little",
        probabilities=probabilities,
        excerpts=(ExcerptPrediction(0.0, seconds, probabilities),),
        duration_seconds=seconds,
        device="cpu",
        path=path,
    )


class FakeBackend:
    """A backend that needs no model."""

    name = "fake.onnx"
    device = "cpu"
    no_embeddings = "this backend has none"
    notice = ""
    state: LibraryState | None = None

    progress: Progress | None = None
    """As it was given to the last call of `classify`."""

    def __init__(self, act: Callable[[Path, Event], Result] = lambda path, _: prediction(path)) -> None:
        self.metadata = self.model_metadata = metadata()
        self.asked: list[tuple[Path, bool]] = []
        self._act = act

    def classify(self, path: Path, *, whole: bool, stop: Event, progress: Progress | None = None) -> Result:
        """Note what was asked and do what the test says."""
        self.asked.append((path, whole))
        self.progress = progress
        return self._act(path, stop)

    def recall(self, path: Path, *, whole: bool) -> Result | None:
        return None

    def answer(self, analysis: Prediction) -> Prediction:
        """Have no genres of the user."""
        return analysis

    def devices(self) -> dict[str, str]:
        """Return what a machine without a GPU says."""
        return {"cuda": "not in this ONNX Runtime", "cpu": "works"}

    def watch(self, tell: Callable[[Link], object], stop: Event) -> None:
        """Have no connection."""
