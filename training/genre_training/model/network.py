"""Networks that map a log-mel spectrogram to genre logits.

Input `log_mel`: float32, shape (batch, n_mels, n_frames), at least one frame, as the front end of the network's branch
gives it (`front_end`). Output: `logits` (batch, n_labels) and `embedding` (batch, n_features). A picture is
standardised by its own mean and deviation, so neither its level nor the other clips of the batch matter.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from genre_runtime import FINE_AUDIO, AudioConfig, FloatArray, band_centres, kaldi_mel
from genre_training.config import Branch, NetworkConfig, NetworkKind
from genre_training.data.features import picked_bands
from genre_training.model.backbones import Crnn, Plain, Residual, StatisticsBranch, Transformer
from genre_training.model.mobilenet import MobileNet, class_head
from genre_training.model.tags import N_CLASSES

STATISTICS_DROPOUT = 0.5
STATISTICS_SHARE = 0.6
"""Weight of the second branch's logits: it is the weaker of the two by itself."""

PICTURE_SCALE, PICTURE_OFFSET = 0.55, -0.3
"""Deviation and mean of the spectrograms that the weights of `mn04_as` know: a picture is brought to them."""

Backbone = MobileNet | Residual | Crnn | Transformer | Plain

BACKBONES: dict[NetworkKind, type[Residual | Crnn | Transformer | Plain]] = {
    "residual": Residual,
    "crnn": Crnn,
    "transformer": Transformer,
    "plain": Plain,
}


def front_end(branch: Branch) -> AudioConfig:
    """Return the front end whose spectrograms a branch reads.

    Parameters
    ----------
    branch : {"picture", "audio"}
    """
    return FINE_AUDIO if branch == "audio" else AudioConfig()


def network_bands(config: NetworkConfig, n_mels: int) -> tuple[int, ...]:
    """Return the mel bands that a network sees, in order.

    Parameters
    ----------
    config : NetworkConfig
    n_mels : int
        Bands of the spectrogram.
    """
    if config.branch == "audio":  # no source gives fine spectrograms as pictures
        return tuple(range(n_mels))
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


def kaldi_bands(bands: Sequence[int]) -> FloatArray:
    """Return the matrix that interpolates bands of a picture at the bands of `FINE_AUDIO`, as far up as they reach.

    Weights that were taught on fine spectrograms then find each pitch where they expect it.

    Parameters
    ----------
    bands : sequence of int
        Mel bands that the network sees.

    Returns
    -------
    float32 array, shape (n_interpolated, n_bands)
    """
    known = kaldi_mel(band_centres(AudioConfig())[list(bands)])
    wanted = kaldi_mel(band_centres(FINE_AUDIO))
    wanted = wanted[wanted <= known[-1]]
    return np.stack([np.interp(wanted, known, row) for row in np.eye(len(known))], axis=1).astype(np.float32)


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
    warp: Tensor
    class_mean: Tensor
    class_deviation: Tensor

    def __init__(self, n_labels: int, n_mels: int, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        bands = network_bands(config, n_mels)
        self.register_buffer("bands", torch.tensor(bands), persistent=False)
        body: Backbone
        if config.kind == "mobilenet":
            body = MobileNet(config.width)
            if config.branch == "picture":
                self.register_buffer("warp", torch.from_numpy(kaldi_bands(bands)), persistent=False)
        else:
            body = BACKBONES[config.kind](config.widths, config.blocks, len(bands))
        self.body = body
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Linear(N_CLASSES if config.reads == "classes" else body.n_features, n_labels)
        if config.reads == "classes":
            self.register_buffer("class_mean", torch.zeros(N_CLASSES))
            self.register_buffer("class_deviation", torch.ones(N_CLASSES))
        self.classes = class_head(body.n_features, N_CLASSES, config.width) if config.tags else None
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
        picture = self._input(log_mel)
        if self.config.kind == "mobilenet" and self.config.branch == "picture":
            picture = (PICTURE_SCALE * (self.warp @ picture) + PICTURE_OFFSET).repeat_interleave(self.config.stretch, 2)
        features = self.body(picture.unsqueeze(1))  # (batch, 1, n_bands, n_frames)
        return self.head(self.read_for_head(self.dropout(features))), features

    def read_for_head(self, embedding: Tensor) -> Tensor:
        """Return what the last layer reads: the features, or the standardised logits of AudioSet's classes.

        Parameters
        ----------
        embedding : Tensor, shape (batch, n_features)
        """
        if self.config.reads == "features":
            return embedding
        return (self.read_classes(embedding) - self.class_mean) / self.class_deviation

    def read_classes(self, embedding: Tensor) -> Tensor:
        """Return the logits of AudioSet's classes.

        Parameters
        ----------
        embedding : Tensor, shape (batch, n_features)

        Raises
        ------
        ValueError
            The network has no such head.
        """
        if self.classes is None:
            raise ValueError("the network does not answer AudioSet's classes: set `tags` in its config")
        logits: Tensor = self.classes(embedding)
        return logits

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
        if self.config.branch == "audio":
            return log_mel
        return standardise(log_mel.index_select(1, self.bands))
