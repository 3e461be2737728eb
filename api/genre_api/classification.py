"""Classifying one source, with the time that each part of it takes, and an end as soon as nobody waits any longer."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import CancelledError
from contextlib import closing
from dataclasses import dataclass
from threading import Event

import numpy as np
from numpy.typing import NDArray

from genre_api.pictures import Picture
from genre_runtime import DecodeLimits, GenreClassifier, Prediction
from genre_runtime.decoder_pool import DecoderPool
from genre_runtime.errors import AudioLimitError
from genre_runtime.excerpts import Excerpt
from genre_runtime.inputs import AudioSource
from genre_runtime.prediction import summarise


@dataclass
class Timings:
    """Seconds spent so far at one file."""

    decode_seconds: float = 0.0
    model_seconds: float = 0.0


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
        Is added to, also where an error ends the work. What is decoded while the model runs takes no time here.
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
    rate = metadata.audio.sample_rate
    stream = decoders.stream_excerpts(
        source, rate, excerpt_seconds=metadata.excerpt_seconds, n_excerpts=n_excerpts, limits=limits, stop=stop
    )
    results = []
    with closing(stream):
        for excerpt in _timed(iter(stream), timings):
            if stop.is_set():
                raise CancelledError
            began = time.perf_counter()
            try:
                results.append(classifier.classify_excerpt(excerpt))
            finally:
                timings.model_seconds += time.perf_counter() - began
            if picture is not None:
                picture.add(excerpt.waveform, results[-1].silent)
    return summarise(
        results,
        threshold=metadata.confidence_threshold,
        length=stream.length,
        device=classifier.device,
        path=None,
    )


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
    try:
        prediction = classifier.classify_log_mel(log_mel)
    finally:
        timings.model_seconds += time.perf_counter() - began
    if picture is not None:
        picture.add_log_mel(log_mel)
    return prediction


def _timed(excerpts: Iterator[Excerpt], timings: Timings) -> Iterator[Excerpt]:
    while True:
        began = time.perf_counter()
        try:
            excerpt = next(excerpts, None)
        finally:
            timings.decode_seconds += time.perf_counter() - began
        if excerpt is None:
            return
        yield excerpt
