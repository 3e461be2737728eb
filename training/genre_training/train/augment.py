"""Augmentation of training clips: crops, stretches, shifts, equaliser, low-pass, noise, mixup and masks.

Everything runs on the device of the clips, on which the generator has to be too.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torchaudio import transforms

from genre_training.config import TrainingConfig

MASKS_PER_AXIS = 2
EQUALISER_POINTS = 6


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
    """

    def __init__(
        self, config: TrainingConfig, n_frames: int, n_labels: int, bands: Tensor, seed: tuple[int, ...]
    ) -> None:
        self._config = config
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
        if config.noise_db:
            crops = crops + config.noise_db * (2 * _uniform(crops.shape, generator) - 1)
        crops = low_pass(equalise(crops, config.equaliser_db, generator), config.low_pass_share, generator)
        targets = nn.functional.one_hot(labels.clamp(min=0), self._n_labels).float()
        targets = torch.where(labels[:, None] < 0, 1 / self._n_labels, targets)
        return mixup(crops, targets, config.mixup_alpha, self._rng)


def _uniform(shape: Sequence[int], generator: torch.Generator) -> Tensor:
    return torch.rand(tuple(shape), generator=generator, device=generator.device)
