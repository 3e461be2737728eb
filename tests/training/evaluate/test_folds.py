"""Five folds, then everything: the figures are the folds', and can be measured again."""

from __future__ import annotations

from pathlib import Path

import pytest

from genre_training.cli import main
from genre_training.model.checkpoint import load_checkpoint, save_checkpoint
from tests.training.conftest import FinishedRun
from tests.training.miniature import EPOCHS, RECIPE


@pytest.fixture(scope="module")
def folds(finished_run: FinishedRun, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Five short runs on the miniature folder."""
    folder = tmp_path_factory.mktemp("folds")
    recipe = finished_run.output.parent / "miniature.toml"
    for fold in range(5):
        changes = (f"data.fold={fold}", "training.epochs=6", "network.widths=[8, 16]")
        folders = ("--data", str(finished_run.data), "--cache", str(finished_run.cache))
        output = ("--output", str(folder / str(fold)))
        assert main(["train", "--config", str(recipe), "--device", "cpu", *folders, *output, "--set", *changes]) == 0
    return [folder / str(fold) / "best_model.pt" for fold in range(5)]


def refit(run: FinishedRun, folds: list[Path], output: Path) -> int:
    folders = ("--data", str(run.data), "--output", str(output), "--cache", str(run.cache), "--device", "cpu")
    recipe = run.output.parent / "short.toml"
    changed = RECIPE.replace(f"epochs = {EPOCHS}", "epochs = 6").replace("[8, 16, 32, 32]", "[8, 16]")
    recipe.write_text(changed, encoding="utf-8")
    return main(["refit", "--config", str(recipe), "--folds", *map(str, folds), *folders])


def test_refit_learns_everything_and_reports_the_folds(
    finished_run: FinishedRun,
    folds: list[Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("genre_training.data.splits.FEWEST_HELD_OUT", 1)
    assert refit(finished_run, folds[::-1], tmp_path) == 0
    printed = capsys.readouterr().out
    checkpoint = load_checkpoint(tmp_path / "best_model.pt")
    assert checkpoint.epoch == 6
    split, held_out = checkpoint.provenance["split"], checkpoint.held_out["test"]
    assert (split["train"], split["validation"], split["test"]) == (96 - len(held_out), 0, len(held_out))
    assert 4 <= len(held_out) <= 8
    assert checkpoint.metrics["held_out"]["n_tracks"] == len(held_out)
    test = checkpoint.metrics["test"]
    assert test["n_tracks"] == 48 + 3 + 36  # every free clip once, GTZAN's own test part once
    assert len(checkpoint.metrics["folds"]) == 5
    assert checkpoint.val_acc == checkpoint.metrics["validation"]["accuracy"]
    assert sorted(path.name for path in (tmp_path / "folds").iterdir()) == [f"fold{i}.pt" for i in range(5)]
    assert (tmp_path / "run" / "report.html").is_file()
    evaluate = ("evaluate", "--checkpoint", str(tmp_path / "best_model.pt"), "--data", str(finished_run.data))
    assert main([*evaluate, "--cache", str(finished_run.cache), "--device", "cpu"]) == 0
    again = capsys.readouterr().out
    assert again in printed
    assert "fold 4, test" in again


def test_folds_of_different_recipes_are_refused(
    finished_run: FinishedRun, folds: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = load_checkpoint(folds[2])
    other.recipe["training"]["epochs"] = 7
    save_checkpoint(other, tmp_path / "other.pt")
    assert refit(finished_run, [*folds[:2], tmp_path / "other.pt", *folds[3:]], tmp_path) == 1
    assert "trained with different recipes" in capsys.readouterr().err


def test_missing_fold_is_refused(
    finished_run: FinishedRun, folds: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert refit(finished_run, folds[1:], tmp_path) == 1
    assert "4 checkpoints of the folds [1, 2, 3, 4]: expected folds 0 to 4" in capsys.readouterr().err


def test_folds_of_another_recipe_are_not_taken_for_this_one(
    finished_run: FinishedRun, folds: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = ("--data", str(finished_run.data), "--output", str(tmp_path), "--cache", str(finished_run.cache))
    assert main(["refit", "--folds", *map(str, folds), *folders]) == 1
    error = capsys.readouterr().err
    assert "trained with another recipe" in error
    assert "network.widths is (8, 16) in the folds and (32, 64, 128, 256) now" in error


def test_fold_alone_cannot_be_evaluated(
    finished_run: FinishedRun, folds: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert refit(finished_run, folds, tmp_path) == 0
    path = tmp_path / "folds" / "fold0.pt"
    folders = ("--data", str(finished_run.data), "--cache", str(finished_run.cache))
    assert main(["evaluate", "--checkpoint", str(path), *folders]) == 1
    assert "lacks temperature, confidence_threshold" in capsys.readouterr().err
