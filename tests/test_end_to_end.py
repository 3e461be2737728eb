"""From WAV files to genres through the three commands alone: train, export, classify."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import genre_export.cli
import genre_runtime.cli
import genre_training.cli
from genre_training.model.checkpoint import load_checkpoint
from tests.synthetic import write_audio
from tests.training.miniature import GENRES, RECIPE, compose, write_audio_part

N_UNSEEN = 10
"""Files a genre that training never sees."""


@pytest.fixture(scope="module", autouse=True)
def process_as_before() -> Iterator[None]:
    """Few threads for networks this small, and logging as it was before the export silenced it."""
    threads, disabled = torch.get_num_threads(), logging.root.manager.disable
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
    logging.disable(disabled)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_audio_part(folder, n_clips=20, seconds=6)
    return folder


@pytest.fixture(scope="module")
def models(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that training and export have filled."""
    folder = tmp_path_factory.mktemp("work")
    recipe, models = folder / "tiny.toml", folder / "models"
    recipe.write_text(RECIPE, encoding="utf-8")
    arguments = ["--config", str(recipe), "--data", str(data), "--cache", str(folder / "cache"), "--device", "cpu"]
    assert genre_training.cli.main(["train", *arguments, "--output", str(models)]) == 0
    checkpoint = str(models / "best_model.pt")
    assert genre_export.cli.main(["--checkpoint", checkpoint, "--output", str(models), "--data", str(data)]) == 0
    return models


@pytest.fixture(scope="module")
def unseen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """New pieces, in other lengths, rates and formats than those trained on; the genre stands in the name."""
    folder = tmp_path_factory.mktemp("unseen")
    for genre in GENRES:
        for i in range(N_UNSEEN):
            suffix = (".wav", ".flac", ".ogg")[i % 3]
            write_audio(folder / f"{genre}-{i}{suffix}", compose(genre, 5000 + i, 5 + i))
    return folder


def classify(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, list[dict[str, object]]]:
    capsys.readouterr()
    status = genre_runtime.cli.main(["classify", "--format", "jsonl", "--device", "cpu", *arguments])
    return status, [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_unseen_files_are_told_apart(models: Path, unseen: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, results = classify(capsys, "--model", str(models / "best_model.onnx"), str(unseen))
    assert status == 0
    assert len(results) == N_UNSEEN * len(GENRES)
    right = [Path(str(one["path"])).name.startswith(f"{one['label']}-") for one in results]
    assert sum(right) / len(right) >= 0.9
    assert {one["label"] for one in results} == set(GENRES)


def test_whole_tracks_get_the_same_answers(models: Path, unseen: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [str(unseen / f"{genre}-9.wav") for genre in GENRES]
    model = str(models / "best_model.onnx")
    status, results = classify(capsys, "--model", model, "--excerpts", "all", *files)
    assert status == 0
    assert [one["label"] for one in results] == list(GENRES)
    assert all(len(one["excerpts"]) == 3 for one in results if isinstance(one["excerpts"], list))  # 14 s by 5


def test_a_bad_file_is_reported_beside_the_good_ones(
    models: Path, unseen: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "bad.wav"
    bad.write_text("no audio", encoding="utf-8")
    good = unseen / "low-0.wav"
    status, results = classify(capsys, "--model", str(models / "best_model.onnx"), str(bad), str(good))
    assert status == 1
    assert [("error" in one, one.get("label")) for one in results] == [(True, None), (False, "low")]


def test_sidecar_says_what_training_measured(models: Path) -> None:
    checkpoint = load_checkpoint(models / "best_model.pt")
    sidecar = json.loads((models / "best_model.json").read_text(encoding="utf-8"))
    assert sidecar["labels"] == list(GENRES)
    for key in ("epoch", "val_acc", "val_loss", "history"):
        assert sidecar["metrics"][key] == getattr(checkpoint, key)
    assert sidecar["temperature"] == checkpoint.temperature
    assert sidecar["excerpt_seconds"] == 5.0


def test_audio_scores_agree_with_what_training_measured(models: Path) -> None:
    """From features in torch or from files through ONNX: the held-out clips get nearly the same accuracy."""
    metrics = json.loads((models / "best_model.json").read_text(encoding="utf-8"))["metrics"]
    files = metrics["audio_files"]
    assert files["n_failed"] == 0
    assert files["all"].keys() == {"validation", "test"}, "files that the model was trained on say nothing"
    n_validated, n_tested = (files["all"][part]["n_tracks"] for part in ("validation", "test"))
    assert files["n_files"] == n_validated + n_tested < 60
    assert n_tested == metrics["test"]["n_tracks"] == metrics["files"]["n_tracks"]
    assert abs(files["all"]["test"]["accuracy"] - metrics["files"]["accuracy"]) <= 0.2
