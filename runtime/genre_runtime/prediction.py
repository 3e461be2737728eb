"""Results of the classifier."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from genre_runtime.audio.excerpts import FloatArray
from genre_runtime.errors import GenreError, RecordedError

PROBABILITY_DIGITS = 6

NOT_MUSIC = {"speech": "speech, not music", "noise": "noise, not music", "tone": "a tone, not music"}
"""Reason of an answer that is not confident, by the kind of sound."""

_SOUNDS = ("music", "silence", *NOT_MUSIC)
NAME_LISTS = ("styles", "moods", "instruments", "voice", "genre_set")
"""Attributes of a result that list names."""


@dataclass(frozen=True, slots=True)
class ExcerptPrediction:
    """Genre probabilities of one excerpt.

    Attributes
    ----------
    start_seconds, end_seconds : float
        Position in the track.
    probabilities : mapping of str to float
        Probability of each label; they sum to one.
    silent : bool
        Too quiet to classify; left out of the track's result.
    embedding : float32 array, shape (n_features,), or None
        Input of the network's last layer; similar music has similar directions.
    tags : float32 array, shape (n_tags,), or None
        Probability of each tag of the model; they are independent. None for a model without tags.
    """

    start_seconds: float
    end_seconds: float
    probabilities: Mapping[str, float]
    silent: bool = False
    embedding: FloatArray | None = field(default=None, repr=False, compare=False)
    tags: FloatArray | None = field(default=None, repr=False, compare=False)


def audible(excerpts: Sequence[ExcerptPrediction]) -> Sequence[ExcerptPrediction]:
    """Return the excerpts that count for the track: those that are not silent, or all if all are.

    Parameters
    ----------
    excerpts : sequence of ExcerptPrediction
    """
    return [excerpt for excerpt in excerpts if not excerpt.silent] or excerpts


def mean_embedding(excerpts: Sequence[ExcerptPrediction]) -> FloatArray | None:
    """Return the embedding of a track: the mean over the excerpts that count; None if they have none.

    Parameters
    ----------
    excerpts : sequence of ExcerptPrediction
        With embeddings of one model.
    """
    rows = [excerpt.embedding for excerpt in audible(excerpts) if excerpt.embedding is not None]
    return np.mean(rows, axis=0) if rows else None


@dataclass(frozen=True, slots=True)
class Prediction:
    """The result for one track.

    Attributes
    ----------
    label : str
        Most probable genre.
    confidence : float
        Its probability, 0 to 1.
    confident : bool
        Whether the confidence reaches the model's threshold and the track is music, not silence or speech.
    reason : str or None
        Why the result is not confident, in words.
    probabilities : mapping of str to float
        Mean over the excerpts, most probable first.
    excerpts : tuple of ExcerptPrediction
    duration_seconds : float
        Seconds of audio that could be read.
    device : str
        Where the model ran: `cpu`, `cuda`, ...
    path : Path or None
        The file, if there was one.
    embedding : float32 array, shape (n_features,), or None
        Mean over the excerpts; not part of `to_dict`.
    announced_seconds : float or None
        Length according to the file's header if noticeably less could be read, else None.
    genre_set : tuple of str
        The answer set: the genres whose probability reaches the threshold in the model's sidecar, most probable first;
        nine of ten contain the right genre. Empty if the track is not music.
    music : {"music", "speech", "noise", "tone", "silence"} or None
        What the track is; None if the model has no tags and the track is not silent.
    tags : mapping of str to float
        Tags that reach their threshold, with their mean probability over the excerpts, most probable first.
    styles, moods, instruments, voice : tuple of str
        The tags of each kind, most probable first. A style does not change the label.
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
    genre_set: tuple[str, ...] = ()
    music: str | None = None
    tags: Mapping[str, float] = field(default_factory=dict)
    styles: tuple[str, ...] = ()
    moods: tuple[str, ...] = ()
    instruments: tuple[str, ...] = ()
    voice: tuple[str, ...] = ()

    @property
    def remark(self) -> str | None:
        """How much of the file could be read, in words; None if all of it."""
        return partly_read(self.duration_seconds, self.announced_seconds)

    def to_dict(self) -> dict[str, Any]:
        """Return this result as a JSON object, probabilities rounded to six digits."""
        return {
            "path": None if self.path is None else str(self.path),
            "label": self.label,
            "confidence": round(self.confidence, PROBABILITY_DIGITS),
            "confident": self.confident,
            "reason": self.reason,
            "probabilities": _rounded(self.probabilities),
            "music": self.music,
            "tags": _rounded(self.tags),
            **{name: list(getattr(self, name)) for name in NAME_LISTS},
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
        """Build from what `to_dict` returned, and check every value: results come from files and from servers.

        Parameters
        ----------
        values : mapping
            `excerpts`, `device`, `reason`, `path`, `announced_seconds`, `genre_set`, `music` and all that is about
            tags may be missing, as in results of older versions; unknown keys are ignored.
        embedding : float32 array, shape (n_features,), optional

        Raises
        ------
        KeyError, TypeError, ValueError, AttributeError
            A value is missing or not what `to_dict` writes.
        """
        probabilities = _probabilities(values["probabilities"])
        label, confident, reason = values["label"], values["confident"], values.get("reason")
        path, announced, music = values.get("path"), values.get("announced_seconds"), values.get("music")
        if label not in probabilities:
            raise ValueError(f"label {label!r} is none of the genres")
        if not isinstance(confident, bool):
            raise ValueError(f"confident is {confident!r}")
        if music is not None and music not in _SOUNDS:
            raise ValueError(f"music is {music!r}")
        lists: dict[str, Any] = {name: _names(values.get(name, []), name) for name in NAME_LISTS}
        return cls(
            label=label,
            confidence=_number(values["confidence"], "confidence", 1),
            confident=confident,
            reason=reason if isinstance(reason, str) else None,
            probabilities=dict(sorted(probabilities.items(), key=lambda item: -item[1])),
            excerpts=tuple(map(_excerpt, values.get("excerpts", ()))),
            duration_seconds=_number(values["duration_seconds"], "duration_seconds"),
            device=str(values.get("device", "")),
            path=None if path is None else Path(path),
            embedding=embedding,
            announced_seconds=None if announced is None else _number(announced, "announced_seconds"),
            music=music,
            tags=_shares(values.get("tags", {}), "tags"),
            **lists,
        )

    def brief(self, n_genres: int | None = 2) -> Prediction:
        """Return a copy for long lists: without excerpts, embedding and the shares of tags, with the best genres only.

        Parameters
        ----------
        n_genres : int or None
            How many genres are kept; None for all.
        """
        best = {sys.intern(label): share for label, share in islice(self.probabilities.items(), n_genres)}
        kept: dict[str, Any] = {name: tuple(map(sys.intern, getattr(self, name))) for name in NAME_LISTS}
        kept["music"] = "silence" if self.is_silent else self.music  # the excerpts, which may say it, are dropped
        label = sys.intern(self.label)
        return replace(self, label=label, probabilities=best, excerpts=(), embedding=None, tags={}, **kept)

    @property
    def is_silent(self) -> bool:
        """Whether all excerpts are silent."""
        return self.music == "silence" or (bool(self.excerpts) and all(excerpt.silent for excerpt in self.excerpts))

    @property
    def is_music(self) -> bool:
        """Whether the genre means something: False for silence, speech, noise and a tone."""
        return self.music in (None, "music") and not self.is_silent

    @property
    def runner_up(self) -> tuple[str, float]:
        """Second best genre and its probability; `("", 0.0)` if the model has one genre."""
        others = ((label, share) for label, share in self.probabilities.items() if label != self.label)
        return next(others, ("", 0.0))


class Neighbour(NamedTuple):
    """A track that sounds like another one.

    Attributes
    ----------
    path : Path
    genres : tuple of str
        In its tags.
    similarity : float
        Cosine of the embeddings, -1 to 1.
    """

    path: Path
    genres: tuple[str, ...]
    similarity: float


@dataclass(frozen=True, slots=True)
class Doubt:
    """Why the genre in a file's tags is doubtful.

    Attributes
    ----------
    genres : tuple of str
        In its tags.
    confidence : float
        Their probability by ear: the largest, if there are several.
    neighbours : tuple of Neighbour
        The tracks that sound most like it.
    """

    genres: tuple[str, ...]
    confidence: float
    neighbours: tuple[Neighbour, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return this doubt as a JSON object."""
        return {
            "genres": list(self.genres),
            "confidence": round(self.confidence, PROBABILITY_DIGITS),
            "neighbours": [
                {"path": str(path), "genres": list(genres), "similarity": round(similarity, PROBABILITY_DIGITS)}
                for path, genres, similarity in self.neighbours
            ],
        }

    @classmethod
    def from_dict(cls, values: Any) -> Doubt:
        """Build from what `to_dict` returned, and check every value.

        Parameters
        ----------
        values : Any
            A JSON value.

        Raises
        ------
        KeyError, TypeError, ValueError, AttributeError
            `values` is not a doubt.
        """
        neighbours = []
        for one in values.get("neighbours", ()):
            similarity = one["similarity"]
            if isinstance(similarity, bool) or not isinstance(similarity, int | float) or not -1.1 <= similarity <= 1.1:
                raise ValueError(f"similarity is {similarity!r}")
            neighbours.append(Neighbour(Path(one["path"]), _names(one["genres"], "genres"), float(similarity)))
        confidence = _number(values["confidence"], "the confidence of a doubt", 1)
        return cls(_names(values["genres"], "genres"), confidence, tuple(neighbours))


@dataclass(frozen=True, slots=True)
class FileResult:
    """What is known of one file: a prediction or an error.

    Attributes
    ----------
    path : Path or str
        The file; a str for a URL.
    outcome : Prediction or GenreError
    known : bool
        Whether the file was not analysed in this run: the outcome is from the cache, or of an equal file.
    same_as : Path or None
        An earlier file of the run with the same bytes.
    doubt : Doubt or None
        Why its tags are doubtful, in the results of `genre audit`.
    """

    path: Path | str
    outcome: Prediction | GenreError
    known: bool = False
    same_as: Path | None = None
    doubt: Doubt | None = None

    @property
    def prediction(self) -> Prediction | None:
        """The prediction; None if the file failed."""
        return self.outcome if isinstance(self.outcome, Prediction) else None

    @property
    def error(self) -> GenreError | None:
        """The error; None if the file was classified."""
        return self.outcome if isinstance(self.outcome, GenreError) else None

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object of the result: the prediction, or `{"path", "error": {"code", "message"}}`.

        `same_as` is added where an earlier file has the same bytes.
        """
        path = {"path": str(self.path)}
        equal = {} if self.same_as is None else {"same_as": str(self.same_as)}
        if isinstance(self.outcome, Prediction):
            doubt = {} if self.doubt is None else {"doubt": self.doubt.to_dict()}
            return {**self.outcome.to_dict(), **path, **equal, **doubt}
        return {**path, "error": {"code": self.outcome.code, "message": str(self.outcome)}, **equal}

    @classmethod
    def from_dict(cls, values: Any) -> FileResult:
        """Build from what `to_dict` returned, and check every value.

        Parameters
        ----------
        values : Any
            A JSON value.

        Raises
        ------
        KeyError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError
            `values` is not a result.
        """
        if not isinstance(values, dict):
            raise TypeError("not a JSON object")
        name = values["path"]
        if not isinstance(name, str) or not name:
            raise ValueError("path is not a name")
        equal = values.get("same_as")
        if equal is not None and not isinstance(equal, str):
            raise ValueError("same_as is not a name")
        same_as = Path(equal) if equal else None
        if "error" not in values:
            doubt = None if values.get("doubt") is None else Doubt.from_dict(values["doubt"])
            return cls(Path(name), Prediction.from_dict(values), same_as=same_as, doubt=doubt)
        code, message = values["error"]["code"], values["error"]["message"]
        if not isinstance(code, str) or not isinstance(message, str):
            raise ValueError("error does not consist of code and message")
        return cls(Path(name), RecordedError(code, message), same_as=same_as)


def partly_read(duration_seconds: float, announced_seconds: float | None) -> str | None:
    """Return how much of a file could be read, in words, or None if all of it.

    Parameters
    ----------
    duration_seconds : float
        Seconds of audio that could be read.
    announced_seconds : float or None
        Length according to the file's header, if less could be read.
    """
    if announced_seconds is None:
        return None
    return f"only {duration_seconds:.1f} of {announced_seconds:.1f} s could be read"


def _rounded(probabilities: Mapping[str, float]) -> dict[str, float]:
    return {label: round(value, PROBABILITY_DIGITS) for label, value in probabilities.items()}


def _excerpt(values: Mapping[str, Any]) -> ExcerptPrediction:
    start = _number(values["start_seconds"], "start_seconds")
    end = _number(values["end_seconds"], "end_seconds")
    silent = bool(values.get("silent", False))
    return ExcerptPrediction(start, end, _probabilities(values["probabilities"]), silent=silent)


def _probabilities(values: Any) -> dict[str, float]:
    shares = _shares(values, "probabilities")
    if not shares:
        raise ValueError("probabilities are empty")
    return shares


def _shares(values: Any, name: str) -> dict[str, float]:
    if not isinstance(values, dict):
        raise ValueError(f"{name} are not an object")
    return {label: _number(value, f"the probability of {label!r}", 1) for label, value in values.items()}


def _names(values: Any, name: str) -> tuple[str, ...]:
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise ValueError(f"{name} is not a list of names")
    return tuple(values)


def _number(value: Any, name: str, most: float = math.inf) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most or math.isinf(value):
        raise ValueError(f"{name} is {value!r}")
    return float(value)
