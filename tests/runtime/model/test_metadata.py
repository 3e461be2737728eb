"""The audio settings and the sidecar: what is accepted, refused and kept."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from genre_runtime.errors import InvalidModelError, ModelNotFoundError
from genre_runtime.model.metadata import (
    FINE_AUDIO,
    AudioConfig,
    GraphFile,
    ModelMetadata,
    Tag,
    read_metadata,
)

TAG = {"name": "house", "kind": "style", "threshold": 0.5, "genre": "electronic"}

METADATA = ModelMetadata(
    labels=("jazz", "rock"),
    audio=AudioConfig(),
    graphs={"waveform": GraphFile("a.onnx", "0" * 64), "log_mel": GraphFile("b.onnx", "1" * 64)},
    excerpt_seconds=8.0,
    n_excerpts=5,
    temperature=1.5,
    confidence_threshold=0.25,
    fine_audio=FINE_AUDIO,
    tags=(Tag("music", "music", 0.5), Tag("house", "style", 0.25, "electronic")),
    genre_set_threshold=0.8,
    metrics={"val_acc": 0.5, "history": [{"epoch": 1}]},
    provenance={"seed": 1},
)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("sample_rate", 0),
        ("sample_rate", 22_050.0),
        ("n_fft", -1),
        ("window_length", 0),
        ("window_length", 3_073),
        ("hop_length", True),
        ("n_mels", "128"),
        ("f_min", -1.0),
        ("f_min", 11_025.0),
        ("f_max", 16_001.0),
        ("f_max", float("nan")),
        ("top_db", 0.0),
        ("top_db", float("inf")),
        ("top_db", None),
        ("scale", "mel"),
    ],
)
def test_audio_config_refuses_what_no_front_end_can_do(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=name):
        AudioConfig(**{name: value})


CHANGES = {
    "sample_rate": 44_100,
    "n_fft": 4_096,
    "window_length": 1_024,
    "hop_length": 512,
    "n_mels": 64,
    "f_min": 20.0,
    "f_max": 8_000.0,
    "top_db": 60.0,
    "scale": "kaldi",
}


def test_fingerprint_changes_with_every_field() -> None:
    assert set(CHANGES) == set(asdict(AudioConfig())), "a new field: add it here"
    variants = [AudioConfig(), *(AudioConfig(**{name: value}) for name, value in CHANGES.items())]  # type: ignore[arg-type]
    assert len({config.fingerprint() for config in variants}) == len(variants)
    assert all(re.fullmatch("[0-9a-f]{12}", config.fingerprint()) for config in variants)


def test_fingerprint_is_the_same_in_every_release() -> None:
    """Existing feature stores are named by it."""
    assert AudioConfig().fingerprint() == "d15048e9a359"


def test_audio_config_from_dict_wants_every_field_and_no_other() -> None:
    values = asdict(AudioConfig())
    assert AudioConfig.from_dict(values) == AudioConfig()
    with pytest.raises(ValueError, match=r"unknown.*window"):
        AudioConfig.from_dict({**values, "window": "hann"})
    del values["n_mels"]
    with pytest.raises(ValueError, match=r"missing.*n_mels"):
        AudioConfig.from_dict(values)


def test_frames_and_their_spacing() -> None:
    config = AudioConfig(sample_rate=16_000, hop_length=160, f_max=8_000.0)
    assert config.frame_seconds == 0.01
    assert [config.n_frames(n) for n in (1, 159, 160, 16_000)] == [1, 1, 2, 101]


def test_sidecar_round_trip() -> None:
    assert ModelMetadata.from_json(METADATA.to_json()) == METADATA


def _changed(**changes: Any) -> str:
    return json.dumps({**json.loads(METADATA.to_json()), **changes})


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"schema_version": 1}, "schema_version is 1: .* reads 2"),
        ({"labels": ["rock", "rock"]}, "twice"),
        ({"labels": []}, "labels"),
        ({"labels": ["rock", 3]}, "labels"),
        ({"labels": None}, "NoneType"),
        ({"audio": {"sample_rate": 22_050}}, "missing"),
        ({"audio": {**asdict(AudioConfig()), "top_db": -80}}, "top_db"),
        ({"graphs": {"waveform": {"file": "a.onnx", "sha256": "0"}}}, "log_mel"),
        ({"graphs": {kind: {"file": "../a.onnx", "sha256": "0"} for kind in ("waveform", "log_mel")}}, "beside"),
        ({"graphs": {kind: {"file": "a.onnx", "sha256": None} for kind in ("waveform", "log_mel")}}, "sha256"),
        ({"graphs": {kind: {"file": "a.onnx"} for kind in ("waveform", "log_mel")}}, "sha256"),
        ({"confidence_threshold": 1.5}, "confidence_threshold"),
        ({"confidence_threshold": 0.0}, "confidence_threshold"),
        ({"confidence_threshold": float("nan")}, "confidence_threshold"),
        ({"temperature": 0}, "temperature"),
        ({"excerpt_seconds": "10"}, "excerpt_seconds"),
        ({"n_excerpts": 0}, "n_excerpts"),
        ({"n_excerpts": 2.5}, "n_excerpts"),
        ({"n_excerpts": True}, "n_excerpts"),
        ({"genre_set_threshold": 0}, "genre_set_threshold"),
        ({"genre_set_threshold": 1.1}, "genre_set_threshold"),
        ({"fine_audio": {"sample_rate": 32_000}}, "missing"),
        ({"fine_audio": asdict(AudioConfig(sample_rate=44_100))}, "44100 Hz, audio of 32000 Hz: expected the same"),
        ({"tags": None}, "NoneType"),
        ({"tags": [{"name": "music", "kind": "music"}]}, "threshold"),
        ({"tags": [TAG | {"name": ""}]}, "the tag '' cannot be printed"),
        ({"tags": [TAG | {"name": "a\nb"}]}, "cannot be printed"),
        ({"tags": [TAG | {"name": 3}]}, "cannot be printed"),
        ({"tags": [TAG | {"kind": "colour"}]}, "'house' has the kind 'colour': expected music, style"),
        ({"tags": [TAG | {"threshold": 0}]}, "'house': threshold is 0: expected a finite number of more than 0"),
        ({"tags": [TAG | {"threshold": "0.5"}]}, "threshold"),
        ({"tags": [TAG | {"kind": "mood"}]}, "'house' is a mood with a genre: only a style has one"),
        ({"tags": [TAG | {"genre": 3}]}, "genre of a tag"),
        ({"tags": [TAG | {"colour": "red"}]}, "colour"),
        ({"tags": [TAG, TAG]}, "each tag once, not twice"),
        ({"metrics": None}, "metrics"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_sidecar_out_of_range_is_refused_by_name(changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(InvalidModelError, match=complaint):
        ModelMetadata.from_json(_changed(**changes))


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "null", '"text"', "{}", '{"schema_version": 2}'])
def test_sidecar_that_is_something_else_is_refused(text: str) -> None:
    with pytest.raises(InvalidModelError, match="invoke export"):
        ModelMetadata.from_json(text)


def test_sidecar_is_read_beside_the_graph(tmp_path: Path) -> None:
    metadata = replace(METADATA, labels=("naïve", "ロック"))
    (tmp_path / "model.json").write_text(metadata.to_json(), encoding="utf-8")
    assert read_metadata(tmp_path / "model.onnx") == metadata


def test_sidecar_missing_or_no_text(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError, match=r"model\.json"):
        read_metadata(tmp_path / "model.onnx")
    (tmp_path / "model.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InvalidModelError, match="UTF-8"):
        read_metadata(tmp_path / "model.onnx")


@pytest.mark.parametrize("path", [".", "/", ""])
def test_a_model_path_without_a_file_name_is_not_found(path: str) -> None:
    with pytest.raises(ModelNotFoundError):
        read_metadata(Path(path))
