"""Which mel bands are shared by every source: one rule for the pictures that hold them and the network that looks.

Networks that map a log-mel spectrogram to genre logits.

Input `log_mel`: float32, shape (batch, n_mels, n_frames), dB relative to each clip's loudest bin; any number
of frames from one up. Output: `logits` (batch, n_labels) and `embedding` (batch, n_features).
Each clip is standardised by its own mean and deviation, so level and batch mates do not matter.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from genre_training.model.backbones import (
    HEAD_WIDTH,
    SMALLEST_HEIGHT,
    Crnn,
    Plain,
    Residual,
    StatisticsBranch,
    Transformer,
)


def picked_bands(n_bands: int, n_mels: int) -> list[int]:
    """Return `n_bands` of `n_mels` bands, each floor((i + 1) / n_bands * n_mels), at most the last; all if as many."""
    if n_bands == n_mels:
        return list(range(n_mels))
    return [min((i + 1) * n_mels // n_bands, n_mels - 1) for i in range(n_bands)]


STATISTICS_DROPOUT = 0.5
STATISTICS_SHARE = 0.6
"""Weight of the second branch's logits: it is the weaker of the two by itself."""

Body = Residual | Crnn | Transformer | Plain

BODIES: dict[str, type[Body]] = {"residual": Residual, "crnn": Crnn, "transformer": Transformer, "plain": Plain}


@dataclass(frozen=True)
class NetworkConfig:
    """Shape of a network.

    Attributes
    ----------
    kind : {"residual", "crnn", "transformer", "plain"}
        Its body: see `genre_training.model.backbones`.
    widths : tuple of int
        Channels of each stage.
    blocks : int
        Residual blocks a stage, convolutions a stage (plain) or layers (transformer).
    dropout : float
        Probability of dropping a feature before the last layer.
    statistics : int
        Width of a second branch that reads the clip's statistics (`genre_training.model.backbones`); 0 leaves it out.
    n_bands : int
        Mel bands looked at, evenly picked. FMA's pictures keep 100 of 128: looking at just these makes every
        source alike, where interpolated bands would tell the network which data set a clip is from.
    top_band : int
        Bands from this one on are not looked at. The highest tell codecs and resamplers apart more than genres: a
        network that saw them knew the data set by them, and lost 20 points on the same clips from low bit rates.
    """

    kind: str = "residual"
    widths: tuple[int, ...] = (32, 64, 128, 256)
    blocks: int = 1
    dropout: float = 0.3
    statistics: int = 0
    n_bands: int = 100
    top_band: int = 128

    def __post_init__(self) -> None:
        if self.kind not in BODIES:
            raise ValueError(f"kind is {self.kind!r}: expected {', '.join(BODIES)}")
        if not self.widths or not all(isinstance(width, int) and width > 0 for width in self.widths):
            raise ValueError(f"widths is {self.widths!r}: expected one positive integer a stage")
        if self.statistics < 0:
            raise ValueError(f"statistics is {self.statistics}: expected 0 or the width of a layer")
        if self.n_bands < 1 or self.top_band < SMALLEST_HEIGHT:
            raise ValueError(
                f"n_bands is {self.n_bands}, top_band {self.top_band}: expected 1 and {SMALLEST_HEIGHT} or more"
            )
        if self.kind == "crnn" and self.widths[-1] % 2:
            raise ValueError(f"widths ends in {self.widths[-1]}: expected an even number for a crnn, half each way")
        if self.kind == "transformer" and (self.widths[-1] % HEAD_WIDTH or self.n_bands < SMALLEST_HEIGHT):
            raise ValueError(
                f"widths ends in {self.widths[-1]}, n_bands is {self.n_bands}: expected a multiple of {HEAD_WIDTH} "
                f"and at least {SMALLEST_HEIGHT} bands for a transformer"
            )
        if self.blocks < 1 or not 0 <= self.dropout < 1:
            raise ValueError(f"blocks {self.blocks}, dropout {self.dropout}: expected blocks >= 1, 0 <= dropout < 1")

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for a checkpoint."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> NetworkConfig:
        """Build from `to_dict`'s values or from a TOML table; an unknown key is a TypeError."""
        return cls(**{**values, "widths": tuple(values.get("widths", cls.widths))})


def network_bands(config: NetworkConfig, n_mels: int) -> tuple[int, ...]:
    """Mel bands that a network looks at, in order."""
    return tuple(band for band in picked_bands(min(config.n_bands, n_mels), n_mels) if band < config.top_band)


def standardise(log_mel: Tensor) -> Tensor:
    """Give each clip (batch, n_mels, n_frames) zero mean and unit deviation; a constant clip becomes zero."""
    centred = log_mel - log_mel.mean(dim=(1, 2), keepdim=True)
    deviation = centred.square().mean(dim=(1, 2), keepdim=True).sqrt()
    return centred / (deviation + 1e-3)


class GenreNetwork(nn.Module):
    """Picked bands, standardised, through a body to features and through one layer to logits.

    With `statistics`, a second branch reads the clip's statistics and adds its logits, by `STATISTICS_SHARE`.
    """

    bands: Tensor

    def __init__(self, n_labels: int, n_mels: int, config: NetworkConfig) -> None:
        super().__init__()
        bands = torch.tensor(network_bands(config, n_mels))
        self.register_buffer("bands", bands, persistent=False)
        body: Body = BODIES[config.kind](config.widths, config.blocks, len(bands))
        self.body = body
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Linear(body.n_features, n_labels)
        self.statistics: nn.Module | None = None
        if config.statistics:
            self.statistics = StatisticsBranch(len(bands), config.statistics, STATISTICS_DROPOUT)
            self.statistics_head = nn.Sequential(nn.Dropout(STATISTICS_DROPOUT), nn.Linear(config.statistics, n_labels))

    def forward(self, log_mel: Tensor) -> tuple[Tensor, Tensor]:
        """Return `logits` (batch, n_labels) and `embedding` (batch, n_features)."""
        logits, embedding = self.read_picture(log_mel)
        if self.statistics is None:
            return logits, embedding
        more, overall = self.read_statistics(log_mel)
        return logits + STATISTICS_SHARE * more, torch.cat([embedding, overall], dim=1)

    def read_picture(self, log_mel: Tensor) -> tuple[Tensor, Tensor]:
        """Return the logits and the features of the body."""
        features = self.body(self._input(log_mel).unsqueeze(1))  # (batch, 1, n_bands, n_frames)
        return self.head(self.dropout(features)), features

    def read_statistics(self, log_mel: Tensor) -> tuple[Tensor, Tensor]:
        """Return the logits and the features of the branch that reads statistics, which must be there."""
        if self.statistics is None:
            raise ValueError("the network has no branch that reads statistics: set `statistics` in its config")
        features = self.statistics(self._input(log_mel))
        return self.statistics_head(features), features

    def _input(self, log_mel: Tensor) -> Tensor:
        return standardise(log_mel.index_select(1, self.bands))
