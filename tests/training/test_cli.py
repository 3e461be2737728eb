"""`genre-train` from the outside: a run on the miniature folder."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image

from genre_runtime.metadata import AudioConfig
from genre_training.checkpoint import load_checkpoint
from genre_training.cli import main
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
    test = load_checkpoint(finished_run.output / "best_model.pt")["metrics"]["test"]
    assert test["accuracy"] >= 0.9
    assert test["per_source"].keys() == {"fma_small", "gtzan", "synth"}


def test_held_out_clips_follow_the_source(finished_run: FinishedRun) -> None:
    held_out = load_checkpoint(finished_run.output / "best_model.pt")["held_out"]
    assert {f"gtzan/{genre}.00000" for genre in GENRES} <= set(held_out["test"])
    assert not set(held_out["test"]) & set(held_out["validation"])


def test_pictures_lie_beside_the_checkpoint(finished_run: FinishedRun) -> None:
    names = {path.name for path in finished_run.output.iterdir()}
    assert names == {"best_model.pt", "curves.png", "confusion_matrix.png"}
    for name in ("curves.png", "confusion_matrix.png"):
        with Image.open(finished_run.output / name) as image:
            assert image.format == "PNG"
            assert image.convert("L").getextrema() != (255, 255)


def test_evaluate_prints_the_same_figures(finished_run: FinishedRun, capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate(finished_run, finished_run.data) == 0
    found = figures(capsys.readouterr().out)
    assert len(found) >= 5
    assert found == figures(finished_run.printed)


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
