"""What the classifier answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genre_runtime.audio.excerpts import FloatArray, TrackLength

PROBABILITY_DIGITS = 6


@dataclass(frozen=True)
class ExcerptPrediction:
    """Genre probabilities of one stretch of the track.

    Attributes
    ----------
    start_seconds, end_seconds : float
    probabilities : mapping of str to float
        Every label's probability; they sum to one.
    silent : bool
        Too quiet to judge; left out of the track's answer.
    embedding : float32 array, shape (n_features,), or None
        What the network's last layer sees; similar music lies in similar directions.
    """

    start_seconds: float
    end_seconds: float
    probabilities: Mapping[str, float]
    silent: bool = False
    embedding: FloatArray | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True)
class Prediction:
    """The answer for one track.

    Attributes
    ----------
    label : str
        Most probable genre.
    confidence : float
        Its probability, 0 to 1.
    confident : bool
        Whether the confidence reaches the model's calibrated threshold and the track is not silent.
    reason : str or None
        Why the answer is not confident, in words.
    probabilities : mapping of str to float
        Mean over the excerpts, most probable first.
    excerpts : tuple of ExcerptPrediction
    duration_seconds : float
        Seconds of sound that could be read.
    device : str
        Where the model ran, `cpu` or `cuda` and so on.
    path : Path or None
        The file, when there was one.
    embedding : float32 array, shape (n_features,), or None
        Mean over the excerpts; not part of `to_dict`.
    announced_seconds : float or None
        Length that the file claims, where noticeably less than that could be read; None where the file is whole.
    """

    label: str
    confidence: float
    confident: bool
    reason: str | None
    probabilities: Mapping[str, float]
    excerpts: tuple[ExcerptPrediction, ...]
    duration_seconds: float
    device: str
    path: Path | None = None
    embedding: FloatArray | None = field(default=None, repr=False, compare=False)
    announced_seconds: float | None = None

    @property
    def remark(self) -> str | None:
        """How much of the file could be read, in words; None where the file is whole."""
        return partly_read(self.duration_seconds, self.announced_seconds)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object of this answer; probabilities rounded to six digits."""
        return {
            "path": None if self.path is None else str(self.path),
            "label": self.label,
            "confidence": round(self.confidence, PROBABILITY_DIGITS),
            "confident": self.confident,
            "reason": self.reason,
            "probabilities": _rounded(self.probabilities),
            "excerpts": [
                {
                    "start_seconds": round(excerpt.start_seconds, 3),
                    "end_seconds": round(excerpt.end_seconds, 3),
                    "silent": excerpt.silent,
                    "probabilities": _rounded(excerpt.probabilities),
                }
                for excerpt in self.excerpts
            ],
            "duration_seconds": round(self.duration_seconds, 3),
            "announced_seconds": None if self.announced_seconds is None else round(self.announced_seconds, 3),
            "device": self.device,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], embedding: FloatArray | None = None) -> Prediction:
        """Build from what `to_dict` gave.

        Raises
        ------
        KeyError, TypeError
            A value is missing or unknown.
        """
        excerpts = tuple(ExcerptPrediction(**excerpt) for excerpt in values["excerpts"])
        path = None if values["path"] is None else Path(values["path"])
        return cls(**{**values, "excerpts": excerpts, "path": path}, embedding=embedding)


def partly_read(duration_seconds: float, announced_seconds: float | None) -> str | None:
    """Return how much of a file could be read, in words; None where the file is whole.

    Parameters
    ----------
    duration_seconds : float
        Seconds of sound that could be read.
    announced_seconds : float or None
        Length that the file claims, where less than that could be read.
    """
    if announced_seconds is None:
        return None
    return f"only {duration_seconds:.1f} of {announced_seconds:.1f} s could be read"


def summarise(
    excerpts: Sequence[ExcerptPrediction],
    *,
    threshold: float,
    length: TrackLength,
    device: str,
    path: Path | None,
) -> Prediction:
    """Average the excerpts that are not silent into the track's answer; all of them if all are silent."""
    audible = [excerpt for excerpt in excerpts if not excerpt.silent]
    judged = audible or excerpts
    labels = list(judged[0].probabilities)
    mean: NDArray[np.float64] = np.mean([[e.probabilities[label] for label in labels] for e in judged], axis=0)
    order = np.argsort(-mean, kind="stable")
    probabilities = {labels[i]: float(mean[i]) for i in order}
    label, confidence = next(iter(probabilities.items()))
    reason = None
    if not audible:
        reason = "the track is silent" if length.is_silent else "the excerpts are silent"
    elif confidence < threshold:
        reason = f"the best genre reaches {confidence:.0%}, confident answers start at {threshold:.0%}"
    embeddings = [excerpt.embedding for excerpt in judged if excerpt.embedding is not None]
    return Prediction(
        label=label,
        confidence=confidence,
        confident=reason is None,
        reason=reason,
        probabilities=probabilities,
        excerpts=tuple(excerpts),
        duration_seconds=length.duration_seconds,
        announced_seconds=length.announced_seconds,
        device=device,
        path=path,
        embedding=np.mean(embeddings, axis=0) if embeddings else None,
    )


def _rounded(probabilities: Mapping[str, float]) -> dict[str, float]:
    return {label: round(value, PROBABILITY_DIGITS) for label, value in probabilities.items()}
