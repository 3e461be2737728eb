"""Checkpoints: written whole or not at all, and never a way to run code."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch

from genre_training.train.checkpoint import REQUIRED_KEYS, CheckpointError, load_checkpoint, save_checkpoint


def make_checkpoint(epoch: int = 1) -> dict[str, Any]:
    return {
        "epoch": epoch,
        "model_state_dict": {"weight": torch.arange(6.0).reshape(2, 3)},
        "optimizer_state_dict": {},
        "val_acc": 0.5,
        "val_loss": 1.25,
        "labels": ["a", "b"],
        "audio": {"sample_rate": 22_050},
        "network": {"widths": (4, 8)},
    }


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
    assert loaded.keys() == make_checkpoint().keys()
    assert torch.equal(loaded["model_state_dict"]["weight"], torch.arange(6.0).reshape(2, 3))
    assert loaded["network"] == {"widths": (4, 8)}
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
    assert load_checkpoint(path)["epoch"] == 1
    assert [file.name for file in tmp_path.iterdir()] == ["best_model.pt"]


@pytest.mark.parametrize("new_format", [True, False])
def test_pickled_code_is_refused_and_not_run(tmp_path: Path, new_format: bool) -> None:
    path, made = tmp_path / "best_model.pt", tmp_path / "made-by-the-checkpoint"
    poisoned = {**make_checkpoint(), "history": Command(made)}
    torch.save(poisoned, path, _use_new_zipfile_serialization=new_format)
    with pytest.raises(CheckpointError, match="could run code and is not loaded"):
        load_checkpoint(path)
    assert not made.exists()
    torch.load(path, weights_only=False)  # the checkpoint would indeed have
    assert made.exists()


@pytest.mark.parametrize("key", REQUIRED_KEYS)
def test_missing_key_is_named(tmp_path: Path, key: str) -> None:
    checkpoint = make_checkpoint()
    del checkpoint[key]
    torch.save(checkpoint, tmp_path / "a.pt")
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
    with pytest.raises(CheckpointError, match=r"a\.pt is damaged or no checkpoint"):
        load_checkpoint(path)


def test_missing_file_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no checkpoint at .*a\.pt: run `invoke train` first") as error:
        load_checkpoint(tmp_path / "a.pt")
    assert error.value.code == "checkpoint"
    with pytest.raises(CheckpointError, match="damaged or no checkpoint"):
        load_checkpoint(tmp_path)
