"""Classify one source: from the options of a request to its JSON answer."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from concurrent.futures import CancelledError
from contextlib import closing
from dataclasses import dataclass
from threading import Event
from typing import Annotated, Any, Self

import numpy as np
from fastapi import Query, Request
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from genre_api.images import Picture
from genre_runtime import (
    AudioSource,
    DecodeLimits,
    DecoderPool,
    Excerpt,
    ExcerptStream,
    GenreClassifier,
    ModelMetadata,
    Prediction,
    TrackLength,
)
from genre_runtime.errors import AudioLimitError


@dataclass
class Timings:
    """Seconds spent so far on one file; decoding while the model runs takes no time here."""

    decode_seconds: float = 0.0
    model_seconds: float = 0.0
    picture_seconds: float = 0.0


def classify_audio(
    classifier: GenreClassifier,
    source: AudioSource,
    *,
    n_excerpts: int | None,
    limits: DecodeLimits,
    decoders: DecoderPool,
    stop: Event,
    timings: Timings,
    picture: Picture | None = None,
    give_way: Callable[[], None] | None = None,
) -> Prediction:
    """Classify audio with the same result as `GenreClassifier.classify_file`.

    Parameters
    ----------
    classifier : GenreClassifier
        Runs the model.
    source : path, bytes or seekable binary file object
        The audio.
    n_excerpts : int or None
        Number of excerpts; None analyses the whole track.
    limits : DecodeLimits
        Limits on what is decoded.
    decoders : DecoderPool
        Processes that decode.
    stop : threading.Event
        Ends the work within a fraction of a second or one excerpt, even if a decoder hangs.
    timings : Timings
        Filled in, also when an error ends the work.
    picture : Picture, optional
        Gets every excerpt.
    give_way : callable, optional
        Called before each excerpt; may wait.

    Raises
    ------
    GenreError
        As `GenreClassifier.classify_file` does.
    concurrent.futures.CancelledError
        `stop` was set.
    """
    metadata = classifier.metadata
    decoded = decoders.stream_excerpts(
        source,
        metadata.audio.sample_rate,
        excerpt_seconds=metadata.excerpt_seconds,
        n_excerpts=n_excerpts,
        limits=limits,
        stop=stop,
    )
    began = time.perf_counter()
    try:
        return classifier.classify_stream(ExcerptStream(_observed(decoded, stop, timings, picture, give_way)))
    finally:
        timings.model_seconds = time.perf_counter() - began - timings.decode_seconds - timings.picture_seconds


def _observed(
    stream: ExcerptStream,
    stop: Event,
    timings: Timings,
    picture: Picture | None,
    give_way: Callable[[], None] | None,
) -> Generator[Excerpt, None, TrackLength]:
    """Yield the excerpts of a stream: measure their decoding, draw them, and end once `stop` is set."""
    with closing(stream):
        excerpts = iter(stream)
        while True:
            if give_way is not None:
                give_way()
            began = time.perf_counter()
            try:
                excerpt = next(excerpts, None)
            finally:
                timings.decode_seconds += time.perf_counter() - began
            if excerpt is None:
                return stream.length
            if stop.is_set():
                raise CancelledError
            if picture is not None:
                began = time.perf_counter()
                picture.add(excerpt.waveform)
                timings.picture_seconds += time.perf_counter() - began
            yield excerpt


def classify_spectrogram(
    classifier: GenreClassifier,
    log_mel: NDArray[np.float32],
    *,
    limits: DecodeLimits,
    timings: Timings,
    picture: Picture | None = None,
) -> Prediction:
    """Classify a log-mel spectrogram.

    Parameters
    ----------
    classifier : GenreClassifier
        Runs the model.
    log_mel : float array, shape (n_mels, n_frames)
        Decibels.
    limits : DecodeLimits
        Limits on its length.
    timings : Timings
        Filled in.
    picture : Picture, optional
        Gets the spectrogram.

    Raises
    ------
    InvalidInputError
        The array has the wrong shape or values.
    AudioLimitError
        It is longer than `limits` allow.
    """
    seconds = log_mel.shape[1] * classifier.metadata.audio.frame_seconds
    if seconds > limits.max_seconds:
        raise AudioLimitError(
            f"the spectrogram covers {seconds:.0f} s: send at most {limits.max_seconds:g} s", "max_seconds"
        )
    began = time.perf_counter()
    prediction = classifier.classify_log_mel(log_mel)
    timings.model_seconds = time.perf_counter() - began
    if picture is not None:
        picture.add_log_mel(log_mel)
    return prediction


MAX_TOP = 1000
MAX_SIMILAR = 100
MAX_EXCERPTS = 360
"""One hour of excerpts of ten seconds; `whole` has no limit but those on decoding."""


class AnalysisOptions(BaseModel):
    """Which part of a track is analysed, in the query of the address."""

    model_config = ConfigDict(extra="forbid")
    excerpts: int | None = Field(
        default=None,
        ge=1,
        le=MAX_EXCERPTS,
        description="number of excerpts to analyse, spread over the track; default: the model's",
    )
    whole: bool = Field(default=False, description="analyse the whole track instead")

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if self.whole and self.excerpts is not None:
            raise PydanticCustomError("combined", "excerpts and whole cannot be combined: send one of them")
        return self

    def n_excerpts(self, metadata: ModelMetadata) -> int | None:
        """Return the number of excerpts, None for the whole track.

        Parameters
        ----------
        metadata : ModelMetadata
            Says the default number.
        """
        return None if self.whole else self.excerpts or metadata.n_excerpts


class Options(AnalysisOptions):
    """Options of a prediction."""

    top: int = Field(default=3, ge=1, le=MAX_TOP, description="number of the most probable genres in `top`")
    spectrogram: bool = Field(default=False, description="draw the analysed excerpts, as PNG in Base64")

    def picture(self, metadata: ModelMetadata) -> Picture | None:
        """Return an empty picture if the client asks for one.

        Parameters
        ----------
        metadata : ModelMetadata
            Says how spectrograms are made.
        """
        return Picture(metadata.audio, self.whole) if self.spectrogram else None


class EmbeddingOptions(AnalysisOptions):
    """Options of an embedding."""

    per_excerpt: bool = Field(default=False, description="add the embedding of each excerpt")


class SimilarOptions(AnalysisOptions):
    """Options of a search for similar tracks."""

    top: int = Field(default=10, ge=1, le=MAX_SIMILAR, description="number of the most similar tracks")


TheAnalysisOptions = Annotated[AnalysisOptions, Query()]
TheOptions = Annotated[Options, Query()]
TheEmbeddingOptions = Annotated[EmbeddingOptions, Query()]
TheSimilarOptions = Annotated[SimilarOptions, Query()]


class Stopwatch:
    """Measures the time since a request's head was read.

    Parameters
    ----------
    request : Request
        The request.
    """

    def __init__(self, request: Request) -> None:
        self._began: float = request.scope.get("genre.began", time.perf_counter())

    def seconds(self) -> float:
        """Return the seconds so far."""
        return time.perf_counter() - self._began


def answer(
    prediction: Prediction,
    *,
    name: str | None,
    top: int,
    timings: Timings,
    queue_seconds: float,
    total_seconds: float,
    spectrogram: str | None = None,
) -> dict[str, Any]:
    """Return the JSON object of a prediction, with `top` and `timings`.

    Parameters
    ----------
    prediction : Prediction
        Result of the classifier.
    name : str or None
        The client's name of the track.
    top : int
        Number of genres in `top`.
    timings : Timings
        Seconds spent on decoding and in the model.
    queue_seconds, total_seconds : float
        Seconds in the queue, and of the whole request.
    spectrogram : str, optional
        PNG in Base64.
    """
    values = prediction.to_dict()
    ranked = list(values["probabilities"].items())[:top]
    return {
        **values,
        "path": sendable(name),
        "spectrogram": spectrogram,
        "top": [{"label": label, "probability": probability} for label, probability in ranked],
        "timings": {
            "queue_seconds": round(queue_seconds, 6),
            "decode_seconds": round(timings.decode_seconds, 6),
            "model_seconds": round(timings.model_seconds, 6),
            "total_seconds": round(total_seconds, 6),
        },
    }


def sendable(name: str | None) -> str | None:
    """Return the name of a track, with characters that UTF-8 cannot encode replaced.

    Parameters
    ----------
    name : str or None
        The name.
    """
    return None if name is None else name.encode("utf-8", "replace").decode("utf-8")
