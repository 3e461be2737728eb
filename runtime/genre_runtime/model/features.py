"""NumPy log-mel front end: the readable reference, and the maker of the training features.

The exported graph holds the same front end as matrix products; tests and the export gate hold the two,
librosa and torchaudio together.

Conventions: `waveform` is mono float32, shape (n_samples,), nominally in [-1, 1]; `log_mel` is float32,
shape (n_mels, n_frames), row 0 the lowest band, in decibels relative to the clip's loudest bin,
so in [-top_db, 0].
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from genre_runtime.audio.excerpts import FloatArray
from genre_runtime.errors import EmptyAudioError, InvalidInputError
from genre_runtime.model.metadata import AudioConfig

POWER_FLOOR = 1e-10
"""Smallest mel power told apart from zero (librosa's `amin`)."""


def hz_to_mel(frequency: NDArray[np.float64] | float) -> NDArray[np.float64]:
    """Slaney's mel scale (Auditory Toolbox, 1998): linear below 1 kHz, logarithmic above."""
    hz = np.asarray(frequency, dtype=np.float64)
    linear = hz * 3 / 200
    logarithmic = 15 + 27 * np.log(np.maximum(hz, 1000) / 1000) / np.log(6.4)
    return np.where(hz < 1000, linear, logarithmic)


def mel_to_hz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    """Inverse of `hz_to_mel`."""
    return np.where(mel < 15, mel * 200 / 3, 1000 * np.exp((mel - 15) * np.log(6.4) / 27))


@lru_cache(maxsize=8)
def mel_filterbank(config: AudioConfig) -> FloatArray:
    """Triangular mel filters of unit area in Hz, shape (n_mels, n_fft // 2 + 1)."""
    edges = mel_to_hz(np.linspace(hz_to_mel(config.f_min), hz_to_mel(config.f_max), config.n_mels + 2))
    bins = np.arange(config.n_fft // 2 + 1) * (config.sample_rate / config.n_fft)
    lower, centre, upper = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    rising = (bins - lower) / (centre - lower)
    falling = (upper - bins) / (upper - centre)
    triangles = np.maximum(0, np.minimum(rising, falling))
    filters: FloatArray = (triangles * (2 / (upper - lower))).astype(np.float32)
    filters.setflags(write=False)  # shared by every caller
    return filters


def hann_window(n_fft: int) -> FloatArray:
    """Periodic Hann window, shape (n_fft,)."""
    phase = 2 * np.pi * np.arange(n_fft) / n_fft
    window: FloatArray = (0.5 - 0.5 * np.cos(phase)).astype(np.float32)
    return window


def log_mel_spectrogram(waveform: FloatArray, config: AudioConfig) -> FloatArray:
    """Log-mel spectrogram of one clip.

    Parameters
    ----------
    waveform : float array, shape (n_samples,), at `config.sample_rate`
    config : AudioConfig

    Returns
    -------
    float32 array, shape (n_mels, n_frames), dB in [-top_db, 0]; all zero for a silent clip

    Raises
    ------
    EmptyAudioError
        The waveform has no samples.
    InvalidInputError
        It is not one-dimensional, or not finite.
    """
    if waveform.ndim != 1:
        raise InvalidInputError(f"waveform has shape {waveform.shape}: expected (n_samples,), mono")
    if waveform.size == 0:
        raise EmptyAudioError("the waveform has no samples: expected at least one")
    if not np.isfinite(waveform).all():
        raise InvalidInputError("waveform holds NaN or infinite samples: expected finite numbers")
    half = config.n_fft // 2
    padded = np.pad(waveform.astype(np.float32, copy=False), (half, config.n_fft - half))
    frames = np.lib.stride_tricks.sliding_window_view(padded, config.n_fft)[:: config.hop_length]
    frames = frames[: config.n_frames(waveform.size)]
    spectrum = np.fft.rfft(frames * hann_window(config.n_fft))
    power = np.square(spectrum.real) + np.square(spectrum.imag)
    mel = mel_filterbank(config) @ power.astype(np.float32, copy=False).T
    decibels = 10 * np.log10(np.maximum(mel, POWER_FLOOR))
    log_mel: FloatArray = np.maximum(decibels - decibels.max(), -config.top_db).astype(np.float32)
    return log_mel
