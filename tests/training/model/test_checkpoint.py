"""Checkpoints: written whole or not at all, and never a way to run code."""

from __future__ import annotations

import os
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from genre_runtime.model.metadata import AudioConfig
from genre_training.config import NetworkConfig
from genre_training.model.checkpoint import REQUIRED_KEYS, Checkpoint, CheckpointError, load_checkpoint, save_checkpoint
from genre_training.model.fusion import FusedNetwork
from genre_training.model.network import GenreNetwork

NETWORK = NetworkConfig(widths=(4, 8))


def make_checkpoint(epoch: int = 1) -> Checkpoint:
    return Checkpoint(
        epoch=epoch,
        model_state_dict={"weight": torch.arange(6.0).reshape(2, 3)},
        val_acc=0.5,
        val_loss=1.25,
        labels=("a", "b"),
        audio=AudioConfig(n_mels=100),
        network=NETWORK,
        optimizer_state_dict={"state": {0: torch.ones(2)}},
        history=[{"epoch": 1, "val_loss": 1.25}],
    )


class Command:
    """Pickles as a call that would make a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


def test_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "best_model.pt"
    save_checkpoint(make_checkpoint(), path)
    loaded = load_checkpoint(path)
    assert torch.equal(loaded.model_state_dict["weight"], torch.arange(6.0).reshape(2, 3))
    assert (loaded.epoch, loaded.labels, loaded.network) == (1, ("a", "b"), NETWORK)
    assert loaded.audio == AudioConfig(n_mels=100)
    assert loaded.history == make_checkpoint().history
    assert (loaded.folds, loaded.temperature, loaded.metrics) == (None, None, {})
    assert [file.name for file in path.parent.iterdir()] == ["best_model.pt"]


@pytest.mark.parametrize("error", [OSError("no space left"), KeyboardInterrupt()])
def test_failing_save_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    path = tmp_path / "best_model.pt"
    save_checkpoint(make_checkpoint(epoch=1), path)

    def broken(_: Any, temporary: Path) -> None:
        temporary.write_bytes(b"half a checkpoint")
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", broken)
        with pytest.raises(type(error)):
            save_checkpoint(make_checkpoint(epoch=2), path)
    assert load_checkpoint(path).epoch == 1
    assert [file.name for file in tmp_path.iterdir()] == ["best_model.pt"]


@pytest.mark.parametrize("new_format", [True, False])
def test_pickled_code_is_refused_and_not_run(tmp_path: Path, new_format: bool) -> None:
    path, made = tmp_path / "best_model.pt", tmp_path / "made-by-the-checkpoint"
    poisoned = {**make_checkpoint().to_dict(), "history": Command(made)}
    torch.save(poisoned, path, _use_new_zipfile_serialization=new_format)
    with pytest.raises(CheckpointError, match="could run code and is not loaded"):
        load_checkpoint(path)
    assert not made.exists()
    torch.load(path, weights_only=False)  # the checkpoint would indeed have
    assert made.exists()


@pytest.mark.parametrize("key", REQUIRED_KEYS)
def test_missing_key_is_named(tmp_path: Path, key: str) -> None:
    values = make_checkpoint().to_dict()
    del values[key]
    torch.save(values, tmp_path / "a.pt")
    with pytest.raises(CheckpointError, match=f"lacks {key}: a finished run of `invoke train` writes a whole one"):
        load_checkpoint(tmp_path / "a.pt")


def test_something_else_is_no_checkpoint(tmp_path: Path) -> None:
    torch.save([1, 2, 3], tmp_path / "a.pt")
    with pytest.raises(CheckpointError, match="lacks epoch"):
        load_checkpoint(tmp_path / "a.pt")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no checkpoint at all",
        b"\x80\x02.",
        b"\x80\x02K",
        b"\x80\x02h\x05.",
        pickle.dumps({"epoch": 1}, protocol=2)[:-3],
        bytes(range(256)),
    ],
)
def test_other_bytes_are_one_kind_of_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.pt"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"a\.pt"):
        load_checkpoint(path)


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9, 0.999])
def test_file_cut_short_is_damaged(tmp_path: Path, kept: float) -> None:
    path = tmp_path / "a.pt"
    save_checkpoint(make_checkpoint(), path)
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(CheckpointError, match=r"a\.pt is damaged or not a checkpoint"):
        load_checkpoint(path)


def test_missing_file_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no checkpoint at .*a\.pt: run `invoke train` first") as error:
        load_checkpoint(tmp_path / "a.pt")
    assert error.value.code == "checkpoint"
    with pytest.raises(CheckpointError, match="damaged or not a checkpoint"):
        load_checkpoint(tmp_path)


def test_file_has_the_fixed_keys_and_plain_values(tmp_path: Path) -> None:
    save_checkpoint(make_checkpoint(), tmp_path / "a.pt")
    values = torch.load(tmp_path / "a.pt", weights_only=True)
    fixed = {"epoch", "model_state_dict", "optimizer_state_dict", "val_acc", "val_loss"}
    assert values.keys() == fixed | {"labels", "audio", "network", "history", "bands"}
    assert values["labels"] == ["a", "b"]
    assert values["network"]["widths"] == (4, 8)


def test_weights_of_other_bands_are_refused(tmp_path: Path) -> None:
    """The bands that networks pick have changed once; weights do not tell which they learnt from."""
    values = make_checkpoint().to_dict()
    for changed in (
        {**values, "bands": [*values["bands"][:-1], 127]},
        {k: v for k, v in values.items() if k != "bands"},
    ):
        torch.save(changed, tmp_path / "a.pt")
        with pytest.raises(CheckpointError, match=r"a\.pt was trained on other mel bands .*train it again"):
            load_checkpoint(tmp_path / "a.pt")


def test_unknown_validation_is_in_the_file_too(tmp_path: Path) -> None:
    save_checkpoint(replace(make_checkpoint(), val_acc=None, val_loss=None), tmp_path / "a.pt")
    assert load_checkpoint(tmp_path / "a.pt").val_loss is None


def test_older_files_load(tmp_path: Path) -> None:
    """Keys that are unknown are ignored, and an audio or network setting that is missing has its default."""
    values = make_checkpoint().to_dict() | {"written_by": "an older version", "network": {"widths": [4, 8]}}
    torch.save(values, tmp_path / "a.pt")
    assert load_checkpoint(tmp_path / "a.pt").network == NETWORK


@pytest.mark.parametrize(
    "change", [{"network": {"depth": 3}}, {"network": 5}, {"audio": {"sample_rate": "high"}}, {"labels": 5}]
)
def test_values_of_another_version_are_an_error(tmp_path: Path, change: dict[str, Any]) -> None:
    torch.save(make_checkpoint().to_dict() | change, tmp_path / "a.pt")
    with pytest.raises(CheckpointError, match="was written by another version of this project"):
        load_checkpoint(tmp_path / "a.pt")


def test_trained_network_has_the_weights_or_says_why_not() -> None:
    network = GenreNetwork(2, 100, NETWORK)
    checkpoint = replace(make_checkpoint(), model_state_dict=network.state_dict())
    rebuilt = checkpoint.trained_network()
    assert not rebuilt.training
    assert isinstance(rebuilt, GenreNetwork)
    assert torch.equal(rebuilt.head.weight, network.head.weight)
    with pytest.raises(CheckpointError, match="weights do not fit the network it describes"):
        replace(checkpoint, labels=("a", "b", "c")).trained_network()


def test_shipped_checkpoint_loads() -> None:
    checkpoint = load_checkpoint(
        Path(__file__).parents[3] / "models" / "best_model.pt", ("recipe", "held_out", "temperature")
    )
    assert 1 <= checkpoint.epoch <= checkpoint.parsed_recipe().training.epochs
    network = checkpoint.trained_network()
    assert isinstance(network, FusedNetwork)
    assert len(checkpoint.labels) == network.audio.head.out_features == network.picture.head.out_features
