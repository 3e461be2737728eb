"""`genre-train` when something is wrong: one line that says what, never a traceback."""

from __future__ import annotations

import re
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import pytest
import torch

from genre_training.cli import main
from genre_training.data import features
from genre_training.model.checkpoint import load_checkpoint, save_checkpoint
from tests.synthetic import write_audio
from tests.training.conftest import FinishedRun
from tests.training.miniature import EPOCHS, RECIPE, compose, write_index


def one_error_line(capsys: pytest.CaptureFixture[str]) -> str:
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("genre-train: ")
    return lines[0]


@pytest.mark.parametrize("verb", ["train", "evaluate"])
def test_wrong_data_folder_is_one_line(
    verb: str, finished_run: FinishedRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nowhere = tmp_path / "nowhere"
    place = ["--output", str(tmp_path / "out")] if verb == "train" else []
    place += ["--checkpoint", str(finished_run.output / "best_model.pt")] if verb == "evaluate" else []
    assert main([verb, "--data", str(nowhere), "--device", "cpu", "--cache", str(tmp_path), *place]) == 1
    assert f"{nowhere} has no training data" in one_error_line(capsys)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("steering", ["\x1b[2J", "\x9b", "\x07", "\r", "\u202e"])
def test_names_do_not_steer_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str], steering: str) -> None:
    config = tmp_path / f"recipe{steering}.toml"
    config.write_text("epochs = 0")
    assert main(["train", "--data", str(tmp_path), "--config", str(config), "--device", "cpu"]) == 1
    error = capsys.readouterr().err
    assert "recipe" in error
    assert not set(steering) & set("\x1b\x9b\x07\r\u202e") & set(error)


def test_wrong_recipe_and_device_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--data", str(tmp_path), "--config", "nonsense"]) == 1
    assert "no recipe at nonsense" in one_error_line(capsys)
    assert main(["train", "--data", str(tmp_path), "--device", "cuda:99"]) == 1
    assert "cuda:99" in one_error_line(capsys)


def test_one_genre_alone_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_index(tmp_path / "audio" / "index.csv", ("file", "genre", "artist", "source"), [("a.wav", "low", "", "x")])
    write_audio(tmp_path / "audio" / "a.wav", compose("low", 0, 1))
    assert main(["train", "--data", str(tmp_path), "--device", "cpu", "--cache", str(tmp_path / "cache")]) == 1
    assert "has the genre low only: expected at least two genres" in capsys.readouterr().err
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(("n_rock", "n_jazz"), [(1, 1), (2, 1), (3, 1), (2, 2)])
def test_too_few_clips_are_one_line_before_features(
    n_rock: int, n_jazz: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for genre, n_clips in (("rock", n_rock), ("jazz", n_jazz)):
        (tmp_path / "data" / genre).mkdir(parents=True)
        for i in range(n_clips):
            write_audio(tmp_path / "data" / genre / f"{i}.wav", compose("low", i, 1))
    folders = ["--data", str(tmp_path / "data"), "--output", str(tmp_path / "out"), "--cache", str(tmp_path / "cache")]
    assert main(["train", "--device", "cpu", *folders]) == 1
    line = one_error_line(capsys)
    assert re.search("expected (at least three artists|training clips of two genres|at least two clips)", line), line
    assert not (tmp_path / "cache").exists()
    assert not (tmp_path / "out").exists()


def test_batch_that_processes_cannot_share_is_one_line_before_features(
    finished_run: FinishedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("genre_training.train.run.n_processes", lambda: 3)
    folders = ["--data", str(finished_run.data), "--output", str(tmp_path / "out"), "--cache", str(tmp_path / "cache")]
    assert main(["train", "--device", "cpu", *folders, "--set", "training.batch_size=16"]) == 1
    assert "a batch of 16 for 3 processes: expected at least two clips for each process" in one_error_line(capsys)
    assert not (tmp_path / "cache").exists()


def test_output_that_cannot_be_written_is_one_line(
    finished_run: FinishedRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    recipe = tmp_path / "short.toml"
    recipe.write_text(RECIPE.replace(f"epochs = {EPOCHS}", "epochs = 1"), encoding="utf-8")
    folders = ["--data", str(finished_run.data), "--cache", str(finished_run.cache), "--output", str(tmp_path / "file")]
    assert main(["train", "--config", str(recipe), "--device", "cpu", *folders]) == 1
    assert "genre-train: [Errno" in capsys.readouterr().err.splitlines()[-1]


def test_checkpoint_of_another_version_is_one_line(
    finished_run: FinishedRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = load_checkpoint(finished_run.output / "best_model.pt")
    checkpoint.recipe["training"]["from_the_future"] = 1
    save_checkpoint(checkpoint, tmp_path / "best_model.pt")
    assert main(["evaluate", "--checkpoint", str(tmp_path / "best_model.pt"), "--data", str(tmp_path)]) == 1
    assert "was written by another version of this project" in one_error_line(capsys)


def test_killed_process_is_one_line(
    finished_run: FinishedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class BrokenPool(ProcessPoolExecutor):
        def map(self, *_: Any, **__: Any) -> Any:
            raise BrokenProcessPool("a child process terminated abruptly")

    monkeypatch.setattr(features, "ProcessPoolExecutor", BrokenPool)
    folders = ["--data", str(finished_run.data), "--cache", str(tmp_path), "--output", str(tmp_path / "out")]
    assert main(["train", "--device", "cpu", "--workers", "2", *folders]) == 1
    line = capsys.readouterr().err.splitlines()[-1]  # after the progress bar
    assert line.startswith("genre-train: one of 2 processes that compute features was killed")
    assert "genre-train --workers 1 needs half of it" in line


@pytest.mark.parametrize("epochs", [0, 1])
def test_memory_that_runs_out_is_one_line(
    epochs: int,
    finished_run: FinishedRun,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Resuming is advised only where there is something to resume."""

    def run_out(*_: Any, **__: Any) -> None:
        raise torch.OutOfMemoryError(
            "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of ..."
        )

    place = "genre_training.train.trainer.Trainer.run_epoch" if epochs else "genre_training.train.run.open_store"
    monkeypatch.setattr(place, run_out)
    folders = ["--data", str(finished_run.data), "--cache", str(finished_run.cache), "--output", str(tmp_path)]
    recipe = str(finished_run.output.parent / "miniature.toml")
    assert main(["train", "--config", recipe, "--device", "cpu", *folders]) == 1
    line = one_error_line(capsys)
    assert "cpu: CUDA out of memory. Tried to allocate 2.00 GiB; end other programs" in line
    assert "smaller training.batch_size" in line
    assert (f"--resume continues with the same batch_size; for another remove {tmp_path}" in line) == bool(epochs)


@pytest.mark.parametrize("workers", ["0", "-1", "many"])
def test_number_of_workers_is_positive(workers: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["train", "--data", ".", "--workers", workers])
    assert stopped.value.code == 2
    assert f"'{workers}' found, expected a positive integer" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["train"], ["train", "--data", ".", "--epochs", "3"], ["classify"]])
def test_wrong_usage_exits_with_two(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert "usage: genre-train" in capsys.readouterr().err
