"""Networks that map a log-mel spectrogram to genre logits.

Input `log_mel`: float32, shape (batch, n_mels, n_frames), dB relative to each clip's loudest bin, at least one frame.
Output: `logits` (batch, n_labels) and `embedding` (batch, n_features). Each clip is standardised by its own mean and
deviation, so neither its level nor the other clips of the batch matter.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from genre_training.config import NetworkConfig, NetworkKind
from genre_training.data.features import picked_bands
from genre_training.model.backbones import Crnn, Plain, Residual, StatisticsBranch, Transformer

STATISTICS_DROPOUT = 0.5
STATISTICS_SHARE = 0.6
"""Weight of the second branch's logits: it is the weaker of the two by itself."""

Backbone = Residual | Crnn | Transformer | Plain

BACKBONES: dict[NetworkKind, type[Backbone]] = {
    "residual": Residual,
    "crnn": Crnn,
    "transformer": Transformer,
    "plain": Plain,
}


def network_bands(config: NetworkConfig, n_mels: int) -> tuple[int, ...]:
    """Return the mel bands that a network sees, in order.

    Parameters
    ----------
    config : NetworkConfig
    n_mels : int
        Bands of the spectrogram.
    """
    return tuple(band for band in picked_bands(min(config.n_bands, n_mels), n_mels) if band < config.top_band)


def standardise(log_mel: Tensor) -> Tensor:
    """Give each clip zero mean and unit deviation; a constant clip becomes zero.

    Parameters
    ----------
    log_mel : Tensor, shape (batch, n_mels, n_frames)
    """
    centred = log_mel - log_mel.mean(dim=(1, 2), keepdim=True)
    deviation = centred.square().mean(dim=(1, 2), keepdim=True).sqrt()
    return centred / (deviation + 1e-3)


class GenreNetwork(nn.Module):
    """Picks and standardises bands; a backbone gives features, one layer logits.

    With `statistics`, a second branch reads the clip's statistics; its logits are added, times `STATISTICS_SHARE`.

    Parameters
    ----------
    n_labels : int
    n_mels : int
        Bands of the spectrogram.
    config : NetworkConfig
    """

    bands: Tensor

    def __init__(self, n_labels: int, n_mels: int, config: NetworkConfig) -> None:
        super().__init__()
        bands = torch.tensor(network_bands(config, n_mels))
        self.register_buffer("bands", bands, persistent=False)
        body: Backbone = BACKBONES[config.kind](config.widths, config.blocks, len(bands))
        self.body = body
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Linear(body.n_features, n_labels)
        self.statistics: nn.Module | None = None
        if config.statistics:
            self.statistics = StatisticsBranch(len(bands), config.statistics, STATISTICS_DROPOUT)
            self.statistics_head = nn.Sequential(nn.Dropout(STATISTICS_DROPOUT), nn.Linear(config.statistics, n_labels))

    def forward(self, log_mel: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits and embedding of both branches together.

        Parameters
        ----------
        log_mel : Tensor, shape (batch, n_mels, n_frames)

        Returns
        -------
        tuple of Tensor
            `logits` (batch, n_labels) and `embedding` (batch, n_features).
        """
        logits, embedding = self.read_picture(log_mel)
        if self.statistics is None:
            return logits, embedding
        more, overall = self.read_statistics(log_mel)
        return logits + STATISTICS_SHARE * more, torch.cat([embedding, overall], dim=1)

    def read_picture(self, log_mel: Tensor) -> tuple[Tensor, Tensor]:
        """Return the logits and the features of the backbone.

        Parameters
        ----------
        log_mel : Tensor, shape (batch, n_mels, n_frames)
        """
        features = self.body(self._input(log_mel).unsqueeze(1))  # (batch, 1, n_bands, n_frames)
        return self.head(self.dropout(features)), features

    def read_statistics(self, log_mel: Tensor) -> tuple[Tensor, Tensor]:
        """Return the logits and the features of the statistics branch.

        Parameters
        ----------
        log_mel : Tensor, shape (batch, n_mels, n_frames)

        Raises
        ------
        ValueError
            The network has no such branch.
        """
        if self.statistics is None:
            raise ValueError("the network has no statistics branch: set `statistics` in its config")
        features = self.statistics(self._input(log_mel))
        return self.statistics_head(features), features

    def _input(self, log_mel: Tensor) -> Tensor:
        return standardise(log_mel.index_select(1, self.bands))
