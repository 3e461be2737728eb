"""Backbones, which map a standardised spectrogram to features, and a branch that reads clip statistics.

A backbone maps (batch, 1, n_bands, n_frames), with at least one frame, to (batch, n_features).

The clip statistics are the classic features of the field, computed inside the network: means and deviations of each
band and of its changes, covariances of the mel cepstrum (timbre), autocovariances of coarse bands over time (rhythm).
Alone they come close to a convolutional network; together they are better than either.
"""

from __future__ import annotations

import math
from contextlib import nullcontext

import torch
from torch import Tensor, nn

from genre_training.config import HEAD_WIDTH


def over_time(x: Tensor) -> Tensor:
    """Return mean and maximum over the last axis, side by side.

    Parameters
    ----------
    x : Tensor, shape (batch, channels, frames)
    """
    return torch.cat([x.mean(dim=2), x.amax(dim=2)], dim=1)


def halved(size: int, times: int) -> int:
    """Return the length of an axis after convolutions of stride 2.

    Parameters
    ----------
    size, times : int
        Length before, and number of convolutions.
    """
    return -(-size // (1 << times))


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with batch normalisation and a shortcut (He et al., 2015).

    Parameters
    ----------
    n_in, n_out : int
        Channels.
    stride : tuple of int
        In height and width.
    """

    def __init__(self, n_in: int, n_out: int, stride: tuple[int, int]) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(n_in, n_out, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(n_out)
        self.conv2 = nn.Conv2d(n_out, n_out, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(n_out)
        self.shortcut: nn.Module = nn.Identity()
        if stride != (1, 1) or n_in != n_out:
            # ceil_mode keeps a single frame alive where stride-2 pooling would drop it.
            pool = nn.AvgPool2d(stride, ceil_mode=True, count_include_pad=False) if stride != (1, 1) else nn.Identity()
            self.shortcut = nn.Sequential(pool, nn.Conv2d(n_in, n_out, 1, bias=False), nn.BatchNorm2d(n_out))

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, n_in, height, width) to (batch, n_out, height / stride, width / stride).

        Parameters
        ----------
        x : Tensor
        """
        out = torch.relu(self.norm1(self.conv1(x)))
        return torch.relu(self.norm2(self.conv2(out)) + self.shortcut(x))


class ResidualStages(nn.Sequential):
    """A stem and stages of residual blocks, of which each after the first halves the bands.

    Then one convolution as high as the picture turns bands into features: a network that averaged over bands could
    hardly tell a bass from a cymbal.

    Parameters
    ----------
    widths : tuple of int
        Channels of each stage.
    blocks : int
        Blocks per stage.
    n_bands : int
    time_stride : int
        Each stage after the first divides the frames by it.
    """

    def __init__(self, widths: tuple[int, ...], blocks: int, n_bands: int, time_stride: int) -> None:
        first, last = widths[0], widths[-1]
        layers: list[nn.Module] = [nn.Conv2d(1, first, 5, 2, padding=2, bias=False), nn.BatchNorm2d(first), nn.ReLU()]
        n_in = first
        for stage, width in enumerate(widths):
            for index in range(blocks):
                layers.append(ResidualBlock(n_in, width, (2, time_stride) if stage and not index else (1, 1)))
                n_in = width
        height = halved(n_bands, len(widths))
        layers += [nn.Conv2d(last, last, (height, 1), bias=False), nn.BatchNorm2d(last), nn.ReLU(), nn.Flatten(2)]
        super().__init__(*layers)


class Residual(nn.Module):
    """Residual CNN: the stages, then mean and maximum over time."""

    def __init__(self, widths: tuple[int, ...], blocks: int, n_bands: int) -> None:
        super().__init__()
        self.stages = ResidualStages(widths, blocks, n_bands, time_stride=2)
        self.n_features = 2 * widths[-1]

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, 1, n_bands, n_frames) to (batch, n_features).

        Parameters
        ----------
        x : Tensor
        """
        return over_time(self.stages(x))


class Crnn(nn.Module):
    """The same stages at half the frame rate, then a recurrent layer in both directions (Choi et al., 2017).

    Parameters
    ----------
    widths : tuple of int
    blocks, n_bands : int
        As in `ResidualStages`.
    """

    def __init__(self, widths: tuple[int, ...], blocks: int, n_bands: int) -> None:
        super().__init__()
        self.stages = ResidualStages(widths, blocks, n_bands, time_stride=1)
        self.recurrent = nn.GRU(widths[-1], widths[-1] // 2, batch_first=True, bidirectional=True)
        self.n_features = 2 * widths[-1]

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, 1, n_bands, n_frames) to (batch, n_features).

        Parameters
        ----------
        x : Tensor
        """
        steps, _ = self.recurrent(self.stages(x).transpose(1, 2))
        return over_time(steps.transpose(1, 2))


class Transformer(nn.Module):
    """A small audio transformer on patches of 20 bands and 4 frames (after Gong et al., 2021).

    Positions in time are sines, so that a track may be longer than a training crop.

    Parameters
    ----------
    widths : tuple of int
        Of the convolution and of the model.
    blocks : int
        Layers.
    n_bands : int
    """

    PATCH = (10, 2)

    def __init__(self, widths: tuple[int, ...], blocks: int, n_bands: int) -> None:
        super().__init__()
        first, width = widths[0], widths[-1]
        self.patches = nn.Sequential(
            nn.Conv2d(1, first, 5, 2, padding=2, bias=False),
            nn.BatchNorm2d(first),
            nn.ReLU(),
            nn.Conv2d(first, width, self.PATCH, self.PATCH, padding=(0, 1)),
        )
        rows = halved(n_bands, 1) // self.PATCH[0]
        self.row_positions = nn.Parameter(0.02 * torch.randn(1, width, rows, 1))
        layer = nn.TransformerEncoderLayer(width, width // HEAD_WIDTH, 3 * width, 0.1, "gelu", batch_first=True)
        self.layers = nn.TransformerEncoder(layer, blocks, enable_nested_tensor=False)
        self.n_features = 2 * width

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, 1, n_bands, n_frames) to (batch, n_features).

        Parameters
        ----------
        x : Tensor
        """
        x = self.patches(x)
        rates = torch.exp(-math.log(1e3) / x.shape[1] * torch.arange(0, x.shape[1], 2, device=x.device))
        angles = torch.arange(x.shape[3], device=x.device)[None, :] * rates[:, None]
        positions = torch.cat([angles.sin(), angles.cos()])[None, : x.shape[1], None, :]
        tokens = (x + self.row_positions + positions).flatten(2).transpose(1, 2)
        return over_time(self.layers(tokens).transpose(1, 2))


class Plain(nn.Module):
    """The CNN of the original report: 3x3 convolutions and max-pooling, then a fully connected layer.

    Parameters
    ----------
    widths : tuple of int
    blocks : int
        Convolutions per stage.
    n_bands : int
    """

    def __init__(self, widths: tuple[int, ...], blocks: int, n_bands: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        n_in = 1
        for width in widths:
            for _ in range(blocks):
                layers += [nn.Conv2d(n_in, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU()]
                n_in = width
            layers.append(nn.MaxPool2d(2, ceil_mode=True))
        self.convolutions = nn.Sequential(*layers)
        self.n_features = 2 * n_in
        self.connected = nn.Sequential(nn.Linear(n_in * halved(n_bands, len(widths)), self.n_features), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, 1, n_bands, n_frames) to (batch, n_features); the mean over time allows any length.

        Parameters
        ----------
        x : Tensor
        """
        features: Tensor = self.connected(self.convolutions(x).mean(dim=3).flatten(1))
        return features


N_COEFFICIENTS = 20
N_LAGS = 16
"""Largest lag of the autocovariances in frames: 1.9 s at a hop of 0.12 s."""
LARGEST_DEVIATION = 5.0
"""Features are clipped at so many standard deviations from their mean, so that none dominates the others."""


class ClipStatistics(nn.Module):
    """Statistics over time of a standardised spectrogram.

    Parameters
    ----------
    n_bands : int
    """

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
        """Map (batch, n_bands, n_frames), with at least one frame, to (batch, n_features).

        Parameters
        ----------
        x : Tensor
        """
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
    """Two layers on the normalised statistics.

    Parameters
    ----------
    n_bands, width : int
    dropout : float
        Probability of dropping a feature; half of it before the first layer.
    """

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
        """Map a standardised spectrogram (batch, n_bands, n_frames) to (batch, width).

        Parameters
        ----------
        x : Tensor
        """
        # Covariances of small differences do not survive half precision.
        autocast = torch.is_autocast_enabled(x.device.type)
        with torch.autocast(x.device.type, enabled=False) if autocast else nullcontext():
            features = self.norm(self.statistics(x.float()))
        result: Tensor = self.layers(features.clamp(-LARGEST_DEVIATION, LARGEST_DEVIATION))
        return result


def _changes(x: Tensor) -> Tensor:
    """Return differences between neighbouring frames, 0 for the last frame."""
    return nn.functional.pad(x[:, :, 1:] - x[:, :, :-1], (0, 1))


def _deviation(x: Tensor) -> Tensor:
    centred = x - x.mean(dim=2, keepdim=True)
    return (centred.square().mean(dim=2) + 1e-6).sqrt()
