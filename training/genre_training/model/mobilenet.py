"""MobileNetV3 for spectrograms: the backbone of EfficientAT's `mn04_as`, and its head of AudioSet classes.

Architecture: Howard et al., "Searching for MobileNetV3", 2019, its large variant at a fraction of the width; weights
and the use on spectrograms: Schmid et al., "Efficient large-scale audio tagging", 2023. Squeeze-and-excitation is over
channels. Names of the tensors are those of the published checkpoint, so that it loads as it is.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

BATCH_NORM_EPSILON = 1e-3


class BlockShape(NamedTuple):
    """One row of table 1 of Howard et al., at full width."""

    kernel: int
    expanded: int
    out: int
    squeeze: bool
    hard_swish: bool
    stride: int


LARGE = (
    BlockShape(3, 16, 16, False, False, 1),
    BlockShape(3, 64, 24, False, False, 2),
    BlockShape(3, 72, 24, False, False, 1),
    BlockShape(5, 72, 40, True, False, 2),
    BlockShape(5, 120, 40, True, False, 1),
    BlockShape(5, 120, 40, True, False, 1),
    BlockShape(3, 240, 80, False, True, 2),
    BlockShape(3, 200, 80, False, True, 1),
    BlockShape(3, 184, 80, False, True, 1),
    BlockShape(3, 184, 80, False, True, 1),
    BlockShape(3, 480, 112, True, True, 1),
    BlockShape(3, 672, 112, True, True, 1),
    BlockShape(5, 672, 160, True, True, 2),
    BlockShape(5, 960, 160, True, True, 1),
    BlockShape(5, 960, 160, True, True, 1),
)
FIRST_CHANNELS = 16
LAST_CHANNELS = 6
"""Channels of the last convolution, as a multiple of those before it."""
CLASSIFIER_WIDTH = 1280
SQUEEZE = 4


def rounded(channels: float) -> int:
    """Return the multiple of 8 next to a number of channels, not below nine tenths of it.

    Parameters
    ----------
    channels : float
    """
    nearest = max(8, int(channels + 4) // 8 * 8)
    return nearest if nearest >= 0.9 * channels else nearest + 8


class SqueezeLayers(nn.Module):
    """Two layers from means of channels to their factors.

    Parameters
    ----------
    channels : int
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        squeezed = rounded(channels / SQUEEZE)
        self.fc1 = nn.Linear(channels, squeezed)
        self.fc2 = nn.Linear(squeezed, channels)

    def forward(self, means: Tensor) -> Tensor:
        """Map (batch, channels) to factors of the same shape, 0 to 1.

        Parameters
        ----------
        means : Tensor
        """
        factors: Tensor = self.fc2(torch.relu(self.fc1(means))).sigmoid()
        return factors


class SqueezeExcitation(nn.Module):
    """Scales each channel by a factor that depends on the means of all channels (Hu et al., 2018).

    Parameters
    ----------
    channels : int
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conc_se_layers = nn.Sequential(SqueezeLayers(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, channels, height, width) to the same shape.

        Parameters
        ----------
        x : Tensor
        """
        scale: Tensor = self.conc_se_layers(x.mean(dim=(2, 3)))
        return x * scale[:, :, None, None]


def _convolution(
    n_in: int, n_out: int, kernel: int, activation: type[nn.Module] | None, stride: int = 1, groups: int = 1
) -> nn.Sequential:
    layers: list[nn.Module] = [
        nn.Conv2d(n_in, n_out, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(n_out, BATCH_NORM_EPSILON),
    ]
    return nn.Sequential(*layers, *([activation()] if activation else []))


class InvertedResidual(nn.Module):
    """Expansion, depthwise convolution, squeeze-and-excitation, projection; a shortcut if the shapes agree.

    Parameters
    ----------
    n_in : int
        Channels of the input.
    shape : BlockShape
    width : float
        Fraction of the full width.
    """

    def __init__(self, n_in: int, shape: BlockShape, width: float) -> None:
        super().__init__()
        expanded, n_out = rounded(shape.expanded * width), rounded(shape.out * width)
        activation = nn.Hardswish if shape.hard_swish else nn.ReLU
        layers: list[nn.Module] = []
        if shape.expanded != FIRST_CHANNELS:
            layers.append(_convolution(n_in, expanded, 1, activation))
        layers.append(_convolution(expanded, expanded, shape.kernel, activation, shape.stride, groups=expanded))
        if shape.squeeze:
            layers.append(SqueezeExcitation(expanded))
        layers.append(_convolution(expanded, n_out, 1, None))
        self.block = nn.Sequential(*layers)
        self.shortcut = shape.stride == 1 and n_in == n_out

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, n_in, height, width) to (batch, n_out, height / stride, width / stride).

        Parameters
        ----------
        x : Tensor
        """
        out: Tensor = self.block(x)
        return out + x if self.shortcut else out


class MobileNet(nn.Module):
    """The backbone: convolutions, then the mean over both axes.

    Parameters
    ----------
    width : float
        Fraction of the full width: 0.4 for `mn04_as`.
    """

    def __init__(self, width: float = 0.4) -> None:
        super().__init__()
        n_in = rounded(FIRST_CHANNELS * width)
        layers: list[nn.Module] = [_convolution(1, n_in, 3, nn.Hardswish, stride=2)]
        for shape in LARGE:
            layers.append(InvertedResidual(n_in, shape, width))
            n_in = rounded(shape.out * width)
        self.n_features = LAST_CHANNELS * n_in
        layers.append(_convolution(n_in, self.n_features, 1, nn.Hardswish))
        self.features = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, 1, n_bands, n_frames) to (batch, n_features).

        Parameters
        ----------
        x : Tensor
        """
        pooled: Tensor = self.features(x).mean(dim=(2, 3))
        return pooled


def class_head(n_features: int, n_classes: int, width: float = 0.4) -> nn.Sequential:
    """Return the layers from the embedding to the logits of AudioSet's classes.

    Parameters
    ----------
    n_features, n_classes : int
    width : float
        As of the backbone.
    """
    hidden = rounded(CLASSIFIER_WIDTH * width)
    return nn.Sequential(
        nn.Identity(),
        nn.Identity(),
        nn.Linear(n_features, hidden),
        nn.Hardswish(),
        nn.Dropout(0.2),
        nn.Linear(hidden, n_classes),
    )
