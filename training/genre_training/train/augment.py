"""Augmentation of training clips: crops, stretches, shifts, equaliser, low-pass, noise, mixup and masks.

Everything runs on the device of the clips, on which the generator has to be too.

Also synthesises sounds that are not music: noise, tones, clicks, hum and something like speech. A network that is
trained on genres only calls white noise electronic, with high confidence. Trained on such sounds with the target "all
genres alike" (outlier exposure: Hendrycks et al., 2019), it answers with low confidence.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torchaudio import transforms
from tqdm import tqdm

from genre_runtime import AudioConfig, FloatArray, log_mel_spectrogram
from genre_training.config import TrainingConfig

MASKS_PER_AXIS = 2
EQUALISER_POINTS = 6
NYQUIST_SHARE = 0.49
"""Highest frequency synthesised, as a share of the sample rate."""

Waveform = NDArray[np.floating[Any]]


class SpecAugment(nn.Module):
    """Masks random bands and frames of each clip by its mean (Park et al., 2019, without time warping).

    Parameters
    ----------
    frequency_mask, time_mask : int
        Largest mask in bands and frames, `MASKS_PER_AXIS` of each; 0 turns it off.
    """

    def __init__(self, frequency_mask: int, time_mask: int) -> None:
        super().__init__()
        masks: list[nn.Module] = []
        if frequency_mask:
            masks += [transforms.FrequencyMasking(frequency_mask, iid_masks=True)] * MASKS_PER_AXIS
        if time_mask:
            masks += [transforms.TimeMasking(time_mask, iid_masks=True)] * MASKS_PER_AXIS
        self.masks = nn.Sequential(*masks)

    def forward(self, log_mel: Tensor) -> Tensor:
        """Mask a batch.

        Parameters
        ----------
        log_mel : Tensor, shape (batch, n_mels, n_frames)
        """
        mean = log_mel.mean(dim=(1, 2), keepdim=True)
        centred = (log_mel - mean).unsqueeze(1)  # torchaudio needs a channel axis to mask each clip by itself
        masked: Tensor = self.masks(centred)
        return masked.squeeze(1) + mean


def random_crops(clips: Tensor, n_frames: int, generator: torch.Generator, stretch: float = 0.0) -> Tensor:
    """Cut one random window from each clip.

    Parameters
    ----------
    clips : Tensor, shape (batch, n_mels, clip_frames)
    n_frames : int
        Frames of the result.
    generator : torch.Generator
    stretch : float
        The window is longer or shorter by up to this share, so the music gets faster or slower. The nearest frames
        are taken, not averaged, like the frames of the pictures.

    Returns
    -------
    Tensor, shape (batch, n_mels, n_frames)
    """
    n_clips, n_mels, clip_frames = clips.shape
    rates = torch.exp(stretch * (2 * _uniform((n_clips, 1), generator) - 1))
    spans = ((n_frames - 1) * rates).clamp(max=clip_frames - 1)
    starts = _uniform((n_clips, 1), generator) * (clip_frames - spans) - 0.5
    steps = torch.linspace(0, 1, n_frames, device=clips.device)
    frames = (starts + spans * steps).round().long().clamp(0, clip_frames - 1)
    return clips.gather(2, frames[:, None, :].expand(n_clips, n_mels, n_frames))


def shift_bands(log_mel: Tensor, bands: Tensor, most: int, generator: torch.Generator) -> Tensor:
    """Shift each clip up or down along the bands that the network sees, as another key would.

    Parameters
    ----------
    log_mel : Tensor, shape (batch, n_mels, n_frames)
    bands : int64 Tensor, shape (n_bands,)
        Bands that the network sees. The bands between them are interpolated in some data sets: a shift along all bands
        would show them to the network, in training only.
    most : int
        Largest shift in bands; 0 returns the clips unchanged.
    generator : torch.Generator
    """
    if most <= 0:
        return log_mel
    n_clips, n_mels, n_frames = log_mel.shape
    moves = torch.randint(-most, most + 1, (n_clips, 1), generator=generator, device=log_mel.device)
    places = (torch.arange(len(bands), device=log_mel.device) + moves).clamp(0, len(bands) - 1)
    rows = torch.arange(n_mels, device=log_mel.device).repeat(n_clips, 1)
    rows[:, bands] = bands[places]
    return log_mel.gather(1, rows[:, :, None].expand(n_clips, n_mels, n_frames))


def equalise(log_mel: Tensor, deviation_db: float, generator: torch.Generator) -> Tensor:
    """Add a smooth random gain curve to each clip's bands, as another mastering or microphone would.

    Parameters
    ----------
    log_mel : Tensor, shape (batch, n_mels, n_frames)
    deviation_db : float
        Standard deviation of the `EQUALISER_POINTS` independent gains that the curve connects; 0 turns it off.
    generator : torch.Generator
    """
    if deviation_db <= 0:
        return log_mel
    shape = (len(log_mel), 1, EQUALISER_POINTS)
    gains = deviation_db * torch.randn(shape, generator=generator, device=log_mel.device)
    curve = nn.functional.interpolate(gains, size=log_mel.shape[1], mode="linear", align_corners=True)
    return log_mel + curve.transpose(1, 2)


def low_pass(log_mel: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Silence the highest bands of some clips, from a random band in the upper third on.

    Parameters
    ----------
    log_mel : Tensor, shape (batch, n_mels, n_frames)
    share : float
        Share of the clips, 0 to 1.
    generator : torch.Generator
    """
    n_clips, n_mels, _ = log_mel.shape
    cutoff = n_mels * (2 + _uniform((n_clips,), generator)) / 3
    cutoff = torch.where(_uniform((n_clips,), generator) < share, cutoff, n_mels)
    cut = torch.arange(n_mels, device=log_mel.device)[None, :, None] >= cutoff[:, None, None]
    floor = log_mel.amin(dim=(1, 2), keepdim=True)
    return torch.where(cut, floor, log_mel)


def mixup(log_mel: Tensor, targets: Tensor, alpha: float, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Blend each clip and its target distribution with those of another clip (Zhang et al., 2018).

    Parameters
    ----------
    log_mel : Tensor, shape (batch, n_mels, n_frames)
    targets : Tensor, shape (batch, n_labels)
    alpha : float
        Parameter of the Beta distribution; 0 returns the batch unchanged.
    rng : numpy.random.Generator

    Returns
    -------
    tuple of Tensor
        The blended clips and targets.
    """
    if alpha <= 0:
        return log_mel, targets
    share = torch.as_tensor(rng.beta(alpha, alpha, len(log_mel)), dtype=log_mel.dtype, device=log_mel.device)
    share = torch.maximum(share, 1 - share)  # the clip itself keeps the larger share
    partner = torch.as_tensor(rng.permutation(len(log_mel)), device=log_mel.device)
    mixed = share[:, None, None] * log_mel + (1 - share[:, None, None]) * log_mel[partner]
    return mixed, share[:, None] * targets + (1 - share[:, None]) * targets[partner]


class Augmentation:
    """Turns stored clips and label indices into a training batch, with everything except the masks.

    Parameters
    ----------
    config : TrainingConfig
    n_frames, n_labels : int
    bands : int64 Tensor
        See `shift_bands`; on the device of the clips.
    seed : tuple of int
    decibels : float
        Decibels that one unit of the spectrograms stands for.
    """

    def __init__(
        self,
        config: TrainingConfig,
        n_frames: int,
        n_labels: int,
        bands: Tensor,
        seed: tuple[int, ...],
        decibels: float = 1.0,
    ) -> None:
        self._config = config
        self._decibels = decibels
        self._n_frames = n_frames
        self._n_labels = n_labels
        self._bands = bands
        self._rng = np.random.default_rng(seed)
        self._generator = torch.Generator(bands.device).manual_seed(int(self._rng.integers(2**63)))

    def __call__(self, clips: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Return augmented crops and their target distributions.

        Parameters
        ----------
        clips : Tensor, shape (batch, n_mels, clip_frames)
        labels : int64 Tensor, shape (batch,)
            The label -1 means not music: its target is all genres alike.

        Returns
        -------
        tuple of Tensor
            Shapes (batch, n_mels, n_frames) and (batch, n_labels).
        """
        config, generator = self._config, self._generator
        crops = random_crops(clips, self._n_frames, generator, config.time_stretch).float()
        crops = shift_bands(crops, self._bands, config.band_shift, generator)
        if config.gain_db:
            crops = crops + config.gain_db / self._decibels * (2 * _uniform((len(crops), 1, 1), generator) - 1)
        if config.noise_db:
            crops = crops + config.noise_db / self._decibels * (2 * _uniform(crops.shape, generator) - 1)
        crops = equalise(crops, config.equaliser_db / self._decibels, generator)
        crops = low_pass(crops, config.low_pass_share, generator)
        targets = nn.functional.one_hot(labels.clamp(min=0), self._n_labels).float()
        targets = torch.where(labels[:, None] < 0, 1 / self._n_labels, targets)
        return mixup(crops, targets, config.mixup_alpha, self._rng)


def _uniform(shape: Sequence[int], generator: torch.Generator) -> Tensor:
    return torch.rand(tuple(shape), generator=generator, device=generator.device)


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
        As `audio` scales them.
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
