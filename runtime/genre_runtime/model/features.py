"""The log-mel front end in NumPy: the reference, and the source of the training features.

The exported graph contains the same front end as matrix products. Tests and the parity gate of the export compare both
with librosa and torchaudio.

Conventions: `waveform` is mono float32, shape (n_samples,), nominally in [-1, 1]; `log_mel` is float32, shape (n_mels,
n_frames), row 0 the lowest band, in decibels relative to the clip's loudest bin, so in [-top_db, 0].
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from genre_runtime.audio.excerpts import FloatArray
from genre_runtime.errors import EmptyAudioError, InvalidInputError
from genre_runtime.model.metadata import AudioConfig

POWER_FLOOR = 1e-10
"""Smallest mel power that is distinguished from zero (librosa's `amin`)."""

# Quiet to loud at even steps of lightness, so that equal differences in level look equal, also in grey.
_RAMP = ((13, 15, 40), (61, 22, 104), (133, 36, 120), (205, 66, 98), (246, 130, 74), (252, 228, 158))


def hz_to_mel(frequency: NDArray[np.float64] | float) -> NDArray[np.float64]:
    """Convert to Slaney's mel scale (Auditory Toolbox, 1998): linear below 1 kHz, logarithmic above.

    Parameters
    ----------
    frequency : float or float64 array
        Hz, at least 0.
    """
    hz = np.asarray(frequency, dtype=np.float64)
    linear = hz * 3 / 200
    logarithmic = 15 + 27 * np.log(np.maximum(hz, 1000) / 1000) / np.log(6.4)
    return np.where(hz < 1000, linear, logarithmic)


def mel_to_hz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    """Convert from Slaney's mel scale to Hz.

    Parameters
    ----------
    mel : float64 array
        At least 0.
    """
    return np.where(mel < 15, mel * 200 / 3, 1000 * np.exp((mel - 15) * np.log(6.4) / 27))


@lru_cache(maxsize=8)
def mel_filterbank(config: AudioConfig) -> FloatArray:
    """Return triangular mel filters of unit area in Hz.

    Parameters
    ----------
    config : AudioConfig

    Returns
    -------
    float32 array, shape (n_mels, n_fft // 2 + 1), read-only
    """
    edges = mel_to_hz(np.linspace(hz_to_mel(config.f_min), hz_to_mel(config.f_max), config.n_mels + 2))
    bins = np.arange(config.n_fft // 2 + 1) * (config.sample_rate / config.n_fft)
    lower, centre, upper = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    rising = (bins - lower) / (centre - lower)
    falling = (upper - bins) / (upper - centre)
    triangles = np.maximum(0, np.minimum(rising, falling))
    filters: FloatArray = (triangles * (2 / (upper - lower))).astype(np.float32)
    filters.setflags(write=False)  # all callers share it
    return filters


def hann_window(n_fft: int) -> FloatArray:
    """Return the periodic Hann window, shape (n_fft,).

    Parameters
    ----------
    n_fft : int
        Samples, at least 1.
    """
    phase = 2 * np.pi * np.arange(n_fft) / n_fft
    window: FloatArray = (0.5 - 0.5 * np.cos(phase)).astype(np.float32)
    return window


def log_mel_spectrogram(waveform: FloatArray, config: AudioConfig) -> FloatArray:
    """Compute the log-mel spectrogram of one clip.

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
        The waveform is not one-dimensional, or not finite.
    """
    if waveform.ndim != 1:
        raise InvalidInputError(f"waveform has shape {waveform.shape}: expected (n_samples,), mono")
    if waveform.size == 0:
        raise EmptyAudioError("the waveform has no samples: expected at least one")
    if not np.isfinite(waveform).all():
        raise InvalidInputError("waveform contains NaN or infinite samples: expected finite numbers")
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


def spectrogram_palette(n_colours: int) -> NDArray[np.uint8]:
    """Return colours from quiet to loud.

    Parameters
    ----------
    n_colours : int
        At least 2.

    Returns
    -------
    uint8 array, shape (n_colours, 3)
        Red, green and blue.
    """
    ramp = np.array(_RAMP, np.float64)
    places = np.linspace(0, len(ramp) - 1, n_colours)
    channels = [np.interp(places, np.arange(len(ramp)), ramp[:, channel]) for channel in range(3)]
    return np.stack(channels, axis=1).round().astype(np.uint8)
