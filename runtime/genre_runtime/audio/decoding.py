"""The one function family through which every entry point decodes audio.

libsndfile reads first (WAV, FLAC, AIFF, Ogg, Opus, MP3, ...), PyAV what it cannot (M4A, AAC, ALAC, WMA,
APE, WebM), and the ffmpeg program, where it is installed, the FLAC files that both refuse. Only the excerpts asked for
are decoded, by seeking. Samples come out mono, float32, resampled by soxr.

The length that a header names is a claim. It is believed where the file's own structure confirms it
(`genre_runtime.audio.structure`) or where sound ends there; otherwise the file is measured by decoding all of it.

The container handed to PyAV and ffmpeg is decided from the file's first bytes, never guessed by FFmpeg:
a playlist can therefore not make it open other files or addresses.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from threading import Event

import numpy as np

from genre_runtime.audio.excerpts import (
    MIN_EXCERPT_SECONDS,
    Excerpt,
    ExcerptStream,
    FloatArray,
    TrackLength,
    check_count,
    consecutive_excerpts,
    plan_excerpts,
)
from genre_runtime.audio.readers import AudioReader, readers
from genre_runtime.audio.source import AudioFile, AudioSource, DecodeLimits, Meter, look_at
from genre_runtime.audio.waveform import AudibleSeconds, is_silent, mono, resample, resample_stream
from genre_runtime.errors import AudioLimitError, EmptyAudioError, UnreadableAudioError

HONEST_SHARE = 0.9
"""A seek that finds less than this share of an excerpt was led astray by the header."""

END_SECONDS = 1.0
"""So much of the end of a file is decoded where nothing but the header tells its length."""

MISSING_SECONDS, MISSING_SHARE = 0.5, 0.01
"""A file is not whole where more than this of the announced length cannot be read; encoders pad by less."""

SEARCHED_SECONDS = 3600.0
"""So much of a track is searched for sound that is silent where it was sampled."""

MAX_HELD = 32
"""Silent excerpts held back until sound is found."""


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
        At least one excerpt, each at most `excerpt_seconds` long; then the track's length. Where all places are silent
        that were to be taken, excerpts come from where there is sound, if there is any. Iterating raises what
        `decode_excerpts` raises.
    """
    check_count(n_excerpts)
    bounds = _Bounds(limits or DecodeLimits(), stop)
    if n_excerpts is None:
        return ExcerptStream(_whole_track(source, sample_rate, excerpt_seconds, bounds))
    return ExcerptStream(_spread(source, sample_rate, excerpt_seconds, n_excerpts, bounds))


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
    passage = _Passage(look_at(source), Meter(limits or DecodeLimits()))
    waveform = _joined(passage.blocks())
    if waveform.size == 0:
        raise _no_samples()
    return resample(waveform, passage.sample_rate, sample_rate)


@dataclass(frozen=True)
class _Bounds:
    limits: DecodeLimits
    stop: Event | None

    def meter(self) -> Meter:
        return Meter(self.limits, self.stop)


class _Passage:
    """One decoding of a file from its beginning to its end.

    Where a decoder ends noticeably before the announced length, the next one goes on from there.
    """

    def __init__(self, file: AudioFile, meter: Meter) -> None:
        self._meter = meter
        self._readers = readers(file)
        self._first = next(self._readers)
        self.sample_rate = self._first.sample_rate
        self._announced_seconds = file.structure.announced_seconds or self._first.duration_seconds

    @property
    def n_samples(self) -> int:
        """Samples a channel decoded so far."""
        return self._meter.n_samples

    @property
    def length(self) -> TrackLength:
        """Length of the track, once all blocks were taken."""
        return _length(self.n_samples / self.sample_rate, self._announced_seconds)

    def blocks(self) -> Generator[FloatArray, None, None]:
        """Yield mono blocks, shape (n_block,), and close every decoder.

        Raises
        ------
        UnreadableAudioError
            No decoder reads a sample, and one says why.
        """
        reader: AudioReader | None = self._first
        refused: UnreadableAudioError | None = None
        while reader is not None:
            with closing(reader):
                if reader.sample_rate == self.sample_rate or not self.n_samples:
                    self.sample_rate = reader.sample_rate
                    try:
                        yield from _read(reader, self.length.duration_seconds, math.inf, self._meter)
                    except UnreadableAudioError as error:
                        refused = refused or error
            if self.n_samples and self.length.announced_seconds is None:
                return
            reader = next(self._readers, None)
        if refused is not None and not self.n_samples:
            raise refused


def _length(seconds: float, announced: float | None) -> TrackLength:
    """Return a length, with what was announced where that is noticeably more."""
    if announced is None or not math.isfinite(announced):
        return TrackLength(seconds)
    is_whole = announced - seconds <= MISSING_SECONDS + MISSING_SHARE * announced
    return TrackLength(seconds, None if is_whole else announced)


def _checked(length: TrackLength) -> TrackLength:
    """Refuse a length from which nothing can be told.

    Raises
    ------
    EmptyAudioError
        There is no sound.
    UnreadableAudioError
        What little there is of a longer track may be the decoder's noise.
    """
    if not length.duration_seconds:
        raise _no_samples()
    if length.announced_seconds is not None and length.duration_seconds < MIN_EXCERPT_SECONDS:
        raise UnreadableAudioError(
            f"only {length.duration_seconds:.2f} of {length.announced_seconds:.1f} s could be read: the file is damaged"
        )
    return length


def _whole_track(
    source: AudioSource, sample_rate: int, excerpt_seconds: float, bounds: _Bounds
) -> Generator[Excerpt, None, TrackLength]:
    passage = _Passage(look_at(source), bounds.meter())
    chunks = resample_stream(passage.blocks(), passage.sample_rate, sample_rate)
    yield from consecutive_excerpts(chunks, sample_rate, excerpt_seconds)
    return replace(_checked(passage.length), is_silent=True)  # if its excerpts are


def _spread(
    source: AudioSource, sample_rate: int, excerpt_seconds: float, n_excerpts: int, bounds: _Bounds
) -> Generator[Excerpt, None, TrackLength]:
    file = look_at(source)
    held: list[Excerpt] = []
    is_audible = False
    planned = ExcerptStream(_planned(file, sample_rate, excerpt_seconds, n_excerpts, bounds))
    for excerpt in planned:
        if not is_audible and is_silent(excerpt.waveform):
            held.append(excerpt if len(held) < MAX_HELD else _emptied(excerpt))
            continue
        if not is_audible:
            is_audible = True
            yield from held
        yield excerpt
    if is_audible:
        return planned.length
    # Silent where it was sampled, perhaps not elsewhere.
    elsewhere = ExcerptStream(_audible(file, sample_rate, excerpt_seconds, n_excerpts, bounds))
    for excerpt in elsewhere:
        if not is_silent(excerpt.waveform):  # as noise above the range of the new sample rate is
            is_audible = True
            yield excerpt
    if not is_audible:
        yield from held
    return replace(planned.length, is_silent=elsewhere.length.is_silent)


def _emptied(excerpt: Excerpt) -> Excerpt:
    """Return a silent excerpt that takes no memory."""
    return Excerpt(excerpt.start_seconds, np.broadcast_to(np.float32(0), excerpt.waveform.shape))


def _planned(
    file: AudioFile, sample_rate: int, excerpt_seconds: float, n_excerpts: int, bounds: _Bounds
) -> Generator[Excerpt, None, TrackLength]:
    """Yield evenly spread excerpts: by seeking if the length that the file names holds, else by reading all of it."""
    with closing(next(readers(file))) as reader:
        duration = reader.duration_seconds or 0.0
        if math.isfinite(duration) and duration > 0:
            plan, meter = plan_excerpts(duration, excerpt_seconds, n_excerpts), bounds.meter()
            # The last one first: it is there only if the header tells the truth.
            last = _sought(reader, *plan[-1], meter)
            is_there = last.size >= HONEST_SHARE * (plan[-1][1] - plan[-1][0]) * reader.sample_rate
            if is_there and (reader.is_exact or _ends_at(reader, duration, meter)):
                for start, end in plan[:-1]:
                    waveform = _sought(reader, start, end, meter)
                    if waveform.size >= MIN_EXCERPT_SECONDS * reader.sample_rate:
                        yield Excerpt(start, resample(waveform, reader.sample_rate, sample_rate))
                yield Excerpt(plan[-1][0], resample(last, reader.sample_rate, sample_rate))
                return _length(duration, file.structure.announced_seconds)
    # Decoders may not recover from a seek past the end, so the file is opened again, to measure it and to pick.
    measured = _Passage(file, bounds.meter())
    for _ in measured.blocks():
        pass
    length = _checked(measured.length)
    plan = plan_excerpts(length.duration_seconds, excerpt_seconds, n_excerpts)
    yield from _picked_in_passing(_Passage(file, bounds.meter()), plan, sample_rate)
    return length


def _audible(
    file: AudioFile, sample_rate: int, excerpt_seconds: float, n_excerpts: int, bounds: _Bounds
) -> Generator[Excerpt, None, TrackLength]:
    """Yield excerpts from where a track has sound, spread over that, if it has any in its first hour."""
    limits = replace(bounds.limits, max_seconds=min(bounds.limits.max_seconds, SEARCHED_SECONDS))
    searched = _Passage(file, Meter(limits, bounds.stop))
    seconds = AudibleSeconds(searched.sample_rate)
    is_searched = True
    try:
        for block in searched.blocks():
            seconds.add(block)
    except AudioLimitError:
        is_searched = False
    duration = min(searched.length.duration_seconds, limits.max_seconds)
    plan = seconds.plan(duration, excerpt_seconds, n_excerpts)
    with closing(next(readers(file))) as reader:
        if reader.is_exact and reader.duration_seconds is not None:
            meter = bounds.meter()
            for start, end in plan:
                waveform = _sought(reader, start, end, meter)
                if waveform.size:
                    yield Excerpt(start, resample(waveform, reader.sample_rate, sample_rate))
        elif plan:
            yield from _picked_in_passing(_Passage(file, bounds.meter()), plan, sample_rate)
    return TrackLength(duration, is_silent=is_searched)


def _ends_at(reader: AudioReader, seconds: float, meter: Meter) -> bool:
    """Tell whether there is sound until `seconds`, and none behind."""
    start = max(0.0, seconds - END_SECONDS)
    found = _sought(reader, start, seconds + END_SECONDS, meter).size / reader.sample_rate
    return abs(found - (seconds - start)) <= MISSING_SECONDS


def _sought(reader: AudioReader, start: float, end: float, meter: Meter) -> FloatArray:
    """Mono samples from `start` to `end` seconds at the reader's own rate, fewer where there are none."""
    n_wanted = max(1, round((end - start) * reader.sample_rate))
    return _joined(_read(reader, start, n_wanted, meter))[:n_wanted]


def _picked_in_passing(passage: _Passage, plan: list[tuple[float, float]], sample_rate: int) -> Iterator[Excerpt]:
    """Excerpts cut out while the whole file goes by."""
    rate = passage.sample_rate
    waiting = [(round(start * rate), round(end * rate), start) for start, end in plan]
    pieces: list[FloatArray] = []
    first = 0  # number of the sample that `pieces` begin with
    with closing(passage.blocks()) as blocks:
        for block in blocks:
            pieces.append(block)
            while waiting and waiting[0][1] <= passage.n_samples:
                pieces = [_joined(pieces)]
                begin, end, start = waiting.pop(0)
                yield Excerpt(start, resample(pieces[0][begin - first : end - first], rate, sample_rate))
            if not waiting:
                return
            while pieces and first + pieces[0].size <= waiting[0][0]:
                first += pieces.pop(0).size
    for begin, end, start in waiting:  # the second time a little less may come out
        rest = _joined(pieces)[max(0, begin - first) : end - first]
        if rest.size:
            yield Excerpt(start, resample(rest, rate, sample_rate))


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
