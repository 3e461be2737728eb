"""Decode audio files into mono float32 waveforms: whole files, or excerpts found by seeking.

libsndfile is tried first (WAV, FLAC, AIFF, Ogg, Opus, MP3, ...), then PyAV for other formats (M4A, AAC, ALAC, WMA, APE,
WebM), then the ffmpeg program, if installed, for FLAC files that both reject. Waveforms are resampled by soxr.

The length in a header is a claim. It is used if the file's structure confirms it (`genre_runtime.audio.structure`) or
if the audio ends there; otherwise the whole file is decoded to measure it.

The container is known from the file's first bytes and never guessed by FFmpeg, so a playlist cannot make FFmpeg open
other files or addresses.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Iterable, Iterator
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
from genre_runtime.audio.readers import AudioReader, open_readers
from genre_runtime.audio.source import AudioFile, AudioSource, DecodeBudget, DecodeLimits, probe
from genre_runtime.audio.waveform import AudibleSeconds, is_silent, mono, resample, resample_stream
from genre_runtime.errors import AudioLimitError, EmptyAudioError, UnreadableAudioError

MIN_FOUND_SHARE = 0.9
"""If a seek finds less than this share of an excerpt, the length in the header is wrong."""

END_SECONDS = 1.0
"""Length of the end of a file that is decoded if only the header tells its length."""

MISSING_SECONDS, MISSING_SHARE = 0.5, 0.01
"""A file is incomplete if more than this of the announced length cannot be decoded; encoders pad by less."""

SEARCHED_SECONDS = 3600.0
"""Length of a track that is searched for audible parts if its excerpts are silent."""

MAX_HELD_EXCERPTS = 32
"""Most silent excerpts kept in memory until an audible one is found."""


def stream_excerpts(
    source: AudioSource,
    sample_rate: int,
    *,
    excerpt_seconds: float,
    n_excerpts: int | None,
    limits: DecodeLimits | None = None,
    stop: Event | None = None,
) -> ExcerptStream:
    """Decode excerpts of a file one after the other, with about one of them in memory.

    Parameters
    ----------
    source : path, bytes or seekable binary file object
    sample_rate : int
        Rate of the waveforms, Hz.
    excerpt_seconds : float
    n_excerpts : int or None
        Most excerpts, evenly spread; None for consecutive excerpts of the whole track.
    limits : DecodeLimits, optional
    stop : threading.Event, optional
        Stops decoding within one block when set from another thread.

    Returns
    -------
    ExcerptStream
        At least one excerpt of at most `excerpt_seconds`, then the length of the track. If all planned excerpts are
        silent, audible ones are taken instead, if there are any. Iterating raises the errors of `decode_excerpts`.
    """
    check_count(n_excerpts)
    budget = DecodeBudget(limits or DecodeLimits(), stop)
    if n_excerpts is None:
        return ExcerptStream(_whole_track(source, sample_rate, excerpt_seconds, budget))
    return ExcerptStream(_SpreadExcerpts(source, sample_rate, excerpt_seconds, n_excerpts, budget).stream())


def decode_excerpts(
    source: AudioSource,
    sample_rate: int,
    *,
    excerpt_seconds: float,
    n_excerpts: int | None,
    limits: DecodeLimits | None = None,
) -> tuple[list[Excerpt], float]:
    """Decode all excerpts that `stream_excerpts` yields.

    Parameters
    ----------
    source, sample_rate, excerpt_seconds, n_excerpts, limits
        As of `stream_excerpts`.

    Returns
    -------
    excerpts : list of Excerpt
    duration_seconds : float
        Of the track.

    Raises
    ------
    AudioNotFoundError, EmptyAudioError, UnreadableAudioError, AudioLimitError
    """
    stream = stream_excerpts(source, sample_rate, excerpt_seconds=excerpt_seconds, n_excerpts=n_excerpts, limits=limits)
    return list(stream), stream.length.duration_seconds


def decode(source: AudioSource, sample_rate: int, *, limits: DecodeLimits | None = None) -> FloatArray:
    """Decode a whole file.

    Parameters
    ----------
    source : path, bytes or seekable binary file object
    sample_rate : int
        Rate of the waveform, Hz.
    limits : DecodeLimits, optional

    Returns
    -------
    ndarray of shape (n_samples,)
        Mono, float32.

    Raises
    ------
    AudioNotFoundError, EmptyAudioError, UnreadableAudioError, AudioLimitError
    """
    decoder = _FullDecoder(probe(source), DecodeBudget(limits or DecodeLimits()))
    waveform = _concatenate(decoder.blocks())
    if waveform.size == 0:
        raise _no_samples()
    return resample(waveform, decoder.sample_rate, sample_rate)


class _FullDecoder:
    """Decodes a file once from beginning to end.

    If a reader ends noticeably before the announced length, the next reader continues there.
    """

    def __init__(self, file: AudioFile, budget: DecodeBudget) -> None:
        self._budget = budget
        self._readers = open_readers(file)
        self._first = next(self._readers)
        self.sample_rate = self._first.sample_rate
        self.announced_seconds = file.structure.announced_seconds or self._first.duration_seconds

    @property
    def n_samples(self) -> int:
        """Samples per channel decoded so far."""
        return self._budget.n_samples

    @property
    def length(self) -> TrackLength:
        """Length of the track; valid after the last block."""
        return _length(self.n_samples / self.sample_rate, self.announced_seconds)

    def blocks(self) -> Generator[FloatArray, None, None]:
        """Yield mono blocks, shape (n_block,), and close each reader.

        Raises
        ------
        UnreadableAudioError
            No reader decodes any sample.
        """
        reader: AudioReader | None = self._first
        refused: UnreadableAudioError | None = None
        while reader is not None:
            with closing(reader):
                if reader.sample_rate == self.sample_rate or not self.n_samples:
                    self.sample_rate = reader.sample_rate
                    try:
                        yield from _read(reader, self.length.duration_seconds, math.inf, self._budget)
                    except UnreadableAudioError as error:
                        refused = refused or error
            if self.n_samples and self.length.announced_seconds is None:
                return
            reader = next(self._readers, None)
        if refused is not None and not self.n_samples:
            raise refused


def _length(seconds: float, announced: float | None) -> TrackLength:
    """Return a length, with the announced length if that is noticeably longer."""
    if announced is None or not math.isfinite(announced):
        return TrackLength(seconds)
    is_complete = announced - seconds <= MISSING_SECONDS + MISSING_SHARE * announced
    return TrackLength(seconds, None if is_complete else announced)


def _checked(length: TrackLength) -> TrackLength:
    """Raise if a track has no audio, or so little of a longer track that it may be decoder noise."""
    if not length.duration_seconds:
        raise _no_samples()
    if length.announced_seconds is not None and length.duration_seconds < MIN_EXCERPT_SECONDS:
        raise UnreadableAudioError(
            f"only {length.duration_seconds:.2f} of {length.announced_seconds:.1f} s could be read: the file is damaged"
        )
    return length


def _whole_track(
    source: AudioSource, sample_rate: int, excerpt_seconds: float, budget: DecodeBudget
) -> Generator[Excerpt, None, TrackLength]:
    decoder = _FullDecoder(probe(source), budget)
    chunks = resample_stream(decoder.blocks(), decoder.sample_rate, sample_rate)
    for excerpt in consecutive_excerpts(chunks, sample_rate, excerpt_seconds):
        yield replace(excerpt, track_seconds=decoder.announced_seconds)
    return replace(_checked(decoder.length), is_silent=True)  # all of it was decoded


@dataclass(frozen=True)
class _SpreadExcerpts:
    """Decodes evenly spread excerpts."""

    source: AudioSource
    sample_rate: int
    excerpt_seconds: float
    n_excerpts: int
    budget: DecodeBudget

    def stream(self) -> Generator[Excerpt, None, TrackLength]:
        """Yield the planned excerpts, or audible ones if all of those are silent."""
        file = probe(self.source)
        held: list[Excerpt] = []
        is_audible = False
        planned = ExcerptStream(self._planned(file))
        for excerpt in planned:
            if not is_audible and is_silent(excerpt.waveform):
                held.append(excerpt if len(held) < MAX_HELD_EXCERPTS else _without_memory(excerpt))
                continue
            if not is_audible:
                is_audible = True
                yield from held
            yield excerpt
        if is_audible:
            return planned.length
        elsewhere = ExcerptStream(self._audible(file))
        for excerpt in elsewhere:
            if not is_silent(excerpt.waveform):  # noise above the new Nyquist frequency becomes silent
                is_audible = True
                yield excerpt
        if not is_audible:
            yield from held
        return replace(planned.length, is_silent=elsewhere.length.is_silent)

    def _planned(self, file: AudioFile) -> Generator[Excerpt, None, TrackLength]:
        """Yield evenly spread excerpts: by seeking if the length in the header is correct, else by reading all."""
        with closing(next(open_readers(file))) as reader:
            duration = reader.duration_seconds or 0.0
            if math.isfinite(duration) and duration > 0:
                *plan, (start, end) = plan_excerpts(duration, self.excerpt_seconds, self.n_excerpts)
                budget = self.budget.renewed()
                # The last excerpt first: it exists only if the header is correct.
                last = _decode_range(reader, start, end, budget)
                is_there = last.size >= MIN_FOUND_SHARE * (end - start) * reader.sample_rate
                if is_there and (reader.is_exact or _ends_at(reader, duration, budget)):
                    yield from self._seek(reader, plan, budget, MIN_EXCERPT_SECONDS * reader.sample_rate)
                    yield Excerpt(start, resample(last, reader.sample_rate, self.sample_rate))
                    return _length(duration, file.structure.announced_seconds)
        # Decoders may not recover from a seek past the end, so the file is opened again, to measure it and to cut it.
        measured = _FullDecoder(file, self.budget.renewed())
        for _ in measured.blocks():
            pass
        length = _checked(measured.length)
        yield from self._cut(file, plan_excerpts(length.duration_seconds, self.excerpt_seconds, self.n_excerpts))
        return length

    def _audible(self, file: AudioFile) -> Generator[Excerpt, None, TrackLength]:
        """Yield excerpts spread over the audible seconds of the first hour."""
        limits = self.budget.limits
        limits = replace(limits, max_seconds=min(limits.max_seconds, SEARCHED_SECONDS))
        searched = _FullDecoder(file, DecodeBudget(limits, self.budget.stop))
        seconds = AudibleSeconds(searched.sample_rate)
        is_complete = True
        try:
            for block in searched.blocks():
                seconds.add(block)
        except AudioLimitError:
            is_complete = False
        duration = min(searched.length.duration_seconds, limits.max_seconds)
        plan = seconds.plan(duration, self.excerpt_seconds, self.n_excerpts)
        with closing(next(open_readers(file))) as reader:
            if reader.is_exact and reader.duration_seconds is not None:
                yield from self._seek(reader, plan, self.budget.renewed(), 1)
            elif plan:
                yield from self._cut(file, plan)
        return TrackLength(duration, is_silent=is_complete)

    def _seek(
        self, reader: AudioReader, plan: list[tuple[float, float]], budget: DecodeBudget, n_least: float
    ) -> Iterator[Excerpt]:
        """Yield planned excerpts that have at least `n_least` samples, found by seeking."""
        for start, end in plan:
            waveform = _decode_range(reader, start, end, budget)
            if waveform.size >= n_least:
                yield Excerpt(start, resample(waveform, reader.sample_rate, self.sample_rate))

    def _cut(self, file: AudioFile, plan: list[tuple[float, float]]) -> Iterator[Excerpt]:
        """Yield planned excerpts while the whole file is decoded."""
        decoder = _FullDecoder(file, self.budget.renewed())
        rate = decoder.sample_rate
        waiting = [(round(start * rate), round(end * rate), start) for start, end in plan]
        pieces: list[FloatArray] = []
        first = 0  # number of the first sample in `pieces`
        with closing(decoder.blocks()) as blocks:
            for block in blocks:
                pieces.append(block)
                while waiting and waiting[0][1] <= decoder.n_samples:
                    pieces = [_concatenate(pieces)]
                    begin, end, start = waiting.pop(0)
                    yield Excerpt(start, resample(pieces[0][begin - first : end - first], rate, self.sample_rate))
                if not waiting:
                    return
                while pieces and first + pieces[0].size <= waiting[0][0]:
                    first += pieces.pop(0).size
        for begin, end, start in waiting:  # a second decoding may give slightly fewer samples
            rest = _concatenate(pieces)[max(0, begin - first) : end - first]
            if rest.size:
                yield Excerpt(start, resample(rest, rate, self.sample_rate))


def _without_memory(excerpt: Excerpt) -> Excerpt:
    """Return a silent excerpt whose samples share one zero."""
    return replace(excerpt, waveform=np.broadcast_to(np.float32(0), excerpt.waveform.shape))


def _ends_at(reader: AudioReader, seconds: float, budget: DecodeBudget) -> bool:
    """Tell whether the audio ends at `seconds`."""
    start = max(0.0, seconds - END_SECONDS)
    found = _decode_range(reader, start, seconds + END_SECONDS, budget).size / reader.sample_rate
    return abs(found - (seconds - start)) <= MISSING_SECONDS


def _decode_range(reader: AudioReader, start: float, end: float, budget: DecodeBudget) -> FloatArray:
    """Return mono samples between two times in seconds, at the reader's rate; fewer at the end of the file."""
    n_wanted = max(1, round((end - start) * reader.sample_rate))
    return _concatenate(_read(reader, start, n_wanted, budget))[:n_wanted]


def _read(reader: AudioReader, start_seconds: float, n_samples: float, budget: DecodeBudget) -> Iterator[FloatArray]:
    """Yield mono blocks, shape (n_block,)."""
    for block in reader.blocks(start_seconds, n_samples):
        budget.spend(block, reader.sample_rate)
        yield mono(block)


def _concatenate(pieces: Iterable[FloatArray]) -> FloatArray:
    return np.concatenate([np.zeros(0, np.float32), *pieces])


def _no_samples() -> EmptyAudioError:
    return EmptyAudioError("the file holds no audio samples: expected at least one")
