"""What a clip is like on the whole: statistics of its spectrogram, and a small network that reads them.

The classic features of the field, computed inside the network: means and deviations of every band and of its
changes, covariances of the mel cepstrum (timbre), autocovariances of coarse bands over time (rhythm). Alone they
come close to a convolutional network; together they beat either.
"""

from __future__ import annotations

import math
from contextlib import nullcontext

import torch
from torch import Tensor, nn

N_COEFFICIENTS = 20
N_LAGS = 16
"""Frames up to which bands are compared with their own past: 1.9 s at a hop of 0.12 s."""
LARGEST_DEVIATION = 5.0
"""Features are cut off so many standard deviations from their mean: a siren shall not drown everything else."""


class ClipStatistics(nn.Module):
    """Statistics over time of a standardised spectrogram (batch, n_bands, n_frames): (batch, n_features)."""

    cosines: Tensor
    coarse: Tensor
    pairs: Tensor

    def __init__(self, n_bands: int) -> None:
        super().__init__()
        n = min(N_COEFFICIENTS, n_bands)
        k, band = torch.arange(n)[:, None], torch.arange(n_bands)[None, :]
        cosines = torch.cos(math.pi * k * (2 * band + 1) / (2 * n_bands)) * math.sqrt(2 / n_bands)
        cosines[0] /= math.sqrt(2)
        groups = nn.functional.one_hot(torch.arange(n_bands) * n // n_bands, n).T.float()
        rows, columns = torch.triu_indices(n, n)
        self.register_buffer("cosines", cosines, persistent=False)
        self.register_buffer("coarse", groups / groups.sum(dim=1, keepdim=True), persistent=False)
        self.register_buffer("pairs", rows * n + columns, persistent=False)
        self.n_features = 4 * n_bands + 2 * len(rows) + n * N_LAGS

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, n_bands, n_frames), any number of frames from one up, to (batch, n_features)."""
        cepstrum = self.cosines @ x
        parts = [x.mean(dim=2), _deviation(x), _changes(x).abs().mean(dim=2), _deviation(_changes(x))]
        parts += [self._covariances(cepstrum), self._covariances(_changes(cepstrum)), self._rhythm(x)]
        return torch.cat(parts, dim=1)

    def _covariances(self, x: Tensor) -> Tensor:
        centred = x - x.mean(dim=2, keepdim=True)
        covariance = centred @ centred.transpose(1, 2) / x.shape[2]
        return covariance.flatten(1).index_select(1, self.pairs)

    def _rhythm(self, x: Tensor) -> Tensor:
        bands = self.coarse @ x
        bands = bands - bands.mean(dim=2, keepdim=True)
        later = nn.functional.pad(bands, (0, N_LAGS))
        n_frames = x.shape[2]
        products = [(bands * later[:, :, lag : lag + n_frames]).mean(dim=2) for lag in range(1, N_LAGS + 1)]
        power = bands.square().mean(dim=2, keepdim=True)
        return (torch.stack(products, dim=2) / (power + 1e-2)).flatten(1)


class StatisticsBranch(nn.Module):
    """Two layers on the statistics, which are normalised first; gives (batch, width)."""

    def __init__(self, n_bands: int, width: int, dropout: float) -> None:
        super().__init__()
        self.statistics = ClipStatistics(n_bands)
        self.norm = nn.BatchNorm1d(self.statistics.n_features, affine=False)
        self.layers = nn.Sequential(
            nn.Dropout(dropout / 2),
            nn.Linear(self.statistics.n_features, width, bias=False),
            nn.BatchNorm1d(width),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(width, width, bias=False),
            nn.BatchNorm1d(width),
            nn.ReLU(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map a standardised spectrogram (batch, n_bands, n_frames) to (batch, width)."""
        # Covariances of small differences do not survive half precision.
        autocast = torch.is_autocast_enabled(x.device.type)
        with torch.autocast(x.device.type, enabled=False) if autocast else nullcontext():
            features = self.norm(self.statistics(x.float()))
        result: Tensor = self.layers(features.clamp(-LARGEST_DEVIATION, LARGEST_DEVIATION))
        return result


def _changes(x: Tensor) -> Tensor:
    """Differences between neighbouring frames; the last, which has no neighbour, counts as unchanged."""
    return nn.functional.pad(x[:, :, 1:] - x[:, :, :-1], (0, 1))


def _deviation(x: Tensor) -> Tensor:
    centred = x - x.mean(dim=2, keepdim=True)
    return (centred.square().mean(dim=2) + 1e-6).sqrt()
