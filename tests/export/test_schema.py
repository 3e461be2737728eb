"""The schema of the sidecar: published sidecars match it, and it refuses what the runtime refuses."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from genre_export import publish as publish_module
from genre_export.publish import publish
from genre_export.schema import SidecarError, check_sidecar, schema_text
from genre_runtime.errors import InvalidModelError
from genre_runtime.model.metadata import SCHEMA_VERSION, AudioConfig, GraphFile, ModelMetadata, Tag
from genre_training.model.checkpoint import save_checkpoint
from tests.export.tiny import tiny_checkpoint

SHIPPED = Path(__file__).parents[2] / "models" / "best_model.json"
SCHEMA = json.loads(schema_text())
VALIDATOR = Draft202012Validator(SCHEMA)


@pytest.fixture(scope="module")
def text(published_fused: Path) -> str:
    return (published_fused / "best_model.json").read_text(encoding="utf-8")


def test_schema_is_valid_and_every_field_has_a_description() -> None:
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    for part in (SCHEMA, *(SCHEMA["$defs"][name] for name in ("AudioConfig", "GraphFile", "Tag"))):
        assert part["description"]
        assert all(values.get("description") or "$ref" in values for values in part["properties"].values())
    Draft202012Validator.check_schema(SCHEMA)


def test_shipped_sidecar_is_valid() -> None:
    check_sidecar(SHIPPED.read_text(encoding="utf-8"))
    VALIDATOR.validate(json.loads(SHIPPED.read_text(encoding="utf-8")))
    assert SHIPPED.with_name("model.schema.json").read_text(encoding="utf-8") == schema_text(), "run `invoke export`"


def test_published_sidecar_is_valid_and_its_schema_lies_beside_it(text: str, published: Path) -> None:
    for sidecar in (text, (published / "best_model.json").read_text(encoding="utf-8")):
        check_sidecar(sidecar)
        VALIDATOR.validate(json.loads(sidecar))
    assert (published / "model.schema.json").read_text(encoding="utf-8") == schema_text()


def test_schema_describes_every_field_of_the_runtime_and_no_other() -> None:
    def names(of: Any) -> set[str]:
        return {item.name for item in fields(of)}

    described = {
        "schema_version": (SCHEMA, names(ModelMetadata) | {"schema_version"}),
        "audio": (SCHEMA["$defs"]["AudioConfig"], names(AudioConfig)),
        "graph": (SCHEMA["$defs"]["GraphFile"], names(GraphFile)),
        "tag": (SCHEMA["$defs"]["Tag"], names(Tag)),
    }
    for part, expected in described.values():
        assert set(part["properties"]) == set(part["required"]) == expected
        assert part["additionalProperties"] is False
    assert SCHEMA["properties"]["schema_version"]["const"] == SCHEMA_VERSION


def test_every_metric_that_is_published_is_described(text: str) -> None:
    """If training adds a figure, describe it in `genre_export.schema`."""
    parts = (("metrics", SCHEMA["$defs"]["Metrics"]), ("provenance", SCHEMA["$defs"]["Provenance"]))
    for sidecar in (json.loads(text), json.loads(SHIPPED.read_text(encoding="utf-8"))):
        for name, part in parts:
            assert set(sidecar[name]) <= set(part["properties"])
        for kind, part in (("Scores", "validation"), ("Scores", "test"), ("FileScores", "files")):
            assert set(sidecar["metrics"].get(part, ())) <= set(SCHEMA["$defs"][kind]["properties"])


def setting(*path: str | int, to: Any) -> Callable[[dict[str, Any]], None]:
    """Return a function that sets the value at `path`."""

    def change(values: dict[str, Any]) -> None:
        place: Any = values
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = to

    return change


def without(*path: str | int) -> Callable[[dict[str, Any]], None]:
    """Return a function that removes the value at `path`."""

    def change(values: dict[str, Any]) -> None:
        place: Any = values
        for step in path[:-1]:
            place = place[step]
        del place[path[-1]]

    return change


DAMAGES = {
    "no schema_version": without("schema_version"),
    "another schema_version": setting("schema_version", to=1),
    "a key too many": setting("author", to="me"),
    "no labels": without("labels"),
    "empty labels": setting("labels", to=[]),
    "a label that is a number": setting("labels", 0, to=7),
    "a label without letters": setting("labels", 0, to=""),
    "a label twice": setting("labels", to=["rock", "rock"]),
    "labels are no list": setting("labels", to=None),
    "no audio": without("audio"),
    "audio is a list": setting("audio", to=[]),
    "audio without hop_length": without("audio", "hop_length"),
    "audio with a field too many": setting("audio", "window", to="hann"),
    "a sample rate of zero": setting("audio", "sample_rate", to=0),
    "a sample rate that is true": setting("audio", "sample_rate", to=True),
    "n_mels as text": setting("audio", "n_mels", to="128"),
    "n_fft with a fraction": setting("audio", "n_fft", to=2048.5),
    "negative f_min": setting("audio", "f_min", to=-1.0),
    "f_max is null": setting("audio", "f_max", to=None),
    "top_db of zero": setting("audio", "top_db", to=0),
    "a scale that is not known": setting("audio", "scale", to="sone"),
    "fine audio without scale": without("fine_audio", "scale"),
    "fine audio is a list": setting("fine_audio", to=[]),
    "tags are null": setting("tags", to=None),
    "a tag without threshold": without("tags", 0, "threshold"),
    "a tag with a key too many": setting("tags", 0, "place", to=137),
    "a tag of an unknown kind": setting("tags", 0, "kind", to="smell"),
    "a tag without letters": setting("tags", 0, "name", to=""),
    "a tag's threshold of zero": setting("tags", 0, "threshold", to=0),
    "a tag's threshold beyond one": setting("tags", 0, "threshold", to=1.5),
    "a share of zero": setting("genre_set_threshold", to=0),
    "a share beyond one": setting("genre_set_threshold", to=1.1),
    "no graphs": without("graphs"),
    "one graph": without("graphs", "log_mel"),
    "three graphs": setting("graphs", "picture", to={"file": "a.onnx", "sha256": "0" * 64}),
    "graph without sha256": without("graphs", "waveform", "sha256"),
    "graph with a key too many": setting("graphs", "waveform", "size", to=1),
    "graph in another folder": setting("graphs", "waveform", "file", to="../best_model.onnx"),
    "graph's file is a number": setting("graphs", "waveform", "file", to=1),
    "graph's sha256 is a number": setting("graphs", "waveform", "sha256", to=1),
    "excerpts of no length": setting("excerpt_seconds", to=0),
    "excerpts beyond an hour": setting("excerpt_seconds", to=3601),
    "no excerpt": setting("n_excerpts", to=0),
    "half an excerpt": setting("n_excerpts", to=2.5),
    "temperature is null": setting("temperature", to=None),
    "temperature is true": setting("temperature", to=True),
    "temperature below zero": setting("temperature", to=-1.0),
    "temperature is not a number": setting("temperature", to=float("nan")),
    "threshold beyond one": setting("confidence_threshold", to=1.5),
    "threshold of zero": setting("confidence_threshold", to=0.0),
    "metrics are a list": setting("metrics", to=[]),
    "provenance is text": setting("provenance", to="none"),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_what_the_runtime_refuses_the_schema_refuses(text: str, damage: Callable[[dict[str, Any]], None]) -> None:
    values = json.loads(text)
    damage(values)
    damaged = json.dumps(values)
    with pytest.raises(InvalidModelError):
        ModelMetadata.from_json(damaged)
    with pytest.raises(SidecarError):
        check_sidecar(damaged)
    assert not VALIDATOR.is_valid(values) or "NaN" in damaged  # NaN is not JSON


WRONG_FIGURES = {
    "accuracy in percent": (setting("metrics", "val_acc", to=62.5), r"\$\.metrics\.val_acc: 62\.5"),
    "no epoch": (without("metrics", "epoch"), r"\$\.metrics\.epoch: missing"),
    "epoch as text": (setting("metrics", "epoch", to="7"), r"\$\.metrics\.epoch: '7'"),
    "history out of shape": (setting("metrics", "history", to=[7]), r"\$\.metrics\.history\[0\]: 7"),
    "tracks below zero": (
        setting("metrics", "validation", "confusion_matrix", 0, 0, to=-1),
        r"\$\.metrics\.validation\.confusion_matrix\[0\]\[0\]: -1",
    ),
    "a genre without recall": (
        without("metrics", "test", "per_genre", "jazz", "recall"),
        r"\$\.metrics\.test\.per_genre\.jazz\.recall: missing",
    ),
    "a count as text": (
        setting("provenance", "clips_per_source", "gtzan", to="400"),
        r"\$\.provenance\.clips_per_source\.gtzan: '400'",
    ),
    "a digest cut short": (setting("graphs", "log_mel", "sha256", to="ab"), r"\$\.graphs\.log_mel\.sha256: 'ab'"),
}


@pytest.mark.parametrize(("damage", "place"), WRONG_FIGURES.values(), ids=WRONG_FIGURES)
def test_wrong_figures_are_refused_with_their_place(
    text: str, damage: Callable[[dict[str, Any]], None], place: str
) -> None:
    values = json.loads(text)
    damage(values)
    with pytest.raises(SidecarError, match=place) as error:
        check_sidecar(json.dumps(values))
    assert error.value.code == "sidecar"


@pytest.mark.parametrize("damaged", ["", "{", "[]", '{"metrics": Infinity}'])
def test_text_that_is_not_a_sidecar_is_refused(damaged: str) -> None:
    with pytest.raises(SidecarError, match=r"the sidecar (is not JSON|does not match)"):
        check_sidecar(damaged)


def test_export_does_not_write_a_sidecar_that_does_not_match(
    published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = tiny_checkpoint()
    checkpoint.metrics["test"]["accuracy"] = 57.5
    save_checkpoint(checkpoint, tmp_path / "best_model.pt")

    def reuse(_graph: Any, *rest: Any) -> None:
        shutil.copy(
            published / rest[-2].name, rest[-2]
        )  # the network is the published one, and an export takes seconds

    for name in ("write_waveform_graph", "write_log_mel_graph"):
        monkeypatch.setattr(publish_module, name, reuse)
    with pytest.raises(SidecarError, match=r"at \$\.metrics\.test\.accuracy: 57\.5"):
        publish(tmp_path / "best_model.pt", tmp_path / "models")
    assert list((tmp_path / "models").iterdir()) == []
