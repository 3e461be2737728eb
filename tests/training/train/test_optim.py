"""Which parameters the optimizer decays, and how the weights are averaged."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from genre_training.config import NetworkConfig, NetworkKind, TrainingConfig
from genre_training.model.network import GenreNetwork
from genre_training.train.trainer import make_optimizer, running_average


@pytest.mark.parametrize("kind", ["residual", "crnn", "transformer", "plain"])
def test_weight_decay_spares_biases_and_normalisation(kind: NetworkKind) -> None:
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


def test_running_average_is_the_exponential_one_with_a_rising_decay() -> None:
    """The n-th update keeps min(decay, (1 + n) / (10 + n)) of the average; integers are copied."""
    torch.manual_seed(0)
    network = nn.BatchNorm1d(3)
    average = running_average(network, 0.25)
    expected = torch.zeros(3)
    for n in range(5):
        nn.init.normal_(network.weight)
        network(torch.randn(4, 3))
        average.update_parameters(network)
        kept = min(0.25, (1 + n) / (10 + n)) if n else 0.0
        expected = kept * expected + (1 - kept) * network.weight.detach()
    found = average.module.state_dict()
    torch.testing.assert_close(found["weight"], expected)
    assert found["num_batches_tracked"] == 5
    assert not torch.equal(found["running_mean"], network.state_dict()["running_mean"])
