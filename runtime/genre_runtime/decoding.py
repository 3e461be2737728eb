"""The one function family through which every entry point decodes audio.

libsndfile reads first (WAV, FLAC, AIFF, Ogg, Opus, MP3, ...), PyAV what it cannot (M4A, AAC, ALAC, WMA,
APE, WebM). Only the excerpts asked for are decoded, by seeking. Samples come out mono, the mean of
the channels, float32, resampled by soxr.

The container handed to PyAV is decided here from the file's first bytes, never guessed by FFmpeg:
a playlist can therefore not make it open other files or addresses.
"""

from __future__ import annotations

import math
import stat
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from genre_runtime.containers import may_be_audio, not_audio, read_head
from genre_runtime.errors import (
    AudioLimitError,
    AudioNotFoundError,
    EmptyAudioError,
    InvalidInputError,
    UnreadableAudioError,
)
from genre_runtime.excerpts import plan_excerpts

FloatArray = NDArray[np.float32]

MIN_EXCERPT_SECONDS = 0.5
"""A shorter rest at the end of a track is left out, unless it is all there is."""

MAX_LEVEL = 1e12
"""Louder samples are damage, as NaN is. Full scale is 1, or 2**31 in a file of unscaled integers; the squares of
a spectrum of much more would overflow float32."""


@dataclass(frozen=True)
class DecodeLimits:
    """Bounds that hold while decoding, whatever a header says.

    Attributes
    ----------
    max_seconds : float
        Most seconds decoded from one file.
    max_bytes : int
        Most bytes of float32 samples, over all channels, decoded from one file.
    """

    max_seconds: float = 24 * 3600.0
    max_bytes: int = 64 * 2**30


@dataclass(frozen=True)
class Excerpt:
    """A stretch of a track: `waveform` is mono float32 at the rate asked for, shape (n_samples,)."""

    start_seconds: float
    waveform: FloatArray


class AudioReader(Protocol):
    """An open file that yields its samples from any second on."""

    sample_rate: int
    n_channels: int
    duration_seconds: float | None

    def blocks(self, start_seconds: float, n_samples: float) -> Iterator[FloatArray]:
        """Yield blocks of shape (n_block, n_channels) from `start_seconds` on, about `n_samples` in all."""
        ...

    def close(self) -> None:
        """Close the file."""
        ...


class _Meter:
    """Counts what was decoded from one file and stops at the limits."""

    def __init__(self, limits: DecodeLimits) -> None:
        self.limits = limits
        self.seconds = 0.0
        self.bytes = 0

    def add(self, block: FloatArray, sample_rate: int) -> None:
        self.seconds += block.shape[0] / sample_rate
        self.bytes += block.nbytes
        if self.seconds > self.limits.max_seconds:
            raise AudioLimitError(
                f"the file decodes to more than {self.limits.max_seconds:g} s: shorten it or raise max_seconds",
                "max_seconds",
            )
        if self.bytes > self.limits.max_bytes:
            raise AudioLimitError(
                f"the file decodes to more than {self.limits.max_bytes} bytes: raise max_bytes to allow it",
                "max_bytes",
            )


def open_audio(path: Path | str) -> AudioReader:
    """Open an audio file with the first decoder that reads it.

    Raises
    ------
    AudioNotFoundError
        No file at the path.
    EmptyAudioError
        The file has no bytes.
    UnreadableAudioError
        A folder, a device, no permission, or not audio.
    """
    path = Path(path)
    head = _head_of_regular_file(path)
    if not may_be_audio(head):
        raise not_audio(head)
    import soundfile

    from genre_runtime.soundfile_reader import SoundFileReader

    try:
        return SoundFileReader(path)
    except (soundfile.SoundFileError, TypeError):  # TypeError: by its name it was taken for headerless
        from genre_runtime.pyav_reader import PyAvReader

        return PyAvReader(path)


def _head_of_regular_file(path: Path) -> bytes:
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise AudioNotFoundError(path) from error
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise UnreadableAudioError(f"the path cannot be looked up: {why}") from error
    if not stat.S_ISREG(status.st_mode):
        kind = "a folder" if stat.S_ISDIR(status.st_mode) else "no regular file"
        raise UnreadableAudioError(f"the path is {kind}: expected an audio file")
    if status.st_size == 0:
        raise EmptyAudioError("the file is empty (0 bytes): expected audio")
    try:
        return read_head(path)
    except OSError as error:
        raise UnreadableAudioError(f"the file cannot be opened: {error.strerror}") from error


def decode_excerpts(
    path: Path | str,
    sample_rate: int,
    *,
    excerpt_seconds: float,
    n_excerpts: int | None,
    limits: DecodeLimits | None = None,
) -> tuple[list[Excerpt], float]:
    """Decode evenly spread excerpts of a file.

    Parameters
    ----------
    path : path
    sample_rate : int
        Rate of the returned waveforms, Hz.
    excerpt_seconds : float
    n_excerpts : int or None
        Most excerpts to take; None takes the whole track, excerpt after excerpt.
    limits : DecodeLimits, optional

    Returns
    -------
    list of Excerpt
        At least one, each at most `excerpt_seconds` long.
    float
        Duration of the track, seconds.

    Raises
    ------
    AudioNotFoundError, EmptyAudioError, UnreadableAudioError, AudioLimitError
    """
    limits = limits or DecodeLimits()
    with closing(open_audio(path)) as reader:
        duration = reader.duration_seconds or 0.0
        if math.isfinite(duration) and duration > 0:
            meter = _Meter(limits)
            excerpts = []
            for start, end in plan_excerpts(duration, excerpt_seconds, n_excerpts):
                waveform = _read(reader, start, end - start, meter)
                if waveform.size >= MIN_EXCERPT_SECONDS * reader.sample_rate:
                    excerpts.append(Excerpt(start, resample(waveform, reader.sample_rate, sample_rate)))
            if excerpts:
                return excerpts, duration
    # The header names no length, or far more than there is, or less than the smallest excerpt: take what is there.
    with closing(open_audio(path)) as reader:  # opened again: decoders may not recover from a seek past the end
        waveform = _read(reader, 0.0, math.inf, _Meter(limits))
        return _cut(waveform, reader.sample_rate, sample_rate, excerpt_seconds, n_excerpts)


def decode(path: Path | str, sample_rate: int, *, limits: DecodeLimits | None = None) -> FloatArray:
    """Decode a whole file: mono float32 at `sample_rate`, shape (n_samples,).

    Raises
    ------
    AudioNotFoundError, EmptyAudioError, UnreadableAudioError, AudioLimitError
    """
    with closing(open_audio(path)) as reader:
        waveform = _read(reader, 0.0, math.inf, _Meter(limits or DecodeLimits()))
        if waveform.size == 0:
            raise EmptyAudioError("the file holds no audio samples: expected at least one")
        return resample(waveform, reader.sample_rate, sample_rate)


def excerpts_of_waveform(
    waveform: NDArray[Any], rate: int, sample_rate: int, *, excerpt_seconds: float, n_excerpts: int | None
) -> tuple[list[Excerpt], float]:
    """Cut the same excerpts from samples in memory, shape (n_samples,) or (n_samples, n_channels).

    Raises
    ------
    InvalidInputError, EmptyAudioError
    """
    if waveform.ndim not in (1, 2):
        raise InvalidInputError(
            f"waveform has shape {waveform.shape}: expected (n_samples,) or (n_samples, n_channels)"
        )
    if not np.issubdtype(waveform.dtype, np.floating):
        raise InvalidInputError(f"waveform has dtype {waveform.dtype}: expected floats in [-1, 1]")
    if isinstance(rate, bool) or not isinstance(rate, int | np.integer) or rate < 1:
        raise InvalidInputError(f"sample_rate is {rate!r}: expected a positive integer, Hz")
    if waveform.size == 0:
        raise EmptyAudioError("the waveform has no samples: expected at least one")
    if waveform.ndim == 2 and waveform.shape[1] > waveform.shape[0]:
        raise InvalidInputError(
            f"waveform has shape {waveform.shape}, more channels than samples: transpose it to (n_samples, n_channels)"
        )
    with np.errstate(over="ignore"):  # what is too large for float32 becomes infinite
        samples = waveform.reshape(waveform.shape[0], -1).astype(np.float32, copy=False)
    if not np.isfinite(samples).all():
        raise InvalidInputError("waveform holds NaN or infinite samples: expected floats in [-1, 1]")
    return _cut(_mono(samples), int(rate), sample_rate, excerpt_seconds, n_excerpts)


def resample(waveform: FloatArray, rate: int, sample_rate: int) -> FloatArray:
    """Resample mono float32 samples from `rate` to `sample_rate` (Hz) with soxr's HQ recipe."""
    if rate == sample_rate:
        return waveform
    import soxr

    resampled: FloatArray = soxr.resample(waveform, rate, sample_rate, quality="HQ")
    # A file of a few samples may resample to nothing; one zero keeps it a (silent) clip.
    return resampled if resampled.size else np.zeros(1, np.float32)


def _cut(
    waveform: FloatArray, rate: int, sample_rate: int, excerpt_seconds: float, n_excerpts: int | None
) -> tuple[list[Excerpt], float]:
    if waveform.size == 0:
        raise EmptyAudioError("the file holds no audio samples: expected at least one")
    duration = waveform.size / rate
    excerpts: list[Excerpt] = []
    for start, end in plan_excerpts(duration, excerpt_seconds, n_excerpts):
        piece = waveform[round(start * rate) : round(end * rate)]
        if piece.size >= MIN_EXCERPT_SECONDS * rate or not excerpts:
            excerpts.append(Excerpt(start, resample(piece, rate, sample_rate)))
    return excerpts, duration


def _read(reader: AudioReader, start: float, seconds: float, meter: _Meter) -> FloatArray:
    wanted = math.inf if math.isinf(seconds) else max(1, round(seconds * reader.sample_rate))
    pieces: list[FloatArray] = []
    for block in reader.blocks(start, wanted):
        meter.add(block, reader.sample_rate)
        pieces.append(_mono(block))
    waveform = np.concatenate(pieces) if pieces else np.zeros(0, np.float32)
    return waveform if math.isinf(wanted) else waveform[: int(wanted)]


def _mono(block: FloatArray) -> FloatArray:
    """Mean of the channels, shape (n_block,), a new array.

    A broken float file may hold NaN, infinities or absurd numbers: those samples become silence.
    """
    sound = np.where(np.abs(block) <= MAX_LEVEL, block, np.float32(0))
    return sound[:, 0] if sound.shape[1] == 1 else sound.mean(axis=1, dtype=np.float32)
