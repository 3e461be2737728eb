"""What training does to its clips, and evaluation never: random crops, equaliser, low-pass, mixup, SpecAugment."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torchaudio import transforms

from genre_training.config import TrainingConfig

MASKS_PER_AXIS = 2
EQUALISER_POINTS = 6


class SpecAugment(nn.Module):
    """Masks random bands and frames of each clip (Park et al., 2019, without time warping).

    A mask holds the mean of its clip, so it is neither loud nor silent.
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
        """Mask (batch, n_mels, n_frames), returning the same shape."""
        mean = log_mel.mean(dim=(1, 2), keepdim=True)
        centred = (log_mel - mean).unsqueeze(1)  # torchaudio masks each clip on its own only with a channel axis
        masked: Tensor = self.masks(centred)
        return masked.squeeze(1) + mean


def random_crops(clips: Tensor, n_frames: int, generator: torch.Generator) -> Tensor:
    """Cut one random window of `n_frames` from each of (batch, n_mels, clip_frames)."""
    latest = clips.shape[2] - n_frames
    starts = torch.randint(0, latest + 1, (clips.shape[0],), generator=generator).tolist()
    return torch.stack([clip[:, start : start + n_frames] for clip, start in zip(clips, starts, strict=True)])


def equalise(log_mel: Tensor, deviation_db: float, generator: torch.Generator) -> Tensor:
    """Lay a smooth random gain curve over each clip's bands, as another mastering or microphone would.

    The curve runs through `EQUALISER_POINTS` independent gains of the given deviation.
    """
    if deviation_db <= 0:
        return log_mel
    gains = deviation_db * torch.randn(len(log_mel), 1, EQUALISER_POINTS, generator=generator)
    curve = nn.functional.interpolate(gains, size=log_mel.shape[1], mode="linear", align_corners=True)
    return log_mel + curve.transpose(1, 2)


def low_pass(log_mel: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Silence the highest bands of a `share` of the clips, from a random band in the upper third on."""
    n_clips, n_mels, _ = log_mel.shape
    cutoff = n_mels * (2 + torch.rand(n_clips, generator=generator)) / 3
    cutoff[torch.rand(n_clips, generator=generator) >= share] = n_mels
    cut = torch.arange(n_mels)[None, :, None] >= cutoff[:, None, None]
    floor = log_mel.amin(dim=(1, 2), keepdim=True)
    return torch.where(cut, floor, log_mel)


def mixup(log_mel: Tensor, targets: Tensor, alpha: float, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Blend each clip and its target distribution with another one's (Zhang et al., 2018).

    Parameters
    ----------
    log_mel : Tensor, shape (batch, n_mels, n_frames)
    targets : Tensor, shape (batch, n_labels)
    alpha : float
        Parameter of the Beta distribution; 0 leaves the batch as it is.
    """
    if alpha <= 0:
        return log_mel, targets
    share = torch.as_tensor(rng.beta(alpha, alpha, len(log_mel)), dtype=log_mel.dtype, device=log_mel.device)
    share = torch.maximum(share, 1 - share)  # the clip itself stays the greater part
    partner = torch.as_tensor(rng.permutation(len(log_mel)), device=log_mel.device)
    mixed = share[:, None, None] * log_mel + (1 - share[:, None, None]) * log_mel[partner]
    return mixed, share[:, None] * targets + (1 - share[:, None]) * targets[partner]


class Augmentation:
    """All of it but the masks, seeded: turns stored clips and label indices into a training batch."""

    def __init__(self, config: TrainingConfig, n_frames: int, n_labels: int, seed: tuple[int, ...]) -> None:
        self._config = config
        self._n_frames = n_frames
        self._n_labels = n_labels
        self._rng = np.random.default_rng(seed)
        self._generator = torch.Generator().manual_seed(int(self._rng.integers(2**63)))

    def __call__(self, clips: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Map (batch, n_mels, clip_frames) and (batch,) to crops and (batch, n_labels) target distributions.

        The label -1 stands for what is no music: its target is every genre alike.
        """
        config, generator = self._config, self._generator
        crops = random_crops(clips, self._n_frames, generator).float()
        if config.noise_db:
            crops = crops + config.noise_db * (2 * torch.rand(crops.shape, generator=generator) - 1)
        crops = low_pass(equalise(crops, config.equaliser_db, generator), config.low_pass_share, generator)
        targets = nn.functional.one_hot(labels.clamp(min=0), self._n_labels).float()
        targets[labels < 0] = 1 / self._n_labels
        return mixup(crops, targets, config.mixup_alpha, self._rng)
