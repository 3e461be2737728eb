"""The one function family through which every entry point decodes audio.

libsndfile reads first (WAV, FLAC, AIFF, Ogg, Opus, MP3, ...), PyAV what it cannot (M4A, AAC, ALAC, WMA,
APE, WebM), and the ffmpeg program, where it is installed, the FLAC files that both refuse. Only the excerpts asked for
are decoded, by seeking. Samples come out mono, the mean of the channels, float32, resampled by soxr.

The container handed to PyAV and ffmpeg is decided here from the file's first bytes, never guessed by FFmpeg:
a playlist can therefore not make it open other files or addresses.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator
from contextlib import closing
from threading import Event

import numpy as np
from numpy.typing import NDArray

from genre_runtime.errors import EmptyAudioError
from genre_runtime.excerpts import (
    MIN_EXCERPT_SECONDS,
    Excerpt,
    ExcerptStream,
    TrackLength,
    check_count,
    consecutive_excerpts,
    plan_excerpts,
)
from genre_runtime.inputs import AudioSource
from genre_runtime.limits import DecodeLimits, Meter
from genre_runtime.opening import AudioReader, open_audio
from genre_runtime.waveforms import mono, resample, resample_stream

FloatArray = NDArray[np.float32]

HONEST_SHARE = 0.9
"""A seek that finds less than this share of an excerpt was led astray by the header."""


def stream_excerpts(
    source: AudioSource,
    sample_rate: int,
    *,
    excerpt_seconds: float,
    n_excerpts: int | None,
    limits: DecodeLimits | None = None,
    stop: Event | None = None,
) -> ExcerptStream:
    """Decode excerpts of a file one after the other, holding little more than one of them.

    Parameters
    ----------
    source : path, bytes or seekable binary file object
    sample_rate : int
        Rate of the waveforms, Hz.
    excerpt_seconds : float
    n_excerpts : int or None
        Most excerpts to take, evenly spread; None takes the whole track, excerpt after excerpt.
    limits : DecodeLimits, optional
    stop : threading.Event, optional
        Set from another thread, it ends the work within a block.

    Returns
    -------
    ExcerptStream
        At least one excerpt, each at most `excerpt_seconds` long; then the track's duration. Iterating raises what
        `decode_excerpts` raises.
    """
    check_count(n_excerpts)
    limits = limits or DecodeLimits()
    if n_excerpts is None:
        return ExcerptStream(_whole_track(source, sample_rate, excerpt_seconds, Meter(limits, stop)))
    return ExcerptStream(_spread(source, sample_rate, excerpt_seconds, n_excerpts, (limits, stop)))


def decode_excerpts(
    source: AudioSource,
    sample_rate: int,
    *,
    excerpt_seconds: float,
    n_excerpts: int | None,
    limits: DecodeLimits | None = None,
) -> tuple[list[Excerpt], float]:
    """Return all that `stream_excerpts` gives: the excerpts, and the track's duration in seconds.

    Raises
    ------
    AudioNotFoundError, EmptyAudioError, UnreadableAudioError, AudioLimitError
    """
    stream = stream_excerpts(source, sample_rate, excerpt_seconds=excerpt_seconds, n_excerpts=n_excerpts, limits=limits)
    return list(stream), stream.length.duration_seconds


def decode(source: AudioSource, sample_rate: int, *, limits: DecodeLimits | None = None) -> FloatArray:
    """Decode a whole file: mono float32 at `sample_rate`, shape (n_samples,).

    Raises
    ------
    AudioNotFoundError, EmptyAudioError, UnreadableAudioError, AudioLimitError
    """
    with closing(open_audio(source)) as reader:
        waveform = _joined(_read(reader, 0.0, math.inf, Meter(limits or DecodeLimits())))
        if waveform.size == 0:
            raise _no_samples()
        return resample(waveform, reader.sample_rate, sample_rate)


def _whole_track(
    source: AudioSource, sample_rate: int, excerpt_seconds: float, meter: Meter
) -> Generator[Excerpt, None, TrackLength]:
    with closing(open_audio(source)) as reader:
        chunks = resample_stream(_read(reader, 0.0, math.inf, meter), reader.sample_rate, sample_rate)
        yield from consecutive_excerpts(chunks, sample_rate, excerpt_seconds)
        if not meter.n_samples:
            raise _no_samples()
        return TrackLength(meter.n_samples / reader.sample_rate)


def _spread(
    source: AudioSource,
    sample_rate: int,
    excerpt_seconds: float,
    n_excerpts: int,
    bounds: tuple[DecodeLimits, Event | None],
) -> Generator[Excerpt, None, TrackLength]:
    with closing(open_audio(source)) as reader:
        duration = reader.duration_seconds or 0.0
        if math.isfinite(duration) and duration > 0:
            plan, meter = plan_excerpts(duration, excerpt_seconds, n_excerpts), Meter(*bounds)
            # The last one first: it is there only if the header tells the truth.
            last = _sought(reader, *plan[-1], meter)
            if last.size >= HONEST_SHARE * (plan[-1][1] - plan[-1][0]) * reader.sample_rate:
                for start, end in plan[:-1]:
                    waveform = _sought(reader, start, end, meter)
                    if waveform.size >= MIN_EXCERPT_SECONDS * reader.sample_rate:
                        yield Excerpt(start, resample(waveform, reader.sample_rate, sample_rate))
                yield Excerpt(plan[-1][0], resample(last, reader.sample_rate, sample_rate))
                return TrackLength(duration)
    # The header names no length, or another than there is: the file is read twice, to measure it and to pick.
    with closing(open_audio(source)) as reader:  # opened again: decoders may not recover from a seek past the end
        meter = Meter(*bounds)
        for _ in _read(reader, 0.0, math.inf, meter):
            pass
        duration = meter.n_samples / reader.sample_rate
    if not duration:
        raise _no_samples()
    plan = plan_excerpts(duration, excerpt_seconds, n_excerpts)
    with closing(open_audio(source)) as reader:
        for excerpt in _picked_in_passing(reader, plan, Meter(*bounds)):
            yield Excerpt(excerpt.start_seconds, resample(excerpt.waveform, reader.sample_rate, sample_rate))
    return TrackLength(duration)


def _sought(reader: AudioReader, start: float, end: float, meter: Meter) -> FloatArray:
    """Mono samples from `start` to `end` seconds at the reader's own rate, fewer where there are none."""
    n_wanted = max(1, round((end - start) * reader.sample_rate))
    return _joined(_read(reader, start, n_wanted, meter))[:n_wanted]


def _picked_in_passing(reader: AudioReader, plan: list[tuple[float, float]], meter: Meter) -> Iterator[Excerpt]:
    """Excerpts at the reader's own rate, cut out while the whole file goes by."""
    rate = reader.sample_rate
    waiting = [(round(start * rate), round(end * rate), start) for start, end in plan]
    pieces: list[FloatArray] = []
    first = 0  # number of the sample that `pieces` begin with
    for block in _read(reader, 0.0, math.inf, meter):
        pieces.append(block)
        while waiting and waiting[0][1] <= meter.n_samples:
            pieces = [_joined(pieces)]
            begin, end, start = waiting.pop(0)
            yield Excerpt(start, pieces[0][begin - first : end - first])
        if not waiting:
            return
        while pieces and first + pieces[0].size <= waiting[0][0]:
            first += pieces.pop(0).size
    for begin, end, start in waiting:  # the second time a little less may come out
        rest = _joined(pieces)[max(0, begin - first) : end - first]
        if rest.size:
            yield Excerpt(start, rest)


def _read(reader: AudioReader, start_seconds: float, n_samples: float, meter: Meter) -> Iterator[FloatArray]:
    """Yield mono blocks, shape (n_block,)."""
    for block in reader.blocks(start_seconds, n_samples):
        meter.add(block, reader.sample_rate)
        yield mono(block)


def _joined(pieces: Iterator[FloatArray] | list[FloatArray]) -> FloatArray:
    found = list(pieces)
    return np.concatenate(found) if found else np.zeros(0, np.float32)


def _no_samples() -> EmptyAudioError:
    return EmptyAudioError("the file holds no audio samples: expected at least one")
