"""What a run leaves beside its checkpoint: a recipe that trains again, pictures to look at, a report that is safe."""

from __future__ import annotations

import json
import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open

from genre_runtime.errors import MissingDependencyError
from genre_runtime.model.metadata import AudioConfig
from genre_training.config import NetworkConfig, Recipe, TrainingConfig, read_recipe
from genre_training.evaluate.metrics import (
    calibration_error,
    coverage_at_threshold,
    excerpt_gain,
    metrics,
    reliability,
    track_probabilities,
)
from genre_training.evaluate.plots import save_curves, save_reliability
from genre_training.evaluate.report import PICTURES, tensorboard_logger, write_run_folder
from genre_training.evaluate.score import artists_in_words, summary
from genre_training.model.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from genre_training.model.pretrained import read_weights

NAMES = ("<b>", "jazz & $blues$", "rock", "silent")
"""A tag, an entity, what matplotlib takes for mathematics, and a genre that the test part lacks."""

SOURCE = {
    "n_tracks": 70,
    "n_groups": 30,
    "accuracy": 0.5,
    "accuracy_interval": [0.4, 0.6],
    "accuracy_own_genres": 0.625,
    "accuracy_own_genres_interval": [0.55, 0.7],
}

VOID = {"meta", "br", "link", "img"}


def scores(n_tracks: int, seed: int) -> dict[str, object]:
    rng = np.random.default_rng(seed)
    labels, groups = rng.integers(0, 3, n_tracks), np.arange(n_tracks) // 3
    logits = rng.standard_normal((n_tracks, 3, 4))
    logits[np.arange(n_tracks), :, labels] += 1.0
    probabilities = track_probabilities(logits, 0.8)
    return {
        **metrics(probabilities, labels, NAMES, groups),
        "per_source": {"<i>source": SOURCE},
        "calibration_error": calibration_error(probabilities, labels),
        "calibration_error_uncalibrated": calibration_error(track_probabilities(logits), labels),
        "confident": coverage_at_threshold(probabilities, labels, 0.7, groups),
        "excerpts": excerpt_gain(logits, labels, 0.8),
        "reliability": reliability(probabilities, labels),
    }


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    history = [
        {
            "epoch": epoch,
            "learning_rate": 1e-3,
            "train_loss": 2 / epoch,
            "val_loss": 1.5 + abs(epoch - 4) / 10,
            "val_acc": 0.1 * epoch,
            "val_macro_f1": 0.09 * epoch,
            "seconds": 1.5,
        }
        for epoch in range(1, 7)
    ]
    return Checkpoint(
        epoch=4,
        model_state_dict={},
        val_acc=0.4,
        val_loss=1.5,
        labels=NAMES,
        audio=AudioConfig(),
        network=NetworkConfig(),
        recipe=Recipe(training=TrainingConfig(learning_rate=1e-5)).to_dict(),
        history=history,
        temperature=0.8,
        confidence_threshold=0.7,
        metrics={"validation": scores(90, 0), "test": scores(1200, 1), "files": {"n_tracks": 0}},
        provenance={
            "clips_per_source": {"<i>source": 5000},
            "clips_without_artist": {},
            "clips_left_out": {f"clip/<{i}>": "silent & short" for i in range(60)},
            "split": {"split": "grouped", "seed": 0, "fold": 0, "train": 3710, "validation": 90, "test": 1200},
            "versions": {"torch": "2.x"},
            "device": "cpu",
            "precision": "torch.float32",
        },
    )


@pytest.fixture(scope="module")
def run_folder(checkpoint: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report") / "runs" / "first"
    assert write_run_folder(folder, checkpoint) == folder / "report.html"
    return folder


@pytest.fixture(scope="module")
def html(run_folder: Path) -> str:
    return (run_folder / "report.html").read_text(encoding="utf-8")


class Page(HTMLParser):
    """Notes every tag, checks that they nest, and keeps the text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_run_folder_holds_everything(checkpoint: Checkpoint, run_folder: Path) -> None:
    pictures = {f"{name}.{kind}" for name in PICTURES for kind in ("png", "svg")}
    names = {"config.toml", "history.jsonl", "metrics.json", "report.html", "weights.safetensors"}
    assert {path.name for path in run_folder.iterdir()} == names | pictures
    lines = (run_folder / "history.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == checkpoint.history
    stored = json.loads((run_folder / "metrics.json").read_text(encoding="utf-8"))
    assert {part: stored[part] for part in ("validation", "test", "files")} == checkpoint.metrics
    assert stored["temperature"] == 0.8


def test_weights_are_there_for_other_programs_and_to_start_from(checkpoint: Checkpoint, run_folder: Path) -> None:
    weights = read_weights(run_folder / "weights.safetensors")
    assert weights.keys() == checkpoint.model_state_dict.keys()
    assert all(torch.equal(weights[name], tensor) for name, tensor in checkpoint.model_state_dict.items())
    with safe_open(run_folder / "weights.safetensors", "pt") as file:
        assert json.loads(file.metadata()["genre"])["labels"] == list(checkpoint.labels)


def test_each_epoch_is_shown_in_tensorboard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[tuple[str, float, int]] = []

    class Writer:
        def __init__(self, folder: str) -> None:
            assert folder == str(tmp_path)

        def __enter__(self) -> Writer:
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def add_scalar(self, name: str, value: float, epoch: int) -> None:
            shown.append((name, value, epoch))

    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", SimpleNamespace(SummaryWriter=Writer))
    log = tensorboard_logger(tmp_path)
    log({"epoch": 1, "train_loss": 2.0, "val_loss": None})
    log({"epoch": 2, "train_loss": 1.0, "val_loss": 1.5})
    assert shown == [("train_loss", 2.0, 1), ("train_loss", 1.0, 2), ("val_loss", 1.5, 2)]


def test_without_tensorboard_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(MissingDependencyError, match="pip install tensorboard"):
        tensorboard_logger(tmp_path)


def test_same_checkpoint_gives_the_same_bytes(checkpoint: Checkpoint, run_folder: Path, tmp_path: Path) -> None:
    """After a round through the file too, and into a folder that holds older files."""
    save_checkpoint(checkpoint, tmp_path / "model.pt")
    for path in run_folder.iterdir():
        (tmp_path / path.name).write_text("older", encoding="utf-8")
    write_run_folder(tmp_path, load_checkpoint(tmp_path / "model.pt"))
    for path in run_folder.iterdir():
        assert path.read_bytes() == (tmp_path / path.name).read_bytes()


def test_recipe_reads_back_the_same(run_folder: Path) -> None:
    assert read_recipe(run_folder / "config.toml") == Recipe(training=TrainingConfig(learning_rate=1e-5))


def test_report_escapes_what_it_is_given(html: str) -> None:
    page = Page(html)
    assert not {"b", "i", "script", "link", "iframe", "object", "img"} & {tag for tag, _ in page.tags}
    for text in ("<b>", "jazz & $blues$", "<i>source", "clip/<0>", "silent & short"):
        assert text in page.text
    assert "clip/<49>" in page.text
    assert "clip/<50>" not in page.text  # the first fifty, and how many there are
    assert "60 clips were left out, the first 50 below" in page.text


def test_report_needs_no_other_file(html: str) -> None:
    page = Page(html)
    assert not [attributes for _, attributes in page.tags if {"src", "onclick", "onload"} & attributes.keys()]
    assert "@import" not in html
    targets = [value for _, attributes in page.tags for name, value in attributes.items() if name.endswith("href")]
    targets += re.findall(r"url\(([^)]*)\)", html)
    assert targets
    names = {attributes["id"] for _, attributes in page.tags if "id" in attributes}
    assert {target for target in targets if target} <= {f"#{name}" for name in names}
    assert "prefers-color-scheme: dark" in html


def test_report_states_the_figures(checkpoint: Checkpoint, html: str) -> None:
    page = Page(html)
    test = checkpoint.metrics["test"]
    low, high = test["accuracy_interval"]
    true, answer, count = test["confused_pairs"][0]
    assert f"{test['accuracy']:.1%} [{low:.1%}, {high:.1%}]" in page.text
    assert f"{true}{answer}{count}" in page.text
    for text in (
        "test, 1,200 tracks by 400 artists",
        "62.5% [55.0%, 70.0%]",
        "No artist, as the data sets name them, is in training",
        "training.learning_rate1e-05",
        "32, 64, 128, 256",
        "3,710 train",
    ):
        assert text in page.text
    assert sum(tag == "svg" for tag, _ in page.tags) == 3


@pytest.mark.parametrize("name", PICTURES)
def test_pictures_are_legible(run_folder: Path, name: str) -> None:
    with Image.open(run_folder / f"{name}.png") as image:
        assert min(image.size) >= 400
        assert max(image.size) <= 2000
        assert np.asarray(image.convert("L")).min() < 64  # something is drawn on it
    svg = (run_folder / f"{name}.svg").read_bytes()
    assert ElementTree.fromstring(svg).tag.endswith("svg")
    assert b"<image" not in svg  # no bitmap in it
    assert b"<dc:date>" not in svg


def test_titles_name_the_part_and_its_tracks(run_folder: Path) -> None:
    """Letters are outlines; matplotlib leaves each text beside them as a comment."""
    svg = {name: (run_folder / f"{name}.svg").read_text(encoding="utf-8") for name in PICTURES}
    assert "training (3,710 tracks), validation (90 tracks)" in svg["curves"]
    assert "kept: epoch 4" in svg["curves"]
    assert "test part (1,200 tracks)" in svg["confusion_matrix"]
    assert "test part (1,200 tracks)" in svg["reliability"]
    assert "silent (0)" in svg["confusion_matrix"]
    for name, labels in {
        "curves": ("epoch", "cross-entropy"),
        "confusion_matrix": ("answer", "true genre (tracks)"),
        "reliability": ("confidence (probability of the answer)", "share of right answers", "tracks"),
    }.items():
        for label in labels:
            assert f"<!-- {label} -->" in svg[name]


def test_one_epoch_and_one_bin_can_be_drawn(checkpoint: Checkpoint, tmp_path: Path) -> None:
    save_curves(checkpoint.history[:1], tmp_path / "curves")
    save_reliability({"confidence": [None, 0.9], "accuracy": [None, 1.0], "count": [0, 3]}, tmp_path / "reliability")
    assert len(list(tmp_path.iterdir())) == 4


def test_summary_for_the_terminal(checkpoint: Checkpoint) -> None:
    test = checkpoint.metrics["test"]
    lines = summary("test", test).splitlines()
    assert lines[0] == "test: 1,200 tracks by 400 artists"
    assert all(line.startswith("  ") for line in lines[1:])
    assert sum(line.startswith("  confused ") for line in lines) == 5
    assert any(
        line.endswith("50.0%, among its own genres 62.5% [55.0%, 70.0%] (70 tracks by 30 artists)") for line in lines
    )
    assert summary("test", {**test, "n_groups": 1200}).startswith("test: 1,200 tracks\n"), "no artist is known"
    assert summary("test", test).isascii()  # a console may know no more
    silent = {
        **test,
        "confident": {"coverage": 0.0, "precision": None, "precision_interval": None},
        "confused_pairs": [],
    }
    assert "0.0% of the tracks\n" in summary("test", silent)


def test_how_far_artists_are_apart_is_said_in_words() -> None:
    clips = {"fma": 90, "own": 10}
    for unknown, words in (
        ({}, "No artist, as the data sets name them, is in training and in test."),
        ({"own": 10}, "Of clips whose artist is unknown (10 of own) this is not certain."),
        ({"fma": 90, "own": 10}, "No clip names its artist, so the split is random"),
    ):
        assert words in artists_in_words({"clips_per_source": clips, "clips_without_artist": unknown})
    assert "not recorded" in artists_in_words({"clips_per_source": clips})
    assert "too good" in artists_in_words({"split": {"split": "stratified"}, "clips_per_source": clips})
