"""Two processes on one training, by gloo on the CPU."""

from __future__ import annotations

import json
import os
import socket
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.multiprocessing.spawn import spawn

from genre_training.config import Recipe
from genre_training.data.track import DataError
from genre_training.train.batches import Batches
from genre_training.train.distributed import autocast_dtype, n_processes, own_share, process_group
from genre_training.train.trainer import Trainer
from tests.training.easy import RECIPE, easy_data, fit

CPU = torch.device("cpu")
TOLERANCE = 0.1
"""Largest difference of an epoch's training loss, relative: batch normalisation sees half a batch in each process."""


def train(recipe: Recipe) -> list[dict[str, float]]:
    return fit(Trainer(easy_data(), recipe, CPU), recipe.training.epochs)


def one_of_two(number: int, port: int, recipe: Recipe, output: Path) -> None:
    """Body of a process: what `torchrun` would set, a training, its history and weights on disk."""
    os.environ |= {"WORLD_SIZE": "2", "RANK": str(number), "LOCAL_RANK": str(number)}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.set_num_threads(1)
    with process_group(CPU) as device:
        assert n_processes() == 2
        trainer = Trainer(easy_data(), recipe, device)
        history = fit(trainer, recipe.training.epochs)
    (output / f"{number}.json").write_text(json.dumps(history))
    torch.save(trainer.checkpoint().model_state_dict, output / f"{number}.pt")


def test_two_processes_follow_the_loss_curve_of_one(tmp_path: Path) -> None:
    recipe = replace(RECIPE, training=replace(RECIPE.training, batch_size=30, learning_rate=3e-3, epochs=5))
    alone = train(recipe)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    spawn(one_of_two, (port, recipe, tmp_path), nprocs=2)
    first, second = (json.loads((tmp_path / f"{number}.json").read_text()) for number in range(2))
    assert [entry["train_loss"] for entry in first] == [entry["train_loss"] for entry in second]
    assert [entry["train_loss"] for entry in first] == pytest.approx(
        [entry["train_loss"] for entry in alone], rel=TOLERANCE
    )
    weights = [torch.load(tmp_path / f"{number}.pt") for number in range(2)]
    names = [name for name in weights[0] if not name.endswith(("running_mean", "running_var"))]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in names)


@pytest.mark.parametrize("n_shares", [1, 2, 5])
def test_processes_augment_only_their_own_share_each_with_its_own_numbers(
    monkeypatch: pytest.MonkeyPatch, n_shares: int
) -> None:
    data = replace(easy_data(), outliers=torch.zeros(6, 48, 40).half())
    config = replace(RECIPE.training, batch_size=20, equaliser_db=3.0, outlier_share=0.1, prior_correction=1.0)
    whole = list(Batches(data, config, 0, torch.arange(48)).of_epoch(1))
    monkeypatch.setattr("genre_training.train.distributed.n_processes", lambda: n_shares)
    shares = []
    for number in range(n_shares):
        for module in ("distributed", "batches"):
            monkeypatch.setattr(f"genre_training.train.{module}.rank", lambda number=number: number)
        shares.append([list(Batches(data, config, 0, torch.arange(48)).of_epoch(1)) for _ in range(2)])
    for first, again in shares:
        assert all(torch.equal(one.crops, other.crops) for one, other in zip(first, again, strict=True))
    for i, batch in enumerate(whole):
        parts = [first[i] for first, _ in shares]
        assert {len(part.crops) for part in parts} == {20 // n_shares}
        assert torch.equal(torch.stack([part.clips for part in parts], dim=1).flatten(), batch.clips)
        assert sum(int((part.log_priors == 0).all(dim=1).sum()) for part in parts) == 2
    differences = [(shares[0][0][0].crops - first[0].crops).abs().max() for first, _ in shares[1:]]
    assert all(differences)


def test_batch_that_cannot_be_shared_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("genre_training.train.distributed.n_processes", lambda: 2)
    with pytest.raises(DataError, match="batch of 5 clips cannot be shared by 2 processes: choose a batch_size"):
        own_share(np.zeros(5, np.int64))


def test_one_process_shares_nothing() -> None:
    with process_group(CPU) as device:
        assert device == CPU
        assert n_processes() == 1
        assert own_share(np.arange(5)).tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(("capabilities", "expected"), [({"avx512_bf16": True}, torch.bfloat16), ({}, None)])
def test_a_cpu_uses_bfloat16_if_it_has_instructions_for_it(
    monkeypatch: pytest.MonkeyPatch, capabilities: dict[str, bool], expected: torch.dtype | None
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    assert autocast_dtype(CPU) == expected
    monkeypatch.delattr(torch.cpu, "get_capabilities")
    assert autocast_dtype(CPU) is None
