"""What the model's page says, of sidecars that say much, little or nonsense; needs no screen."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from genre_gui.pages.model import UNKNOWN, describe, headline, history_of, matrix_of, scores_of
from genre_runtime.errors import ModelNotFoundError
from genre_runtime.model.metadata import default_model_path, read_metadata
from tests.gui.fake_backend import metadata


def test_the_shipped_model_says_it_all() -> None:
    try:
        path = default_model_path()
    except ModelNotFoundError:
        pytest.skip("no model is shipped with this tree")
    shipped = read_metadata(path)
    sidecar: dict[str, Any] = json.loads(Path(path).with_suffix(".json").read_text())
    assert headline(shipped)[0] == (f"{sidecar['metrics']['test']['accuracy']:.1%}", "right on test tracks")
    assert UNKNOWN not in [value for value, _ in headline(shipped)]
    assert set(scores_of(shipped)) == set(sidecar["metrics"]["test"]["per_genre"])  # the genres of the test tracks
    assert len(matrix_of(shipped)) == len(shipped.labels)
    assert len(history_of(shipped)) > 1
    assert "Data:" in describe(shipped)


@pytest.mark.parametrize(
    "metrics",
    [
        {},
        {"val_acc": "good", "epoch": None, "test": [], "files": 3, "confusion_matrix": 5, "history": {}},
        {"val_acc": float("nan"), "test": {"per_genre": {"tone": {"f1": 1}}}, "confusion_matrix": [[1, 2]]},
        {"confusion_matrix": [["a", 1, 2]] * 3, "history": [1, "two"], "test": {"per_genre": []}},
    ],
)
def test_what_is_missing_or_strange_is_left_out(metrics: dict[str, Any]) -> None:
    model = metadata(metrics=metrics, provenance={"split": "none", "versions": 3})
    assert {value for value, _ in headline(model)} == {UNKNOWN}
    assert scores_of(model) == {}
    assert matrix_of(model) == []
    assert history_of(model) == []
    assert "Genres:  noise, quiet, tone" in describe(model)
