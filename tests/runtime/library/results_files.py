"""Results to read: made of predictions by the command's own writers."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from genre_runtime.audio.excerpts import TrackLength
from genre_runtime.classifier import summarise
from genre_runtime.errors import UnreadableAudioError
from genre_runtime.library.results.write import WRITERS
from genre_runtime.model.metadata import AudioConfig, ModelMetadata
from genre_runtime.prediction import ExcerptPrediction, FileResult, Prediction

THRESHOLD = 0.6
EXCERPT_SECONDS = 10.0
HOSTILE = (
    "/music/<script>alert(1)</script>.mp3",
    "/music/\"onmouseover='x' & co.mp3",
    "/music/new\nline\r.mp3",
    "/music/\udcff\udcfe latin.mp3",
    "/music/\u202egnp.mp3",
    "/music/--> ]]> </table></svg>.mp3",
)


def predict(
    path: str, *excerpts: Mapping[str, float], silent: Sequence[int] = (), seconds: float | None = None
) -> Prediction:
    """Return the answer for excerpts end to end; those numbered in `silent` are silent."""
    parts = [
        ExcerptPrediction(number * EXCERPT_SECONDS, (number + 1) * EXCERPT_SECONDS, values, silent=number in silent)
        for number, values in enumerate(excerpts)
    ]
    metadata = ModelMetadata(tuple(excerpts[0]), AudioConfig(), {}, confidence_threshold=THRESHOLD)
    duration = len(parts) * EXCERPT_SECONDS if seconds is None else seconds
    return summarise(parts, metadata=metadata, length=TrackLength(duration), device="cpu", path=Path(path))


def small_library() -> list[FileResult]:
    """Return three confident answers, two unsure ones and two failures."""
    answers = [
        predict("/music/a/one.mp3", {"rock": 0.9, "jazz": 0.1}, seconds=100),
        predict("/music/a/two.mp3", {"rock": 0.7, "jazz": 0.3}, seconds=200),
        predict("/music/b/three.mp3", {"rock": 0.2, "jazz": 0.8}, seconds=50.4),
        predict("/music/b/four.mp3", {"rock": 0.55, "jazz": 0.45}, seconds=10),
        predict("/music/b/five.mp3", {"rock": 0.48, "jazz": 0.52}, seconds=20),
    ]
    return [
        *named(answers),
        FileResult(Path("/music/b/noise.mp3"), UnreadableAudioError("damaged <b>mp3</b> file")),
        FileResult(Path("/music/b/text.mp3"), UnreadableAudioError("no audio")),
    ]


def named(predictions: Sequence[Prediction]) -> list[FileResult]:
    """Return the results of files that have these predictions."""
    return [FileResult(prediction.path or Path(), prediction) for prediction in predictions]


def written(results: Sequence[FileResult], form: str = "jsonl") -> str:
    """Return what the command writes of results."""
    stream = io.StringIO()
    writer = WRITERS[form](stream)
    for result in results:
        writer.write(result)
    writer.close()
    return stream.getvalue()
