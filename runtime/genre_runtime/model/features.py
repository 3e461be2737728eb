"""The log-mel front ends in NumPy: the reference, and the source of the training features.

The exported graph contains the same front end as matrix products. Tests and the parity gate of the export compare both
with librosa and torchaudio.

Conventions: `waveform` is mono float32, shape (n_samples,), nominally in [-1, 1]; `log_mel` is float32, shape (n_mels,
n_frames), row 0 the lowest band. On the scale `decibel` it is relative to the clip's loudest bin, so in [-top_db, 0].
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

PRE_EMPHASIS = 0.97
KALDI_FLOOR, KALDI_OFFSET, KALDI_SPAN = 1e-5, 4.5, 5.0
"""The scale `kaldi` is (ln(power + floor) + offset) / span (Schmid et al., 2023)."""
QUIETEST_RMS, MOST_GAIN = 0.01, 1_000.0
"""On the scale `kaldi`, what has a lower root mean square after pre-emphasis is made louder up to it, by 60 dB at most.

A tenth of the training data is quieter. The offset is left out, and pre-emphasis all but removes a rumble: neither is
heard as loud.
"""

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


def kaldi_mel(frequency: NDArray[np.float64] | float) -> NDArray[np.float64]:
    """Convert to Kaldi's mel scale, which is HTK's in natural logarithms.

    Parameters
    ----------
    frequency : float or float64 array
        Hz, at least 0.
    """
    return 1127.0 * np.log1p(np.asarray(frequency, dtype=np.float64) / 700)


def band_centres(config: AudioConfig) -> NDArray[np.float64]:
    """Return the centre of each mel band, Hz, shape (n_mels,).

    Parameters
    ----------
    config : AudioConfig
    """
    return _band_edges(config)[1:-1]


def _band_edges(config: AudioConfig) -> NDArray[np.float64]:
    """Return lower edge, centres and upper edge, Hz, shape (n_mels + 2,); neighbouring bands overlap by half."""
    if config.scale == "kaldi":
        mels = np.linspace(kaldi_mel(config.f_min), kaldi_mel(config.f_max), config.n_mels + 2)
        return 700 * np.expm1(mels / 1127.0)
    return mel_to_hz(np.linspace(hz_to_mel(config.f_min), hz_to_mel(config.f_max), config.n_mels + 2))


@lru_cache(maxsize=8)
def mel_filterbank(config: AudioConfig) -> FloatArray:
    """Return triangular mel filters: of unit area in Hz, or on the scale `kaldi` of unit height in mels.

    Parameters
    ----------
    config : AudioConfig

    Returns
    -------
    float32 array, shape (n_mels, n_fft // 2 + 1), read-only
    """
    edges = _band_edges(config)
    bins = np.arange(config.n_fft // 2 + 1, dtype=np.float64) * (config.sample_rate / config.n_fft)
    if config.scale == "kaldi":
        edges, bins = kaldi_mel(edges), kaldi_mel(bins)
    lower, centre, upper = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    rising = (bins - lower) / (centre - lower)
    falling = (upper - bins) / (upper - centre)
    filters: FloatArray = np.maximum(0, np.minimum(rising, falling)).astype(np.float32)
    if config.scale == "decibel":
        filters = (np.maximum(0, np.minimum(rising, falling)) * (2 / (upper - lower))).astype(np.float32)
    filters.setflags(write=False)  # all callers share it
    return filters


def hann_window(config: AudioConfig) -> FloatArray:
    """Return the Hann window in the middle of a frame, shape (n_fft,): periodic, or on the scale `kaldi` symmetric.

    Parameters
    ----------
    config : AudioConfig
    """
    length = config.window_length
    phase = 2 * np.pi * np.arange(length) / max(1, length - (config.scale == "kaldi"))
    window = np.zeros(config.n_fft, np.float32)
    start = (config.n_fft - length) // 2
    window[start : start + length] = 0.5 - 0.5 * np.cos(phase)
    return window


def log_mel_spectrogram(waveform: FloatArray, config: AudioConfig) -> FloatArray:
    """Compute the log-mel spectrogram of one clip.

    Parameters
    ----------
    waveform : float array, shape (n_samples,), at `config.sample_rate`
    config : AudioConfig

    Returns
    -------
    float32 array, shape (n_mels, n_frames)
        On the scale `decibel` in [-top_db, 0], all zero for a silent clip; on the scale `kaldi` from -1.4.

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
    n_frames = config.n_frames(waveform.size)
    signal = waveform.astype(np.float32, copy=False)
    if config.scale == "kaldi":
        signal = _emphasised(raise_quiet(signal))
    half = config.n_fft // 2
    padded = np.pad(signal, (half, config.n_fft - half))
    frames = np.lib.stride_tricks.sliding_window_view(padded, config.n_fft)[:: config.hop_length][:n_frames]
    spectrum = np.fft.rfft(frames * hann_window(config))
    power = np.square(spectrum.real) + np.square(spectrum.imag)
    mel = mel_filterbank(config) @ power.astype(np.float32, copy=False).T
    if config.scale == "kaldi":
        scaled: FloatArray = ((np.log(mel + KALDI_FLOOR) + KALDI_OFFSET) / KALDI_SPAN).astype(np.float32)
        return scaled
    decibels = 10 * np.log10(np.maximum(mel, POWER_FLOOR))
    log_mel: FloatArray = np.maximum(decibels - decibels.max(), -config.top_db).astype(np.float32)
    return log_mel


def raise_quiet(waveform: FloatArray) -> FloatArray:
    """Make a quiet excerpt as loud as quiet music is, as `log_mel_spectrogram` does on the scale `kaldi`.

    Parameters
    ----------
    waveform : float32 array, shape (n_samples,)

    Returns
    -------
    float32 array, shape (n_samples,)
    """
    emphasised, n_samples = _emphasised(waveform), max(1, waveform.size)
    offset = emphasised.sum(dtype=np.float64) / n_samples
    rms = float(np.sqrt(np.square(emphasised - offset).sum() / n_samples))
    raised: FloatArray = waveform * np.float32(max(1.0, QUIETEST_RMS / max(rms, QUIETEST_RMS / MOST_GAIN)))
    return raised


def _emphasised(waveform: FloatArray) -> FloatArray:
    return waveform[1:] - np.float32(PRE_EMPHASIS) * waveform[:-1]


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
