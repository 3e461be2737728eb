"""What each branch of a network is shown in training."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from genre_training.augmentation import SpecAugment
from genre_training.config import TrainingConfig
from genre_training.networks import GenreNetwork


class Branches(nn.Module):
    """A network in training: its body sees a part of each crop through masks, statistics are taken of the whole.

    Short masked pictures are many different pictures, and quick to learn from. Statistics want the longest
    stretch there is, and no masks: those would change every one of them.
    """

    def __init__(self, network: GenreNetwork, config: TrainingConfig, picture_frames: int) -> None:
        super().__init__()
        self.network = network
        self._picture_frames = picture_frames
        self._spec_augment = SpecAugment(config.frequency_mask, config.time_mask)

    def forward(self, log_mel: Tensor) -> Tensor:
        """Map crops (batch, n_mels, n_frames) to the logits of each branch, (n_branches, batch, n_labels)."""
        picture = self._spec_augment(self._part(log_mel))
        logits = [self.network.read_picture(picture)[0].float()]
        if self.network.statistics is not None:
            logits.append(self.network.read_statistics(log_mel)[0].float())
        return torch.stack(logits)

    def _part(self, log_mel: Tensor) -> Tensor:
        """Cut a part of each crop, from a place of its own; a number read back from the device would stop it there."""
        n_clips, n_mels, n_frames = log_mel.shape
        length = min(self._picture_frames, n_frames)
        starts = torch.randint(0, n_frames - length + 1, (n_clips, 1), device=log_mel.device)
        frames = starts + torch.arange(length, device=log_mel.device)
        return log_mel.gather(2, frames[:, None, :].expand(n_clips, n_mels, length))
