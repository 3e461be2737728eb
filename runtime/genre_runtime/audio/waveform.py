"""Waveforms in memory: silence detection, mixing to mono, resampling, and cutting into excerpts."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genre_runtime.audio.excerpts import (
    MIN_EXCERPT_SECONDS,
    Excerpt,
    FloatArray,
    check_count,
    consecutive_excerpts,
    plan_excerpts,
)
from genre_runtime.audio.source import MAX_SAMPLE_RATE
from genre_runtime.errors import EmptyAudioError, InvalidInputError

SILENCE_PEAK = 1e-3
"""A waveform within this (-60 dB of full scale) of a constant is silent; a DC offset is inaudible."""


def is_silent(waveform: FloatArray) -> bool:
    """Tell whether a waveform is silent.

    Parameters
    ----------
    waveform : ndarray of shape (n_samples,)
    """
    return bool(np.ptp(waveform) < 2 * SILENCE_PEAK) if waveform.size else True


class AudibleSeconds:
    """Finds the audible seconds of a track from its consecutive blocks.

    Parameters
    ----------
    sample_rate : int
        Of the blocks, Hz.
    """

    def __init__(self, sample_rate: int) -> None:
        self._sample_rate = sample_rate
        self._audible: list[bool] = []
        self._lowest, self._highest = math.inf, -math.inf
        self._n_samples = 0

    def add(self, block: FloatArray) -> None:
        """Add the next samples.

        Parameters
        ----------
        block : ndarray of shape (n_block,)
        """
        at = 0
        while at < block.size:
            piece = block[at : at + self._sample_rate - self._n_samples]
            self._lowest = min(self._lowest, float(piece.min()))
            self._highest = max(self._highest, float(piece.max()))
            self._n_samples += piece.size
            at += piece.size
            if self._n_samples == self._sample_rate:
                self._close_second()

    def _close_second(self) -> None:
        self._audible.append(self._highest - self._lowest >= 2 * SILENCE_PEAK)
        self._lowest, self._highest, self._n_samples = math.inf, -math.inf, 0

    def plan(self, duration_seconds: float, excerpt_seconds: float, n_excerpts: int) -> list[tuple[float, float]]:
        """Plan excerpts that are spread over the audible seconds.

        Parameters
        ----------
        duration_seconds : float
            Of the track.
        excerpt_seconds : float
        n_excerpts : int
            Most excerpts.

        Returns
        -------
        list of (float, float)
            Start and end of each excerpt in seconds, overlapping by at most half; empty if the track is silent.
        """
        if self._n_samples:
            self._close_second()
        audible = np.flatnonzero(self._audible)
        if not audible.size:
            return []
        latest = max(0.0, duration_seconds - excerpt_seconds)
        excerpts: list[tuple[float, float]] = []
        for start, _ in plan_excerpts(float(audible.size), excerpt_seconds, n_excerpts):
            begin = min(float(audible[int(start)]), latest)
            if not excerpts or begin - excerpts[-1][0] >= excerpt_seconds / 2:
                excerpts.append((begin, min(begin + excerpt_seconds, duration_seconds)))
        return excerpts


MAX_LEVEL = 1e12
"""Louder samples are damaged. Full scale is 1, or 2**31 in a file of unscaled integers; the squared spectrum of much
louder samples would overflow float32."""

QUALITY = "HQ"

SEGMENT_SAMPLES, LEVEL_STRIDE = 4096, 16
"""Length of a segment that is checked for cancelling channels, and the step between the samples used for it."""

CANCELLED, NEARLY_CANCELLED = 0.02, 0.2
"""A mix with less than this share (-17 dB) of the power that unrelated channels would give is cancelled; if a quarter
of the segments of a block are cancelled, so are those below -7 dB."""


def mono(block: FloatArray) -> FloatArray:
    """Mix channels to mono.

    Where channels cancel each other, as a stereo pair with one inverted channel does, a loud channel is returned
    instead of their mean. NaN, infinite and extremely large samples become 0.

    Parameters
    ----------
    block : ndarray of shape (n_block, n_channels)
        Float32.

    Returns
    -------
    ndarray of shape (n_block,)
        A new array.
    """
    if block.size and not (block.max() <= MAX_LEVEL and block.min() >= -MAX_LEVEL):  # also true for NaN
        block = np.where(np.abs(block) <= MAX_LEVEL, block, np.float32(0))
    n_channels = block.shape[1]
    if n_channels == 1:
        return block[:, 0].copy()
    # A matrix product, because NumPy's mean over such a short axis takes thirty times as long.
    mixed: FloatArray = block @ np.full(n_channels, 1 / n_channels, np.float32)
    n_segments = -(-block.shape[0] // SEGMENT_SAMPLES)
    powers = _powers(block, n_segments)
    mixed_powers, unrelated = _powers(mixed[:, None], n_segments)[:, 0], powers.sum(axis=1) / n_channels**2
    cancelled = mixed_powers < CANCELLED * unrelated
    if cancelled.sum() >= n_segments / 4:  # the remaining segments hold coding noise
        cancelled = mixed_powers < NEARLY_CANCELLED * unrelated
    if cancelled.any():
        totals = powers[cancelled].sum(axis=0)
        # The first of several loud channels, so that noise does not switch between them.
        loud = int((totals >= totals.max() / 2).argmax())
        for segment in np.flatnonzero(cancelled):
            part = slice(segment * SEGMENT_SAMPLES, (segment + 1) * SEGMENT_SAMPLES)
            mixed[part] = block[part, loud]
    return mixed


def _powers(block: FloatArray, n_segments: int) -> NDArray[np.float64]:
    """Estimate the variance of each channel of (n_block, n_channels) in segments, shape (n_segments, n_channels)."""
    sample = block[::LEVEL_STRIDE].astype(np.float64)
    begins = np.arange(n_segments) * (SEGMENT_SAMPLES // LEVEL_STRIDE)
    counts = np.diff(begins, append=sample.shape[0])[:, None]
    squares: NDArray[np.float64] = np.add.reduceat(sample**2, begins) / counts
    means: NDArray[np.float64] = np.add.reduceat(sample, begins) / counts
    return squares - means**2


def resample(waveform: FloatArray, rate: int, sample_rate: int) -> FloatArray:
    """Resample a waveform with soxr.

    Parameters
    ----------
    waveform : ndarray of shape (n_samples,)
        Mono, float32.
    rate, sample_rate : int
        Rate of the waveform and rate to resample to, Hz.
    """
    if rate == sample_rate:
        return waveform
    import soxr

    resampled: FloatArray = soxr.resample(waveform, rate, sample_rate, quality=QUALITY)
    # A few samples may resample to none; one zero keeps the waveform valid, but silent.
    return resampled if resampled.size else np.zeros(1, np.float32)


def resample_stream(chunks: Iterable[FloatArray], rate: int, sample_rate: int) -> Iterator[FloatArray]:
    """Resample a waveform that arrives in chunks, with the same result as `resample`.

    Parameters
    ----------
    chunks : iterable of ndarray of shape (n_chunk,)
        Mono, float32, of any size.
    rate, sample_rate : int
        Rate of the chunks and rate to resample to, Hz.
    """
    if rate == sample_rate:
        yield from chunks
        return
    import soxr

    stream = soxr.ResampleStream(rate, sample_rate, 1, dtype="float32", quality=QUALITY)
    n_given = n_made = 0
    for chunk in chunks:
        n_given += chunk.size
        made = stream.resample_chunk(chunk)
        n_made += made.size
        yield made
    rest = stream.resample_chunk(np.zeros(0, np.float32), last=True)
    yield rest if n_made + rest.size or not n_given else np.zeros(1, np.float32)


def excerpts_of_waveform(
    waveform: NDArray[Any], rate: int, sample_rate: int, *, excerpt_seconds: float, n_excerpts: int | None
) -> tuple[list[Excerpt], float]:
    """Cut the same excerpts from samples in memory as from a file.

    Parameters
    ----------
    waveform : ndarray of shape (n_samples,) or (n_samples, n_channels)
        Floats in [-1, 1].
    rate : int
        Of the waveform, Hz.
    sample_rate : int
        Of the excerpts, Hz.
    excerpt_seconds : float
    n_excerpts : int or None
        Most excerpts, evenly spread; None for consecutive excerpts of the whole waveform.

    Returns
    -------
    excerpts : list of Excerpt
    duration_seconds : float

    Raises
    ------
    InvalidInputError, EmptyAudioError
    """
    samples, rate = mono(_as_channels(waveform, rate)), int(rate)
    check_count(n_excerpts)
    duration = samples.size / rate
    if n_excerpts is None:
        whole = resample(samples, rate, sample_rate)
        return list(consecutive_excerpts([whole], sample_rate, excerpt_seconds)), duration
    excerpts = _cut(samples, rate, sample_rate, plan_excerpts(duration, excerpt_seconds, n_excerpts))
    if all(is_silent(excerpt.waveform) for excerpt in excerpts):  # search all of it for audible parts
        seconds = AudibleSeconds(rate)
        seconds.add(samples)
        excerpts = _cut(samples, rate, sample_rate, seconds.plan(duration, excerpt_seconds, n_excerpts)) or excerpts
    return excerpts, duration


def _cut(waveform: FloatArray, rate: int, sample_rate: int, plan: list[tuple[float, float]]) -> list[Excerpt]:
    excerpts: list[Excerpt] = []
    for start, end in plan:
        piece = waveform[round(start * rate) : round(end * rate)]
        if piece.size >= MIN_EXCERPT_SECONDS * rate or not excerpts:
            excerpts.append(Excerpt(start, resample(piece, rate, sample_rate)))
    return excerpts


def _as_channels(waveform: NDArray[Any], rate: int) -> FloatArray:
    """Check a waveform and return it as float32 of shape (n_samples, n_channels)."""
    if not isinstance(waveform, np.ndarray | np.generic):
        raise InvalidInputError(f"waveform is a {type(waveform).__name__}: expected a NumPy array of floats in [-1, 1]")
    if waveform.ndim not in (1, 2):
        raise InvalidInputError(
            f"waveform has shape {waveform.shape}: expected (n_samples,) or (n_samples, n_channels)"
        )
    if not np.issubdtype(waveform.dtype, np.floating):
        raise InvalidInputError(f"waveform has dtype {waveform.dtype}: expected floats in [-1, 1]")
    if isinstance(rate, bool) or not isinstance(rate, int | np.integer) or not 1 <= rate <= MAX_SAMPLE_RATE:
        raise InvalidInputError(f"sample_rate is {rate!r}: expected a whole number from 1 to {MAX_SAMPLE_RATE:,}, Hz")
    if waveform.size == 0:
        raise EmptyAudioError("the waveform has no samples: expected at least one")
    if waveform.ndim == 2 and waveform.shape[1] > waveform.shape[0]:
        raise InvalidInputError(
            f"waveform has shape {waveform.shape}, more channels than samples: transpose it to (n_samples, n_channels)"
        )
    with np.errstate(over="ignore"):  # values too large for float32 become infinite
        samples = waveform.reshape(waveform.shape[0], -1).astype(np.float32, copy=False)
    if not np.isfinite(samples).all():
        raise InvalidInputError("waveform holds NaN or infinite samples: expected floats in [-1, 1]")
    return samples
