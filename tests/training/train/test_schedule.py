"""The learning rate over a run, and the running average of the weights."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from torch import nn

from genre_training.train.trainer import learning_rate_factor, running_average


def test_learning_rate_warms_up_and_falls_as_a_cosine() -> None:
    factors = [learning_rate_factor(step, 100, 20) for step in range(101)]
    assert factors[:20] == pytest.approx([(i + 1) / 20 for i in range(20)])
    assert factors[20] == 1.0
    assert factors[60] == pytest.approx(0.5)
    assert factors[40] == pytest.approx(0.5 * (1 + math.cos(math.pi / 4)))
    assert factors[100] == pytest.approx(0.0)
    assert all(a > b for a, b in pairwise(factors[20:]))


def test_learning_rate_without_warm_up_and_with_nothing_else() -> None:
    assert learning_rate_factor(0, 10, 0) == 1.0
    assert [learning_rate_factor(step, 4, 4) for step in range(4)] == [0.25, 0.5, 0.75, 1.0]


@pytest.mark.parametrize(("decay", "expected"), [(0.0, 3.0), (0.5, 0.25 * (2 / 11 * 1 + 9 / 11 * 2) + 0.75 * 3)])
def test_running_average_of_the_weights(decay: float, expected: float) -> None:
    """After 1, 2, 3 at decay 0.5: its share is at first (1 + n) / (10 + n), so 2/11 and then 3/12 of the old."""
    network = nn.Linear(1, 1, bias=False)
    average = running_average(network, decay)
    for value in (1.0, 2.0, 3.0):
        with torch.no_grad():
            network.weight.fill_(value)
        average.update_parameters(network)
    assert next(average.module.parameters()).item() == pytest.approx(expected)
