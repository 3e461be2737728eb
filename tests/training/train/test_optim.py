"""Which parameters the optimizer decays."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from genre_training.config import TrainingConfig
from genre_training.model.network import GenreNetwork, NetworkConfig
from genre_training.train.optim import make_optimizer


@pytest.mark.parametrize("kind", ["residual", "crnn", "transformer", "plain"])
def test_weight_decay_spares_biases_and_normalisation(kind: str) -> None:
    """A step with gradients of zero changes a parameter by its weight decay alone."""
    network = GenreNetwork(3, 48, NetworkConfig(kind, widths=(4, 16), statistics=8, n_bands=48))
    for parameter in network.parameters():
        nn.init.ones_(parameter)
        parameter.grad = torch.zeros_like(parameter)
    make_optimizer(network, TrainingConfig(learning_rate=0.1, weight_decay=0.5)).step()
    for name, parameter in network.named_parameters():
        is_weight_of_a_layer = parameter.ndim > 1
        expected = 1 - 0.1 * 0.5 if is_weight_of_a_layer else 1.0
        torch.testing.assert_close(parameter, torch.full_like(parameter, expected), msg=name)


def test_adam_decays_nothing() -> None:
    network = nn.Linear(2, 2)
    before = network.weight.detach().clone()
    for parameter in network.parameters():
        parameter.grad = torch.zeros_like(parameter)
    make_optimizer(network, TrainingConfig(optimizer="adam", weight_decay=0.5)).step()
    assert torch.equal(network.weight, before)
