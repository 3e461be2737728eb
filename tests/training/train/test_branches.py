"""What each branch is shown in training: a part of each crop, and all of it."""

from __future__ import annotations

from typing import cast

import pytest
import torch
from torch import Tensor, nn

from genre_training.config import NetworkConfig, TrainingConfig
from genre_training.model.network import GenreNetwork
from genre_training.train.trainer import NetworkInTraining

UNMASKED = TrainingConfig(frequency_mask=0, time_mask=0)


class Listener(nn.Module):
    """A network that keeps what it is shown."""

    def __init__(self) -> None:
        super().__init__()
        self.statistics = nn.Identity()
        self.body, self.classes = nn.Identity(), None
        self.picture = self.whole = torch.zeros(0)

    def read_picture(self, log_mel: Tensor) -> tuple[Tensor, Tensor]:
        self.picture = log_mel
        return log_mel[:, :3, 0], log_mel

    def read_statistics(self, log_mel: Tensor) -> tuple[Tensor, Tensor]:
        self.whole = log_mel
        return log_mel[:, :3, 0], log_mel


@pytest.mark.parametrize(("picture_frames", "length"), [(4, 4), (10, 10), (50, 10)])
def test_the_body_sees_a_part_from_a_place_of_its_own_in_each_crop(picture_frames: int, length: int) -> None:
    torch.manual_seed(0)
    listener = Listener()
    crops = (100.0 * torch.arange(200)[:, None, None] + torch.arange(10)).expand(200, 5, 10)
    logits = NetworkInTraining(cast(GenreNetwork, listener), UNMASKED, picture_frames)(crops).logits
    assert logits.shape == (2, 200, 3)
    assert torch.equal(listener.whole, crops)
    assert listener.picture.shape == (200, 5, length)
    frames = listener.picture[:, 0] - crops[:, 0, :1]
    assert (frames.diff(dim=1).round() == 1).all()
    starts = frames[:, 0].round().int().tolist()
    assert set(starts) == set(range(10 - length + 1))


def test_a_step_can_be_compiled_as_one_graph() -> None:
    network = GenreNetwork(3, 48, NetworkConfig(widths=(4, 4), statistics=8, n_bands=48))
    step = torch.compile(NetworkInTraining(network, TrainingConfig(), 12), backend="eager", fullgraph=True)
    logits = step(torch.rand(4, 48, 20) * -80).logits
    assert logits.shape == (2, 4, 3)
    logits.sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())
