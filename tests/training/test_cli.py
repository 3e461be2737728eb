"""`genre-train` from the outside: a run on the miniature folder."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from genre_runtime.model.metadata import AudioConfig
from genre_training.cli import main
from genre_training.model.checkpoint import load_checkpoint
from genre_training.train import run as run_module
from genre_training.train.trainer import Trainer
from tests.synthetic import write_audio
from tests.training.conftest import FinishedRun
from tests.training.miniature import EPOCHS, GENRES, compose, write_gtzan

FIXED_KEYS = {"epoch", "model_state_dict", "optimizer_state_dict", "val_acc", "val_loss"}


def figures(printed: str) -> list[str]:
    """The lines that state results."""
    return [line for line in printed.splitlines() if line.startswith(("validation:", "test:", "  "))]


def evaluate(run: FinishedRun, data: Path) -> int:
    checkpoint = run.output / "best_model.pt"
    arguments = ["--checkpoint", str(checkpoint), "--data", str(data), "--cache", str(run.cache), "--device", "cpu"]
    return main(["evaluate", *arguments])


def test_checkpoint_holds_the_fixed_keys_and_what_export_needs(finished_run: FinishedRun) -> None:
    checkpoint = torch.load(finished_run.output / "best_model.pt", weights_only=True)
    assert checkpoint.keys() >= FIXED_KEYS
    assert isinstance(checkpoint["epoch"], int)
    assert 0 <= checkpoint["val_acc"] <= 1
    assert checkpoint["labels"] == list(GENRES)
    assert AudioConfig.from_dict(checkpoint["audio"]) == AudioConfig()
    assert len(checkpoint["history"]) == EPOCHS
    assert checkpoint["recipe"]["training"]["epochs"] == EPOCHS
    assert checkpoint["provenance"]["clips_per_source"] == {"fma_small": 48, "gtzan": 12, "synth": 36}
    assert checkpoint["val_loss"] == min(entry["val_loss"] for entry in checkpoint["history"])


def test_it_learns_what_it_is_shown(finished_run: FinishedRun) -> None:
    test = load_checkpoint(finished_run.output / "best_model.pt").metrics["test"]
    assert test["accuracy"] >= 0.9
    assert test["per_source"].keys() == {"fma_small", "gtzan", "synth"}


def test_held_out_clips_follow_the_source(finished_run: FinishedRun) -> None:
    held_out = load_checkpoint(finished_run.output / "best_model.pt").held_out
    assert {f"gtzan/{genre}.00000" for genre in GENRES} <= set(held_out["test"])
    assert not set(held_out["test"]) & set(held_out["validation"])


def test_everything_about_the_run_lies_beside_the_checkpoint(finished_run: FinishedRun) -> None:
    assert {path.name for path in finished_run.output.iterdir()} == {"best_model.pt", "run"}
    names = {path.name for path in (finished_run.output / "run").iterdir()}
    pictures = {f"{name}.{kind}" for name in ("curves", "confusion_matrix", "reliability") for kind in ("png", "svg")}
    plain = {"config.toml", "data_folder.txt", "history.jsonl", "metrics.json", "report.html", "weights.safetensors"}
    assert names == plain | pictures


def test_evaluate_prints_the_same_figures(finished_run: FinishedRun, capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate(finished_run, finished_run.data) == 0
    found = figures(capsys.readouterr().out)
    assert len(found) >= 5
    assert found == figures(finished_run.printed)


def test_evaluate_finds_the_folder_of_the_training_which_no_checkpoint_holds(
    finished_run: FinishedRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = finished_run.output / "best_model.pt"
    assert str(finished_run.data) not in repr(torch.load(checkpoint, weights_only=True))
    options = ["--cache", str(finished_run.cache), "--device", "cpu"]
    assert main(["evaluate", "--checkpoint", str(checkpoint), *options]) == 0
    assert figures(capsys.readouterr().out) == figures(finished_run.printed)
    alone = shutil.copy(checkpoint, tmp_path)
    assert main(["evaluate", "--checkpoint", str(alone), *options]) == 1
    assert f"the data folder of {alone} is not known" in capsys.readouterr().err
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "data_folder.txt").write_text(str(tmp_path / "gone"), encoding="utf-8")
    assert main(["evaluate", "--checkpoint", str(alone), *options]) == 1
    assert f"{tmp_path / 'gone'}, on which {alone} was trained, does not exist: name" in capsys.readouterr().err


def test_evaluate_keeps_to_the_split_when_clips_are_added(
    finished_run: FinishedRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = shutil.copytree(finished_run.data, tmp_path / "data")
    with (data / "audio" / "index.csv").open("a", encoding="utf-8") as index:
        for i in range(30):
            write_audio(data / "audio" / f"synth_low_9{i}.wav", compose("low", 900 + i, 1))
            index.write(f"synth_low_9{i}.wav,low,newcomer {i},synth\n")
    assert evaluate(finished_run, data) == 0
    assert figures(capsys.readouterr().out) == figures(finished_run.printed)


def test_evaluate_needs_clips_of_the_split(
    finished_run: FinishedRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_gtzan(tmp_path, n_clips=1)
    index = (tmp_path / "gtzan" / "index.csv").read_text(encoding="utf-8")
    for genre in GENRES:
        index = index.replace(f"{genre}.00000", f"other.{genre}")
        (tmp_path / "gtzan" / "logmel" / f"{genre}.00000.png").rename(
            tmp_path / "gtzan" / "logmel" / f"other.{genre}.png"
        )
    (tmp_path / "gtzan" / "index.csv").write_text(index, encoding="utf-8")
    assert evaluate(finished_run, tmp_path) == 1
    assert "no clip that the checkpoint was validated or tested with" in capsys.readouterr().err


def arguments(run: FinishedRun, output: Path, *more: str) -> list[str]:
    """A `train` of two epochs on the run's data."""
    recipe = run.output.parent / "miniature.toml"
    folders = ("--data", str(run.data), "--output", str(output), "--cache", str(run.cache))
    changes = ("--set", "training.epochs=2", "network.widths=[4, 8]")
    return ["train", "--config", str(recipe), "--device", "cpu", *folders, *changes, *more]


def test_interrupted_run_says_how_to_go_on_and_does(
    finished_run: FinishedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments(finished_run, tmp_path / "whole")) == 0
    interrupted = arguments(finished_run, tmp_path / "models")
    real, calls = Trainer.validate, iter(range(9))

    def ctrl_c_in_the_second_epoch(*given: Any) -> Any:
        if next(calls):
            raise KeyboardInterrupt
        return real(*given)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "validate", ctrl_c_in_the_second_epoch)
        assert main(interrupted) == 130
    assert "--resume continues after the last whole epoch" in capsys.readouterr().err
    assert not (tmp_path / "models" / "best_model.pt").exists()
    assert main(interrupted) == 1
    assert "has an interrupted run: continue it with --resume" in capsys.readouterr().err
    assert main([*interrupted, "training.epochs=3", "--resume"]) == 1
    assert "training.epochs is 2 in the interrupted run and 3 now: resume with the same" in capsys.readouterr().err
    assert main([*interrupted, "--resume"]) == 0
    whole, resumed = (load_checkpoint(tmp_path / name / "best_model.pt") for name in ("whole", "models"))
    for name, weights in whole.model_state_dict.items():
        assert torch.equal(weights, resumed.model_state_dict[name]), name
    assert not (tmp_path / "models" / "run" / "last.pt").exists()


def test_interrupted_before_the_first_epoch_there_is_nothing_to_resume(
    finished_run: FinishedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def ctrl_c(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(run_module, "open_store", ctrl_c)
        assert main(arguments(finished_run, tmp_path)) == 130
    assert capsys.readouterr().err == "genre-train: interrupted; the same command continues from there\n"
    assert main(arguments(finished_run, tmp_path)) == 0


def test_nothing_to_resume_is_an_error(
    finished_run: FinishedRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments(finished_run, tmp_path, "--resume")) == 1
    assert "no interrupted run to resume" in capsys.readouterr().err
