"""Classifying one source, with the time that each part of it takes, and an end as soon as nobody waits any longer.

From options and a prediction to the JSON answer.
"""

from __future__ import annotations

import time
from collections.abc import Generator
from concurrent.futures import CancelledError
from contextlib import closing
from dataclasses import dataclass
from threading import Event
from typing import Annotated, Any

import numpy as np
from fastapi import Depends, Query, Request
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from genre_api.images import Picture
from genre_api.problems import ServiceError
from genre_runtime import DecodeLimits, GenreClassifier, ModelMetadata, Prediction
from genre_runtime.audio.excerpts import Excerpt, ExcerptStream, TrackLength
from genre_runtime.audio.source import AudioSource
from genre_runtime.decoders.pool import DecoderPool
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
) -> Prediction:
    """Classify audio excerpt by excerpt, with the numbers of `GenreClassifier.classify_file`.

    Parameters
    ----------
    classifier : GenreClassifier
    source : path, bytes or seekable binary file object
    n_excerpts : int or None
        None listens to the whole track.
    limits : DecodeLimits
    decoders : DecoderPool
        Processes that decode, while this one runs the model.
    stop : threading.Event
        Ends the work within a fraction of a second or an excerpt, even where a decoder hangs.
    timings : Timings
        Filled in, also when an error ends the work.
    picture : Picture, optional
        Is given every excerpt.

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
        return classifier.classify_stream(ExcerptStream(_observed(decoded, stop, timings, picture)))
    finally:
        timings.model_seconds = time.perf_counter() - began - timings.decode_seconds - timings.picture_seconds


def _observed(
    stream: ExcerptStream, stop: Event, timings: Timings, picture: Picture | None
) -> Generator[Excerpt, None, TrackLength]:
    """Yield the excerpts of a stream: measure their decoding, draw them, and end once `stop` is set."""
    with closing(stream):
        excerpts = iter(stream)
        while True:
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
    """Classify a log-mel spectrogram, shape (n_mels, n_frames), dB.

    Raises
    ------
    InvalidInputError
    AudioLimitError
        It is longer than the bound on decoded seconds.
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
MAX_EXCERPTS = 360
"""One hour of ten-second excerpts; `whole` takes what there is, within the bounds on decoding."""


class Options(BaseModel):
    """What a client may choose, in the query of the address."""

    model_config = ConfigDict(extra="forbid")
    top: int = Field(default=3, ge=1, le=MAX_TOP, description="how many of the most probable genres stand in `top`")
    excerpts: int | None = Field(
        default=None,
        ge=1,
        le=MAX_EXCERPTS,
        description="excerpts to listen to, spread over the track; default: the model's",
    )
    whole: bool = Field(default=False, description="listen to the whole track instead")
    spectrogram: bool = Field(default=False, description="draw what was listened to, as PNG in Base64")

    def n_excerpts(self, metadata: ModelMetadata) -> int | None:
        """Return the number of excerpts, None for the whole track."""
        return None if self.whole else self.excerpts or metadata.n_excerpts

    def picture(self, metadata: ModelMetadata) -> Picture | None:
        """Return an empty picture, if one is wanted."""
        return Picture(metadata.audio, self.whole) if self.spectrogram else None


def _checked(options: Annotated[Options, Query()]) -> Options:
    if options.whole and options.excerpts is not None:
        raise ServiceError(422, "invalid_request", "excerpts and whole exclude each other: give one of them")
    return options


TheOptions = Annotated[Options, Depends(_checked)]


class Stopwatch:
    """Seconds since a request's head was read."""

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
    """Return the JSON object: the package's own, and with it `top` and `timings`.

    Parameters
    ----------
    prediction : Prediction
    name : str or None
        What the client calls the track.
    top : int
    timings : Timings
    queue_seconds, total_seconds : float
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
    """Return a client's name of a track with what UTF-8 cannot hold replaced."""
    return None if name is None else name.encode("utf-8", "replace").decode("utf-8")
