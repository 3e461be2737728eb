"""Publishing: published models work in the runtime, and a model that fails the gate changes nothing."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from genre_export import graphs
from genre_export import publish as publish_module
from genre_export.card import model_card
from genre_export.parity import TOLERANCES, ParityError
from genre_export.publish import files_of_variant, publish
from genre_runtime import GenreClassifier
from genre_runtime.audio.excerpts import FloatArray
from genre_runtime.model.features import log_mel_spectrogram
from genre_runtime.model.metadata import FINE_AUDIO, AudioConfig, ModelMetadata, Tag, read_metadata
from genre_training.model.tags import TAG_CLASSES
from tests.export.replaced_files import in_order_of_replacement
from tests.export.tiny import LABELS, TEMPERATURE
from tests.synthetic import RATE, noise, tone

OF_TWO_BRANCHES = {name for name in TOLERANCES if "fine" in name or "tags" in name}
PUBLISHED = {
    "best_model.onnx",
    "best_model.logmel.onnx",
    "best_model.json",
    "model.schema.json",
    "MODEL_CARD.md",
    "best_model.pt",
}


@pytest.fixture(scope="module")
def loaded(published: Path) -> GenreClassifier:
    return GenreClassifier.load(published / "best_model.onnx", device="cpu", threads=1)


def test_exactly_the_named_files_are_written(published: Path) -> None:
    assert {path.name for path in published.iterdir()} == PUBLISHED


def test_runtime_loads_what_was_published(loaded: GenreClassifier) -> None:
    assert loaded.labels == LABELS
    prediction = loaded.classify(tone(35) + noise(35), RATE)
    assert len(prediction.excerpts) == 3
    assert sum(prediction.probabilities.values()) == pytest.approx(1)


@pytest.mark.parametrize("seconds", [0.6, 4.0, 10.0])
def test_spectrogram_gives_the_same_answer_as_the_samples(loaded: GenreClassifier, seconds: float) -> None:
    rate = loaded.metadata.audio.sample_rate
    swelling = np.linspace(0, 1, round(seconds * rate), dtype=np.float32)
    waveform = tone(seconds, rate) * swelling + noise(seconds, rate)
    from_samples = loaded.classify(waveform, rate)
    from_log_mel = loaded.classify_log_mel(log_mel_spectrogram(waveform, loaded.metadata.audio))
    assert from_log_mel.probabilities == pytest.approx(dict(from_samples.probabilities), abs=1e-4)


def test_sidecar_has_the_figures_of_the_checkpoint(published: Path) -> None:
    metadata = read_metadata(published / "best_model.onnx")
    assert metadata.audio == AudioConfig()
    assert (metadata.temperature, metadata.confidence_threshold) == (TEMPERATURE, 0.8125)
    assert metadata.excerpt_seconds == 10.0
    expected = {"val_acc": 0.625, "val_loss": 1.0625, "epoch": 7, "macro_f1": 0.5875}
    assert {key: metadata.metrics[key] for key in expected} == expected
    assert metadata.metrics["history"] == [{"epoch": 7, "val_loss": 1.0625, "val_acc": 0.625}]
    assert metadata.metrics["confusion_matrix"] == metadata.metrics["test"]["confusion_matrix"]
    assert (metadata.fine_audio, metadata.tags, metadata.genre_set_threshold) == (None, (), 0.05)
    parity = metadata.provenance["parity"]
    assert parity.keys() == TOLERANCES.keys() - OF_TWO_BRANCHES
    assert all(0 <= value <= TOLERANCES[name].limit for name, value in parity.items())


def test_sidecar_of_two_branches_has_tags_and_both_front_ends(published_fused: Path) -> None:
    metadata = read_metadata(published_fused / "best_model.onnx")
    assert (metadata.audio, metadata.fine_audio) == (AudioConfig(), FINE_AUDIO)
    assert metadata.genre_set_threshold == 0.875
    assert [tag.name for tag in metadata.tags] == [tag.name for tag in TAG_CLASSES]
    tags = {tag.name: tag for tag in metadata.tags}
    assert tags["music"] == Tag("music", "music", 0.25)
    assert tags["jazz"] == Tag("jazz", "style", 0.375, "jazz")
    assert tags["piano"] == Tag("piano", "instrument", 0.5)
    assert metadata.provenance["parity"].keys() == TOLERANCES.keys()


def test_card_of_two_branches_names_them_their_tags_and_their_weights(published_fused: Path) -> None:
    card = (published_fused / "MODEL_CARD.md").read_text(encoding="utf-8")
    for words in (
        "an audio branch, ",
        "hop 320, 128 bands), and a picture branch, ",
        "whose probability is at least 87.5%.",
        f"answers {len(TAG_CLASSES)} tags",
        "| music | 1 | music 0.25 |",
        "jazz 0.38",
        "- audio branch: gtzan 90",
        "- audio branch: `mn04_as` (EfficientAT, https://github.com/fschmid56/EfficientAT; Copyright (c) 2022 Florian "
        "Schmid; MIT licence; trained on AudioSet",
        "| onnx fine_log_mel |",
        "| onnx tags |",
    ):
        assert words in card


def test_card_has_the_figures_of_the_sidecar(published: Path) -> None:
    card = (published / "MODEL_CARD.md").read_text(encoding="utf-8")
    for words in (
        "Genres (3): blues, jazz, rock.",
        "Clips: gtzan 400. Split `grouped`, seed 0",
        "| test | all | 40 | 25 | 57.5% [50.0%, 75.0%] | 65.0% [55.0%, 77.5%] |",
        "| test | gtzan | 40 | 25 | 62.5% [50.0%, 75.0%] | 65.0% [55.0%, 77.5%] |",
        "confident answers: 30.0% of the tracks, 90.0% [80.0%, 100.0%] of them right",
        "No artist, as the data sets name them, is in training and in test.",
        "| jazz | 0.50 | 0.75 | 0.60 | 13 |",
        "Confident answers start at 0.81 (temperature 1.70)",
        "no cleared licence",
    ):
        assert words in card
    for name in TOLERANCES:
        assert (f"| {name} |" in card) == (name not in OF_TWO_BRANCHES)


def test_card_of_a_model_trained_on_every_clip_names_the_folds(published: Path) -> None:
    metadata = ModelMetadata.from_json((published / "best_model.json").read_text(encoding="utf-8"))
    folds = [{"gtzan": {"n_tracks": 40, "accuracy": 0.5, "accuracy_own_genres": share}} for share in (0.5, 0.6)]
    split = {"split": "grouped", "seed": 0, "train": 376, "validation": 0, "test": 24}
    provenance = {**metadata.provenance, "split": split, "recipe": {"network": {"kind": "crnn", "statistics": 8}}}
    card = model_card(replace(metadata, metrics={**metadata.metrics, "folds": folds}, provenance=provenance))
    assert "A CRNN and a branch of clip statistics with" in card
    assert "**376 of them**" in card
    assert "24 were held out" in card
    assert "| gtzan | 50.0% | 60.0% | 55.0% |" in card


def falsified_window(audio: AudioConfig) -> FloatArray:
    return np.hamming(audio.n_fft).astype(np.float32)


def test_falsified_front_end_is_refused_and_changes_nothing(
    published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = shutil.copytree(published, tmp_path / "models")
    before = {path.name: path.read_bytes() for path in output.iterdir()}

    def reuse(_graph: Any, _audio: Any, path: Path, _facts: Any) -> None:
        shutil.copy(published / path.name, path)  # this graph is not the falsified one, and an export takes seconds

    monkeypatch.setattr(publish_module, "write_log_mel_graph", reuse)
    monkeypatch.setattr(graphs, "hann_window", falsified_window)
    with pytest.raises(ParityError, match="the exported graph is not published") as error:
        publish(output / "best_model.pt", output)
    for name in ("torch log_mel", "onnx log_mel"):
        found = float(str(error.value).partition(f"{name}: ")[2].split()[0])
        assert 0.1 < found < 80
        assert f"{name}: {found:g} dB (allowed 0.01)" in str(error.value)
    assert "librosa" not in str(error.value)  # the reference itself is sound
    assert {path.name: path.read_bytes() for path in output.iterdir()} == before


def test_failing_export_changes_nothing(published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("the exporter gave up")

    output = shutil.copytree(published, tmp_path / "models")
    before = {path.name: path.read_bytes() for path in output.iterdir()}
    monkeypatch.setattr(torch.onnx, "export", broken)
    with pytest.raises(RuntimeError, match="gave up"):
        publish(output / "best_model.pt", output)
    assert {path.name: path.read_bytes() for path in output.iterdir()} == before


@pytest.fixture
def ready(published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A published model with a variant, whose export is fast, because it copies the graphs of `published`."""

    def reuse(_graph: Any, *given: Any) -> None:
        path = next(one for one in given if isinstance(one, Path))
        shutil.copy(published / path.name, path)

    for name in ("write_waveform_graph", "write_log_mel_graph"):
        monkeypatch.setattr(publish_module, name, reuse)
    monkeypatch.setattr(publish_module, "measure_parity", lambda *_: dict.fromkeys(TOLERANCES, 0.0))
    output = shutil.copytree(published, tmp_path / "models")
    for path in list(output.iterdir()):
        if path.name in PUBLISHED - {"best_model.pt"}:
            path.write_bytes(b"old " + path.read_bytes())
    for name in files_of_variant("int8"):
        (output / name).write_bytes(b"old variant")
    return output


def test_variants_of_the_model_before_go_with_it(ready: Path, published: Path) -> None:
    publish(ready / "best_model.pt", ready)
    assert {path.name for path in ready.iterdir()} == PUBLISHED
    assert (ready / "best_model.onnx").read_bytes() == (published / "best_model.onnx").read_bytes()


def test_card_that_cannot_be_replaced_changes_nothing(ready: Path) -> None:
    (ready / "MODEL_CARD.md").unlink()
    (ready / "MODEL_CARD.md").mkdir()
    before = {path.name: path.is_dir() or path.read_bytes() for path in ready.iterdir()}
    with pytest.raises(OSError, match=r"MODEL_CARD\.md"):
        publish(ready / "best_model.pt", ready)
    assert {path.name: path.is_dir() or path.read_bytes() for path in ready.iterdir()} == before


@pytest.mark.parametrize("error", [PermissionError("held open"), KeyboardInterrupt()])
@pytest.mark.parametrize("stopped_at", ["best_model.onnx", "best_model.json", "best_model.int8.json"])
@pytest.mark.parametrize("done", [False, True])
def test_publishing_that_stops_in_the_middle_changes_nothing(
    done: bool, stopped_at: str, error: BaseException, ready: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Windows refuses to replace an open file; Ctrl-C may come just before or just after a file was replaced."""
    (ready / "model.schema.json").unlink()  # what was not there is not there afterwards
    before = {path.name: path.read_bytes() for path in ready.iterdir()}
    replace_file, unlink = Path.replace, Path.unlink

    def stop_replacing(path: Path, target: Path) -> Path:
        stops = path.parent.parent == ready and target == ready / stopped_at
        if stops and not done:
            raise error
        replaced = replace_file(path, target)
        if stops:
            raise error
        return replaced

    def stop_removing(path: Path, missing_ok: bool = False) -> None:
        stops = path == ready / stopped_at
        if not stops or done:
            unlink(path, missing_ok)
        if stops:
            raise error

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", stop_replacing)
        patch.setattr(Path, "unlink", stop_removing)
        with pytest.raises(type(error)):
            publish(ready / "best_model.pt", ready)
    assert {path.name: path.read_bytes() for path in ready.iterdir()} == before


def test_the_sidecar_is_replaced_last(ready: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until then the old sidecar's sha256 tell that graphs are new; beside a new one old graphs would be missing."""
    replaced = in_order_of_replacement(ready, monkeypatch)
    publish(ready / "best_model.pt", ready)
    assert sorted(replaced) == sorted(PUBLISHED - {"best_model.pt"})
    assert replaced[-1] == "best_model.json"


def test_sidecar_is_json_that_others_read(published: Path) -> None:
    def refuse(constant: str) -> None:
        pytest.fail(f"{constant} is not JSON")

    text = (published / "best_model.json").read_text(encoding="utf-8")
    assert json.loads(text, parse_constant=refuse)["schema_version"] == 2
