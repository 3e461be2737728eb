"""The training loop on clips that are easy to tell apart."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from genre_training import loop
from genre_training.config import DataConfig, Recipe, TrainingConfig
from genre_training.loop import NonFiniteLossError, TrainingData, draw_clips, fit
from genre_training.networks import NetworkConfig, ResidualCnn
from genre_training.splits import Split

CPU = torch.device("cpu")
RECIPE = Recipe(
    DataConfig(seed=1),
    NetworkConfig(widths=(4, 8), blocks=1, dropout=0.0),
    TrainingConfig(
        epochs=6,
        batch_size=12,
        learning_rate=1e-2,
        warmup_epochs=1,
        mixup_alpha=0.0,
        equaliser_db=0.0,
        low_pass_share=0.0,
        frequency_mask=4,
        time_mask=2,
        ema_decay=0.8,
    ),
)


@pytest.fixture(scope="module")
def data() -> TrainingData:
    """Ninety clips of three labels: every fourth band is loud, every fourth frame, or neither."""
    rng = np.random.default_rng(0)
    labels = np.arange(90) % 3
    clips = rng.uniform(-80, -50, (90, 48, 40))
    clips[labels == 0, ::4] += 40
    clips[labels == 1, :, ::4] += 40
    positions = np.arange(90)
    split = Split(positions[:60], positions[60:75], positions[75:])
    sources = np.full(90, "synthetic")
    return TrainingData(torch.from_numpy(clips).half(), labels, sources, ("a", "b", "c"), split, crop_frames=20)


def run(data: TrainingData, recipe: Recipe) -> tuple[list[dict[str, float]], list[dict[str, Any]]]:
    """Train; returns the history and every checkpoint that was saved."""
    saved: list[dict[str, Any]] = []
    history = fit(data, recipe, CPU, lambda best: saved.append(copy.deepcopy(best)))
    return history, saved


def with_seed(seed: int) -> Recipe:
    return replace(RECIPE, data=DataConfig(seed=seed), training=replace(RECIPE.training, epochs=2))


def test_separable_genres_are_learnt(data: TrainingData) -> None:
    history, _ = run(data, RECIPE)
    assert [entry["epoch"] for entry in history] == [1, 2, 3, 4, 5, 6]
    assert history[-1]["train_loss"] < 0.7 * history[0]["train_loss"]
    assert history[-1]["val_loss"] < 0.7 * history[0]["val_loss"]
    assert history[-1]["val_acc"] == 1.0
    assert history[0]["learning_rate"] == pytest.approx(1e-2)  # the end of the warm-up
    assert history[-1]["learning_rate"] < 1e-3


def test_only_a_better_validation_loss_is_saved(data: TrainingData, monkeypatch: pytest.MonkeyPatch) -> None:
    losses = iter([1.0, 0.5, 0.8, 0.4, 0.4, 0.6])
    monkeypatch.setattr(loop, "evaluate", lambda *_: {"log_loss": next(losses), "accuracy": 0.25, "macro_f1": 0.125})
    history, saved = run(data, RECIPE)
    assert [(best["epoch"], best["val_loss"]) for best in saved] == [(1, 1.0), (2, 0.5), (4, 0.4)]
    best = saved[-1]
    assert best["val_acc"] == 0.25
    assert best["history"] == history[:4]
    assert {"model_state_dict", "optimizer_state_dict"} <= best.keys()


def test_saved_weights_are_those_that_were_validated(data: TrainingData) -> None:
    _, saved = run(data, RECIPE)
    network = ResidualCnn(3, 48, RECIPE.network)
    network.load_state_dict(saved[-1]["model_state_dict"])
    metrics = loop.evaluate(network, data, data.split.validation, CPU)
    assert metrics["log_loss"] == pytest.approx(saved[-1]["val_loss"], rel=1e-4)


def test_same_seed_same_weights_other_seed_other_weights(data: TrainingData) -> None:
    first, second, other = (run(data, with_seed(seed))[1][-1]["model_state_dict"] for seed in (1, 1, 2))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["head.weight"], other["head.weight"])


def test_fewer_clips_than_a_batch_still_train(data: TrainingData) -> None:
    recipe = replace(RECIPE, training=replace(RECIPE.training, batch_size=1000, epochs=1))
    assert math.isfinite(run(data, recipe)[0][0]["train_loss"])


def after(n_steps: int, spoil: Callable[[nn.Module], float | None]) -> Callable[..., float]:
    """Stand in for `_step` that calls `spoil` from step `n_steps` on; what it returns is the loss."""
    real, count = loop._step, iter(range(10**6))

    def step(network: nn.Module, optimizer: torch.optim.Optimizer, *rest: Any) -> float:
        loss = real(network, optimizer, *rest)
        spoilt = spoil(network) if next(count) >= n_steps else None
        return loss if spoilt is None else spoilt

    return step


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_loss_that_is_not_finite_stops_and_keeps_the_best(
    data: TrainingData, monkeypatch: pytest.MonkeyPatch, loss: float
) -> None:
    monkeypatch.setattr(loop, "_step", after(7, lambda network: loss))
    saved: list[dict[str, Any]] = []
    with pytest.raises(NonFiniteLossError, match=f"the loss is {loss} in epoch 2, batch 3 .* lower learning_rate"):
        fit(data, RECIPE, CPU, saved.append)
    assert [best["epoch"] for best in saved] == [1]


def test_weights_that_are_not_finite_stop_before_validation_believes_them(
    data: TrainingData, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A gradient can overflow in an epoch's last step, after the last loss was looked at."""

    def destroy(network: nn.Module) -> None:
        with torch.no_grad():
            next(network.parameters()).fill_(math.nan)

    monkeypatch.setattr(loop, "_step", after(4, destroy))
    saved: list[dict[str, Any]] = []
    with pytest.raises(NonFiniteLossError, match="no finite numbers any more"):
        fit(data, RECIPE, CPU, saved.append)
    assert saved == []


def test_step_with_a_loss_that_is_not_finite_leaves_the_weights() -> None:
    class Head(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(2, 2)

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            return self.linear(x), x

    network = Head()
    before = network.linear.weight.clone()
    optimizer = torch.optim.AdamW(network.parameters(), 0.1)
    assert math.isnan(loop._step(network, optimizer, torch.full((1, 2), math.nan), torch.eye(2)[:1], 0.0))
    assert torch.equal(network.linear.weight, before)
    assert math.isfinite(loop._step(network, optimizer, torch.ones(1, 2), torch.eye(2)[:1], 0.0))
    assert not torch.equal(network.linear.weight, before)


def test_small_sources_are_drawn_more_often() -> None:
    sources = np.array(["large"] * 90 + ["small"] * 10)
    as_they_come = draw_clips(sources, 1.0, np.random.default_rng(0))
    assert sorted(as_they_come.tolist()) == list(range(100))
    rooted = draw_clips(sources, 0.5, np.random.default_rng(0))
    counts = np.bincount(rooted, minlength=100)
    assert counts[90:].sum() == 25  # sqrt(10) to sqrt(90) is one to three
    assert set(counts[90:]) == {2, 3}
    assert counts[:90].max() == 1
