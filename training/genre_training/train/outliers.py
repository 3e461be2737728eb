"""Synthetic sounds that are not music: noise, tones, clicks, hum and something like speech.

A network that is trained on genres only calls white noise electronic, with high confidence. Trained on such sounds
with the target "all genres alike" (outlier exposure: Hendrycks et al., 2019), it answers with low confidence.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from genre_runtime.audio.excerpts import FloatArray
from genre_runtime.model.features import log_mel_spectrogram
from genre_runtime.model.metadata import AudioConfig

Waveform = NDArray[np.floating[Any]]

NYQUIST_SHARE = 0.49
"""Highest frequency synthesised, as a share of the sample rate."""


def outlier_log_mels(n_clips: int, n_frames: int, audio: AudioConfig, seed: int) -> FloatArray:
    """Compute the spectrograms of sounds of all kinds in turn.

    Parameters
    ----------
    n_clips, n_frames : int
    audio : AudioConfig
    seed : int

    Returns
    -------
    float32 array, shape (n_clips, n_mels, n_frames)
        dB relative to each clip's loudest bin.
    """
    kinds = list(KINDS.values())
    n_samples = n_frames * audio.hop_length
    clips = []
    for index in tqdm(range(n_clips), "sounds that are not music", unit="clip"):
        rng = np.random.default_rng((seed, index))
        waveform = kinds[index % len(kinds)](n_samples, audio.sample_rate, rng)
        clips.append(log_mel_spectrogram(waveform.astype(np.float32), audio)[:, :n_frames])
    return np.stack(clips)


def coloured_noise(n_samples: int, sample_rate: int, rng: np.random.Generator) -> Waveform:
    """Return noise of any slope from brown to blue, sometimes band-limited, sometimes of changing level.

    Parameters
    ----------
    n_samples, sample_rate : int
    rng : numpy.random.Generator
    """
    slope = rng.uniform(-2, 1)
    frequencies = np.fft.rfftfreq(n_samples, 1 / sample_rate)
    gains = np.maximum(frequencies, 20) ** (slope / 2)
    if rng.random() < 0.3:
        low = rng.uniform(20, 3000)
        gains = gains * ((frequencies > low) & (frequencies < low * rng.uniform(2, 8)))
    noise = np.fft.irfft(np.fft.rfft(rng.standard_normal(n_samples)) * gains, n_samples)
    noise = noise / np.abs(noise).max() + rng.uniform(0, 1e-3) * rng.standard_normal(n_samples)
    if rng.random() < 0.5:
        noise = noise * slow_curve(n_samples, rng.uniform(0.05, 1) * n_samples / sample_rate, rng)
    return np.asarray(noise, np.float32)


def tones(n_samples: int, sample_rate: int, rng: np.random.Generator) -> Waveform:
    """Return one to three steady or gliding tones, with or without hiss.

    Parameters
    ----------
    n_samples, sample_rate : int
    rng : numpy.random.Generator
    """
    result = rng.choice([0, 1e-4, 1e-2]) * rng.standard_normal(n_samples)
    for _ in range(rng.integers(1, 4)):
        start, stop = np.exp(rng.uniform(np.log(60), np.log(NYQUIST_SHARE * sample_rate), 2))
        glide = np.linspace(start, stop if rng.random() < 0.4 else start, n_samples)
        result = result + rng.uniform(0.1, 0.3) * np.sin(2 * np.pi * np.cumsum(glide) / sample_rate)
    return np.asarray(result, np.float32)


def clicks(n_samples: int, sample_rate: int, rng: np.random.Generator) -> Waveform:
    """Return clicks over hiss, regular or random: a metronome, a scratch, rain.

    Parameters
    ----------
    n_samples, sample_rate : int
    rng : numpy.random.Generator
    """
    result = 10 ** rng.uniform(-5, -2) * rng.standard_normal(n_samples)
    interval = sample_rate / rng.uniform(0.5, 30)
    times = np.cumsum(np.full(n_samples, interval) if rng.random() < 0.3 else rng.exponential(interval, n_samples))
    result[times[times < n_samples].astype(int)] += rng.uniform(0.3, 1)
    return np.asarray(result, np.float32)


def hum(n_samples: int, sample_rate: int, rng: np.random.Generator) -> Waveform:
    """Return mains hum or an engine: a low tone and its overtones over noise.

    Parameters
    ----------
    n_samples, sample_rate : int
    rng : numpy.random.Generator
    """
    pitch = rng.choice([50, 60]) if rng.random() < 0.5 else rng.uniform(20, 200)
    drift = pitch * (1 + rng.choice([0, 0.2]) * (slow_curve(n_samples, 10, rng) - 0.5))
    phase = 2 * np.pi * np.cumsum(drift) / sample_rate
    falling = rng.uniform(0.5, 2)
    result = sum(k**-falling * np.sin(k * phase + rng.uniform(0, 6)) for k in range(1, rng.integers(4, 30)))
    return np.asarray(0.1 * result + 10 ** rng.uniform(-4, -1.5) * rng.standard_normal(n_samples), np.float32)


def speech_like(n_samples: int, sample_rate: int, rng: np.random.Generator) -> Waveform:
    """Return one babbling voice: vowels, hisses and pauses at the pace of speech (source and filter).

    Parameters
    ----------
    n_samples, sample_rate : int
    rng : numpy.random.Generator
    """
    result = 10 ** rng.uniform(-5, -2.5) * rng.standard_normal(n_samples)
    base_pitch = np.exp(rng.uniform(np.log(80), np.log(280)))
    pace = rng.uniform(0.7, 1.4)
    vocal_tract = rng.uniform(0.9, 1.2)
    position = 0
    while position < n_samples:
        if rng.random() < 0.12:
            position += int(rng.uniform(0.2, 0.9) * sample_rate)  # a breath
        if rng.random() < 0.6:
            hiss = _hiss(int(rng.uniform(0.03, 0.12) / pace * sample_rate), sample_rate, rng)
            position = _add(result, hiss, position)
        pitch = base_pitch * rng.uniform(0.8, 1.25)
        n_vowel = int(rng.uniform(0.08, 0.25) / pace * sample_rate)
        position = _add(result, _vowel(n_vowel, sample_rate, pitch, vocal_tract, rng), position)
    return np.asarray(result / np.abs(result).max(), np.float32)


def slow_curve(n_samples: int, n_points: float, rng: np.random.Generator) -> Waveform:
    """Return a random curve between 0 and 1.

    Parameters
    ----------
    n_samples : int
    n_points : float
        About how many random points it connects.
    rng : numpy.random.Generator
    """
    points = rng.uniform(0, 1, max(2, round(n_points)))
    return np.interp(np.linspace(0, 1, n_samples), np.linspace(0, 1, len(points)), points).astype(np.float32)


def _vowel(n_samples: int, sample_rate: int, pitch: float, vocal_tract: float, rng: np.random.Generator) -> Waveform:
    time = np.arange(n_samples) / sample_rate
    bend = 1 + rng.uniform(-0.15, 0.1) * np.linspace(0, 1, n_samples)
    phase = 2 * np.pi * np.cumsum(pitch * bend) / sample_rate
    formants = vocal_tract * np.array([rng.uniform(250, 850), rng.uniform(800, 2400), rng.uniform(2300, 3300), 3800])
    result = np.zeros(n_samples)
    for k in range(1, int(rng.uniform(4000, 8000) / pitch)):
        distance = (k * pitch - formants) / np.array([60, 90, 130, 200])
        result += (1 / (1 + distance**2)).sum() / k * np.sin(k * phase)
    envelope = np.minimum(1, np.minimum(time, time[::-1]) / 0.02)
    return np.asarray(rng.uniform(0.5, 1) * envelope * result, np.float32)


def _hiss(n_samples: int, sample_rate: int, rng: np.random.Generator) -> Waveform:
    spectrum = np.fft.rfft(rng.standard_normal(n_samples))
    frequencies = np.fft.rfftfreq(n_samples, 1 / sample_rate)
    spectrum *= np.exp(-(((frequencies - rng.uniform(2000, 7000)) / rng.uniform(800, 2500)) ** 2))
    return np.asarray(rng.uniform(0.1, 0.6) * np.fft.irfft(spectrum, n_samples), np.float32)


def _add(target: Waveform, sound: Waveform, position: int) -> int:
    """Add a sound in place, cut off at the end of the target; returns the position after it."""
    room = max(0, min(len(sound), len(target) - position))
    target[position : position + room] += sound[:room]
    return position + len(sound)


KINDS: dict[str, Callable[[int, int, np.random.Generator], Waveform]] = {
    "noise": coloured_noise,
    "speech": speech_like,
    "tones": tones,
    "clicks": clicks,
    "speech again": speech_like,  # the most frequent one: twice as often
    "hum": hum,
}
