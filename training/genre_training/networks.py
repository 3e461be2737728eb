"""Networks that map a log-mel spectrogram to genre logits.

Input `log_mel`: float32, shape (batch, n_mels, n_frames), dB relative to each clip's loudest bin; any number
of frames from one up. Output: `logits` (batch, n_labels) and `embedding` (batch, n_features).
Each clip is standardised by its own mean and deviation, so level and batch mates do not matter.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from genre_training.bands import picked_bands


@dataclass(frozen=True)
class NetworkConfig:
    """Shape of the residual CNN.

    Attributes
    ----------
    widths : tuple of int
        Channels of each stage; every stage halves both axes.
    blocks : int
        Residual blocks a stage.
    dropout : float
        Probability of dropping a feature before the last layer.
    n_bands : int
        Mel bands looked at, evenly picked. FMA's pictures keep 100 of 128: looking at just these makes every
        source alike, where interpolated bands would tell the network which data set a clip is from.
    """

    widths: tuple[int, ...] = (32, 64, 128, 256)
    blocks: int = 2
    dropout: float = 0.3
    n_bands: int = 100

    def __post_init__(self) -> None:
        if not self.widths or not all(isinstance(width, int) and width > 0 for width in self.widths):
            raise ValueError(f"widths is {self.widths!r}: expected one positive integer a stage")
        if self.n_bands < 1:
            raise ValueError(f"n_bands is {self.n_bands}: expected 1 or more")
        if self.blocks < 1 or not 0 <= self.dropout < 1:
            raise ValueError(f"blocks {self.blocks}, dropout {self.dropout}: expected blocks >= 1, 0 <= dropout < 1")

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for a checkpoint."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> NetworkConfig:
        """Build from `to_dict`'s values or from a TOML table; an unknown key is a TypeError."""
        return cls(**{**values, "widths": tuple(values.get("widths", cls.widths))})


def standardise(log_mel: Tensor) -> Tensor:
    """Give each clip (batch, n_mels, n_frames) zero mean and unit deviation; a constant clip becomes zero."""
    centred = log_mel - log_mel.mean(dim=(1, 2), keepdim=True)
    deviation = centred.square().mean(dim=(1, 2), keepdim=True).sqrt()
    return centred / (deviation + 1e-3)


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with batch normalisation around a shortcut (He et al., 2015)."""

    def __init__(self, n_in: int, n_out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(n_in, n_out, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(n_out)
        self.conv2 = nn.Conv2d(n_out, n_out, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(n_out)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or n_in != n_out:
            # ceil_mode keeps a single frame alive where stride-2 pooling would drop it.
            self.shortcut = nn.Sequential(
                nn.AvgPool2d(stride, ceil_mode=True, count_include_pad=False) if stride > 1 else nn.Identity(),
                nn.Conv2d(n_in, n_out, 1, bias=False),
                nn.BatchNorm2d(n_out),
            )

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, n_in, height, width) to (batch, n_out, height / stride, width / stride)."""
        out = torch.relu(self.norm1(self.conv1(x)))
        return torch.relu(self.norm2(self.conv2(out)) + self.shortcut(x))


class ResidualCnn(nn.Module):
    """Residual CNN over the spectrogram as a picture, pooled over time and frequency.

    Pooling takes mean and maximum over time of the mean over frequency, so a track of any length gives one
    vector.
    """

    bands: Tensor

    def __init__(self, n_labels: int, n_mels: int, config: NetworkConfig) -> None:
        super().__init__()
        bands = torch.tensor(picked_bands(min(config.n_bands, n_mels), n_mels))
        self.register_buffer("bands", bands, persistent=False)
        first = config.widths[0]
        self.stem = nn.Sequential(
            nn.Conv2d(1, first, 5, stride=2, padding=2, bias=False), nn.BatchNorm2d(first), nn.ReLU()
        )
        blocks: list[nn.Module] = []
        n_in = first
        for stage, width in enumerate(config.widths):
            for index in range(config.blocks):
                blocks.append(ResidualBlock(n_in, width, 2 if stage and not index else 1))
                n_in = width
        self.blocks = nn.Sequential(*blocks)
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Linear(2 * n_in, n_labels)

    def forward(self, log_mel: Tensor) -> tuple[Tensor, Tensor]:
        """Return `logits` (batch, n_labels) and `embedding` (batch, n_features)."""
        x = standardise(log_mel.index_select(1, self.bands)).unsqueeze(1)  # (batch, 1, n_bands, n_frames)
        x = self.blocks(self.stem(x)).mean(dim=2)  # (batch, channels, frames / 16)
        embedding = torch.cat([x.mean(dim=2), x.amax(dim=2)], dim=1)
        return self.head(self.dropout(embedding)), embedding
