"""The training loop on clips that are easy to tell apart."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from genre_training.config import DataConfig, Recipe, TrainingConfig
from genre_training.data.splits import TrainingData
from genre_training.evaluate.metrics import excerpt_logits, fit_temperature, metrics, track_probabilities
from genre_training.model.checkpoint import Checkpoint
from genre_training.model.network import GenreNetwork
from genre_training.train import trainer as loop
from genre_training.train.batches import Batch, Batches, class_weights, draw_clips, epoch_batches
from genre_training.train.trainer import NonFiniteLossError, State, Trainer, weighted_cross_entropy
from tests.training.easy import RECIPE, easy_data, fit

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def data() -> TrainingData:
    return easy_data()


def run(data: TrainingData, recipe: Recipe) -> tuple[list[dict[str, Any]], list[Checkpoint]]:
    """Train; returns the history and every checkpoint that was saved."""
    saved: list[Checkpoint] = []
    return fit(Trainer(data, recipe, CPU), recipe.training.epochs, saved.append), saved


def with_seed(seed: int) -> Recipe:
    return replace(RECIPE, data=DataConfig(seed=seed), training=replace(RECIPE.training, epochs=2))


def test_separable_genres_are_learnt(data: TrainingData) -> None:
    history, _ = run(data, RECIPE)
    assert [entry["epoch"] for entry in history] == [1, 2, 3, 4, 5, 6]
    assert history[-1]["train_loss"] < 0.7 * history[0]["train_loss"]
    assert history[-1]["val_loss"] < 0.7 * history[0]["val_loss"]
    assert history[-1]["val_acc"] >= 0.9
    assert history[0]["learning_rate"] == pytest.approx(1e-2)  # the end of the warm-up
    assert history[-1]["learning_rate"] < 1e-3


def test_only_a_better_validation_loss_is_saved(data: TrainingData, monkeypatch: pytest.MonkeyPatch) -> None:
    losses = iter([1.0, 0.5, 0.8, 0.4, 0.4, 0.6])
    monkeypatch.setattr(Trainer, "validate", lambda _: {"log_loss": next(losses), "accuracy": 0.25, "macro_f1": 0.125})
    history, saved = run(data, RECIPE)
    assert [(best.epoch, best.val_loss) for best in saved] == [(1, 1.0), (2, 0.5), (4, 0.4)]
    best = saved[-1]
    assert best.val_acc == 0.25
    assert best.history == history[:4]
    assert best.optimizer_state_dict


@pytest.mark.parametrize("start_share", [0.0, 0.5])
def test_saved_weights_are_those_that_were_validated(data: TrainingData, start_share: float) -> None:
    _, saved = run(data, replace(RECIPE, training=replace(RECIPE.training, start_share=start_share)))
    network = GenreNetwork(3, 48, RECIPE.network)
    network.load_state_dict(saved[-1].model_state_dict)
    part = data.split.validation
    logits = excerpt_logits(network, data.clips[part], data.excerpt_frames, CPU)
    temperature = fit_temperature(logits, data.labels[part])
    found = metrics(track_probabilities(logits, temperature), data.labels[part], data.names)
    assert found["log_loss"] == pytest.approx(saved[-1].val_loss, rel=1e-4)


def test_kept_weights_are_drawn_back_towards_the_start(data: TrainingData) -> None:
    """The steps do not depend on the share: what is kept lies between the start and what is kept without it."""
    recipes = [
        replace(RECIPE, training=replace(RECIPE.training, epochs=1, start_share=share)) for share in (0.0, 0.25, 1.0)
    ]
    trained, drawn, start = (run(data, recipe)[1][-1].model_state_dict for recipe in recipes)
    for name, tensor in start.items():
        if tensor.is_floating_point():
            torch.testing.assert_close(drawn[name], 0.75 * trained[name] + 0.25 * tensor)
    assert not torch.equal(trained["head.weight"], start["head.weight"])


def test_overconfident_but_more_accurate_epoch_is_kept(data: TrainingData, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second epoch is right more often, but so sure of its errors that its log-loss is higher until calibrated."""
    labels = data.labels[data.split.validation]
    epochs = []
    for n_right, scale in ((9, 2.0), (12, 12.0)):
        answers = np.where(np.arange(len(labels)) < n_right, labels, (labels + 1) % 3)
        epochs.append(scale * np.eye(3)[answers][:, None])
    raw = [metrics(track_probabilities(logits), labels, data.names)["log_loss"] for logits in epochs]
    assert raw[1] > raw[0]
    remaining = iter(epochs)
    monkeypatch.setattr(loop, "excerpt_logits", lambda *_: next(remaining))
    trainer = Trainer(data, RECIPE, CPU)
    assert [trainer.run_epoch() for _ in epochs] == [True, True]
    assert [entry["val_acc"] for entry in trainer.history] == [0.6, 0.8]


def test_same_seed_same_weights_other_seed_other_weights(data: TrainingData) -> None:
    first, second, other = (run(data, with_seed(seed))[1][-1].model_state_dict for seed in (1, 1, 2))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["head.weight"], other["head.weight"])


def test_smoothed_labels_bound_the_loss_from_below(data: TrainingData) -> None:
    """A target of 2/3, 1/6 and 1/6 has an entropy of 0.868, and no answer a smaller cross-entropy."""
    plain, smooth = (
        run(data, replace(RECIPE, training=replace(RECIPE.training, label_smoothing=share)))[0][-1]["train_loss"]
        for share in (0.0, 0.5)
    )
    assert plain < 0.6
    assert smooth > 0.868


def test_clips_without_weight_do_not_count_in_the_loss() -> None:
    logits, targets = torch.tensor([[2.0, 0.0], [0.0, 3.0]]), torch.eye(2)
    losses = [math.log1p(math.exp(-2.0)), math.log1p(math.exp(-3.0))]
    for weights, expected in (([1.0, 0.0], losses[0]), ([1.0, 3.0], (losses[0] + 3 * losses[1]) / 2), ([0.0, 0.0], 0)):
        loss = weighted_cross_entropy(logits, targets, torch.tensor(weights), 0.0)
        assert loss.item() == pytest.approx(expected)


def test_every_epoch_and_seed_has_randomness_of_its_own(data: TrainingData, monkeypatch: pytest.MonkeyPatch) -> None:
    """Dropout and masks draw from torch's generator."""
    draws: list[float] = []

    def drawn(_: nn.Module) -> float:
        draws.append(torch.rand(1).item())
        return 1.0

    monkeypatch.setattr(loop, "_step", after(0, drawn))
    for seed in (1, 2):
        run(data, with_seed(seed))
    assert len(draws) == len(set(draws)) == 2 * 2 * 5


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
    saved: list[Checkpoint] = []
    with pytest.raises(NonFiniteLossError, match=f"the loss is {loss} in epoch 2, batch 3 .* lower learning_rate"):
        fit(Trainer(data, RECIPE, CPU), 6, saved.append)
    assert [best.epoch for best in saved] == [1]


def test_weights_that_are_not_finite_stop_before_validation_believes_them(
    data: TrainingData, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A gradient can overflow in an epoch's last step, after the last loss was looked at."""

    def destroy(network: nn.Module) -> None:
        with torch.no_grad():
            next(network.parameters()).fill_(math.nan)

    monkeypatch.setattr(loop, "_step", after(4, destroy))
    saved: list[Checkpoint] = []
    with pytest.raises(NonFiniteLossError, match="not finite numbers any more"):
        fit(Trainer(data, RECIPE, CPU), 6, saved.append)
    assert saved == []


def test_step_with_a_loss_that_is_not_finite_leaves_the_weights() -> None:
    class Head(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(2, 2)

        def forward(self, x: Tensor) -> loop.Answers:
            return loop.Answers(self.linear(x)[None])

    network = Head()
    before = network.linear.weight.clone()
    optimizer = torch.optim.AdamW(network.parameters(), 0.1)
    batch = Batch(torch.zeros(1), torch.full((1, 2), math.nan), torch.eye(2)[:1], torch.ones(1), torch.zeros(1, 2))
    assert math.isnan(loop._step(network, optimizer, batch, UNSMOOTHED))
    assert torch.equal(network.linear.weight, before)
    assert math.isfinite(loop._step(network, optimizer, batch._replace(crops=torch.ones(1, 2)), UNSMOOTHED))
    assert not torch.equal(network.linear.weight, before)


UNSMOOTHED = TrainingConfig(label_smoothing=0.0)


class Fixed(nn.Module):
    """Branches whose logits are parameters, whatever the crops."""

    def __init__(self, logits: list[list[float]], scale: float = 1.0) -> None:
        super().__init__()
        self.logits, self.scale = nn.Parameter(torch.tensor(logits)), scale

    def forward(self, x: Tensor) -> loop.Answers:
        return loop.Answers((self.scale * self.logits)[:, None].expand(-1, len(x), -1))


def gradient_of_a_step(network: Fixed) -> Tensor:
    """Return what one step of size 1 takes from the logits; the target is the first of two labels."""
    before = network.logits.detach().clone()
    batch = Batch(torch.zeros(1), torch.zeros(1, 1, 1), torch.eye(2)[:1], torch.ones(1), torch.zeros(1, 2))
    loop._step(network, torch.optim.SGD(network.parameters(), 1.0), batch, UNSMOOTHED)
    return before - network.logits.detach()


def test_large_gradients_are_clipped() -> None:
    """At scale 1000 the gradient of equal logits is 1000 * (-0.5, 0.5): its direction stays, its norm becomes 5."""
    gradient = gradient_of_a_step(Fixed([[0.0, 0.0]], scale=1000.0))
    assert gradient.tolist() == [pytest.approx([-5 / math.sqrt(2), 5 / math.sqrt(2)], rel=1e-4)]
    assert gradient_of_a_step(Fixed([[0.0, 0.0]], scale=2.0)).tolist() == [pytest.approx([-1.0, 1.0])]


def test_each_branch_has_a_loss_of_its_own() -> None:
    """The gradient of a branch follows from its own logits: the loss of the summed logits would give both the same."""
    gradient = gradient_of_a_step(Fixed([[1.0, 0.0], [0.0, 2.0]]))
    wrong = [math.exp(0.0) / (math.exp(1.0) + math.exp(0.0)), math.exp(2.0) / (math.exp(0.0) + math.exp(2.0))]
    assert gradient.tolist() == [pytest.approx([-share, share]) for share in wrong]


@pytest.mark.parametrize("tag_weight", [0.5, 2.0])
def test_answers_for_tags_are_drawn_to_those_of_the_starting_weights(tag_weight: float) -> None:
    class Tags(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.classes = nn.Parameter(torch.tensor([[1.0, -2.0]]))

        def forward(self, x: Tensor) -> loop.Answers:
            return loop.Answers(torch.zeros(1, len(x), 2), self.classes, torch.tensor([[0.0, 0.0]]))

    network = Tags()
    batch = Batch(torch.zeros(1), torch.zeros(1, 1, 1), torch.eye(2)[:1], torch.ones(1), torch.zeros(1, 2))
    loop._step(network, torch.optim.SGD(network.parameters(), 1.0), batch, replace(UNSMOOTHED, tag_weight=tag_weight))
    # The mean of both squares has the gradient (1, -2).
    assert network.classes.tolist() == [pytest.approx([1 - tag_weight, -2 + 2 * tag_weight])]


def test_small_sources_are_drawn_more_often() -> None:
    sources = np.array(["large"] * 90 + ["small"] * 10)
    as_they_come = draw_clips(sources, 1.0, np.random.default_rng(0))
    assert sorted(as_they_come.tolist()) == list(range(100))
    rooted = draw_clips(sources, 0.5, np.random.default_rng(0))
    counts = np.bincount(rooted, minlength=100)
    assert counts[90:].sum() == 25  # sqrt(10) to sqrt(90) is one to three
    assert set(counts[90:]) == {2, 3}
    assert counts[:90].max() == 1


def test_rare_genres_are_drawn_more_often_within_their_source() -> None:
    sources, labels = np.array(["a"] * 80 + ["b"] * 20), np.array([0] * 60 + [1] * 20 + [2] * 20)
    batches = epoch_batches(np.arange(100), sources, labels, 100, (1.0, 0.0), np.random.default_rng(0))
    assert np.bincount(labels[next(batches)]).tolist() == [40, 40, 20]


class KilledError(Exception):
    """Stands for anything that ends a process."""


@pytest.mark.parametrize("schedule", ["cosine", "plateau"])
@pytest.mark.parametrize("steps_before_the_end", [0, 7, 10, 23])
def test_resumed_run_ends_with_the_same_weights(
    data: TrainingData,
    monkeypatch: pytest.MonkeyPatch,
    steps_before_the_end: int,
    schedule: Literal["cosine", "plateau"],
) -> None:
    """Killed in an epoch's midst or at its end: it goes on from the last whole epoch, dropout and masks included."""
    network = replace(RECIPE.network, dropout=0.2)
    recipe = replace(RECIPE, network=network, training=replace(RECIPE.training, mixup_alpha=0.3, schedule=schedule))
    history, saved = run(data, recipe)
    states: list[State] = [copy.deepcopy(Trainer(data, recipe, CPU).state())]

    def kill(_: nn.Module) -> float:
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(loop, "_step", after(steps_before_the_end, kill))
        with pytest.raises(KilledError):
            fit(Trainer(data, recipe, CPU), 6, save_state=states.append)
    torch.manual_seed(999)  # another process has drawn other numbers
    trainer = Trainer(data, recipe, CPU)
    trainer.resume(states[-1])
    resumed: list[Checkpoint] = []
    again = fit(trainer, 6, resumed.append)
    without_time = [{key: value for key, value in entry.items() if key != "seconds"} for entry in again]
    assert without_time == [{key: value for key, value in entry.items() if key != "seconds"} for entry in history]
    for name, weights in saved[-1].model_state_dict.items():
        assert torch.equal(weights, resumed[-1].model_state_dict[name]), name


def test_failed_clip_has_no_weight_and_is_counted(data: TrainingData) -> None:
    clips = data.clips.clone()
    clips[[3, 70]] = math.nan  # one to train, one to validate
    history, _ = run(replace(data, clips=clips), RECIPE)
    assert [entry["failed_clips"] for entry in history] == [1] * 6
    assert all(math.isfinite(entry["train_loss"]) and math.isfinite(entry["val_loss"]) for entry in history)
    weights = Batches(replace(data, clips=clips), RECIPE.training, 0, torch.arange(48))._usable(np.array([2, 3, 4]))[2]
    assert weights.tolist() == [1.0, 0.0, 1.0]


def test_class_weights_make_up_for_rare_genres(data: TrainingData) -> None:
    weights = class_weights(np.array([0] * 30 + [1] * 10), 3, 1.0)
    assert weights.tolist() == pytest.approx([2 / 3, 2.0, 0.0])
    assert class_weights(np.array([0, 0, 1]), 2, 0.0).tolist() == [1.0, 1.0]
    recipe = replace(RECIPE, training=replace(RECIPE.training, class_weights=1.0, label_exponent=0.0, epochs=1))
    assert math.isfinite(run(data, recipe)[0][0]["train_loss"])


def test_plateau_halves_the_rate(data: TrainingData, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Trainer, "validate", lambda _: {"log_loss": 1.0, "accuracy": 0.25, "macro_f1": 0.125})
    training = replace(RECIPE.training, optimizer="adam", schedule="plateau", epochs=5)
    history, _ = run(data, replace(RECIPE, training=training))
    assert [entry["learning_rate"] for entry in history] == pytest.approx([1e-2, 1e-2, 1e-2, 5e-3, 5e-3])


def test_what_is_no_music_gets_every_genre_alike(data: TrainingData) -> None:
    """Shown loud high bands as no music, the network has no opinion on them; unshown, it has one."""
    outliers = torch.full((4, 48, 40), -70.0).half()
    outliers[:, 24:] = -20
    training = replace(RECIPE.training, outlier_share=0.25, epochs=12)
    confidence = {}
    for name, shown in (("shown", outliers), ("unshown", None)):
        _, saved = run(replace(data, outliers=shown), replace(RECIPE, training=training))
        network = GenreNetwork(3, 48, RECIPE.network).eval()
        network.load_state_dict(saved[-1].model_state_dict)
        with torch.inference_mode():
            confidence[name] = network(outliers[:1, :, :20].float())[0].softmax(dim=1).max()
    assert confidence["shown"] < 0.5
    assert confidence["shown"] < confidence["unshown"]
