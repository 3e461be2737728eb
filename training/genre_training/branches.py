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
        latest = max(0, log_mel.shape[2] - self._picture_frames)
        start = int(torch.randint(0, latest + 1, ()))
        picture = self._spec_augment(log_mel[:, :, start : start + self._picture_frames])
        logits = [self.network.read_picture(picture)[0].float()]
        if self.network.statistics is not None:
            logits.append(self.network.read_statistics(log_mel)[0].float())
        return torch.stack(logits)
