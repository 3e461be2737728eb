"""What the service says of its model."""

from __future__ import annotations

import io
import json
import math
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from genre_api.images import CELL, MARGIN, SCALE, confusion_png, confusion_svg
from genre_api.routes.model import answerable
from genre_runtime import AudioConfig, GenreClassifier, read_metadata
from tests.api.conftest import MakeClient
from tests.api.figures import MATRIX, add_figures
from tests.api.requests import assert_problem
from tests.synthetic import LABELS

METRICS_KEYS = {"model_exists", "model_path", "val_acc", "val_loss", "epoch", "ready"}
SVG = {"Accept": "image/svg+xml"}
PNG = {"Accept": "image/png"}


def client_of(make_client: MakeClient, model_path: Path, metrics: Mapping[str, Any]) -> TestClient:
    if metrics:
        add_figures(model_path, **metrics)
    return make_client(lambda: GenreClassifier.load(model_path, device="cpu"))


def test_genres_in_the_order_of_the_model(client: TestClient) -> None:
    answer = client.get("/api/genres").json()
    assert answer == {"genres": list(LABELS), "confidence_threshold": 0.5}


def test_input_of_the_model(client: TestClient, model_path: Path) -> None:
    metadata = read_metadata(model_path)
    answer = client.get("/api/input").json()
    assert (answer["excerpt_seconds"], answer["n_excerpts"]) == (metadata.excerpt_seconds, metadata.n_excerpts)
    assert AudioConfig.from_dict(answer["audio"]) == metadata.audio


def test_metrics_come_from_the_sidecar(client: TestClient) -> None:
    metrics = client.get("/api/metrics").json()
    assert metrics.keys() >= METRICS_KEYS
    assert (metrics["val_acc"], metrics["val_loss"], metrics["epoch"]) == (0.75, 0.5, 3)
    assert (metrics["model_exists"], metrics["model_path"], metrics["ready"]) == (True, "best_model.onnx", True)
    assert (metrics["macro_f1"], metrics["provenance"]) == (0.7, {"split": {"split": "grouped"}})


def test_metrics_without_a_model(client_without_model: TestClient) -> None:
    metrics = client_without_model.get("/api/metrics").json()
    assert metrics.keys() >= METRICS_KEYS
    assert {value for value in metrics.values() if value is not None} == {False}


def test_a_broken_model_exists_but_is_not_ready(make_client: MakeClient, model_path: Path) -> None:
    model_path.write_bytes(b"broken")
    client = make_client(lambda: GenreClassifier.load(model_path))
    metrics = client.get("/api/metrics").json()
    assert (metrics["model_exists"], metrics["ready"]) == (True, False)


def test_a_broken_graph_for_spectrograms_shows_at_once(make_client: MakeClient, model_path: Path) -> None:
    model_path.with_name("best_model.logmel.onnx").write_bytes(b"broken")
    client = make_client(lambda: GenreClassifier.load(model_path, device="cpu"))
    assert_problem(client.get("/readyz"), 503, "not_ready")


def test_history_and_confusion(make_client: MakeClient, model_path: Path) -> None:
    history = [{"epoch": 1, "val_acc": 0.5, "val_loss": math.nan}]
    client = client_of(make_client, model_path, {"history": history, "confusion_matrix": MATRIX})
    assert client.get("/api/metrics/history").json() == {"history": [{"epoch": 1, "val_acc": 0.5, "val_loss": None}]}
    answer = client.get("/api/metrics/confusion").json()
    assert answer == {"labels": list(LABELS), "matrix": MATRIX, "rows": "true", "columns": "answered"}
    response = client.get("/api/metrics/confusion", headers=SVG)
    assert response.headers["content-type"] == "image/svg+xml"
    texts = [element.text for element in ElementTree.fromstring(response.content).iter() if element.text]
    assert [text for text in texts if text.isdecimal()] == ["3", "1", "2", "1", "5"]
    assert_problem(client.get("/api/metrics/confusion", headers={"Accept": "image/gif"}), 406, "not_acceptable")


def test_confusion_matrix_in_pixels(make_client: MakeClient, model_path: Path) -> None:
    client = client_of(make_client, model_path, {"confusion_matrix": [[9, 0, 0], [0, 0, 0], [4, 0, 0]]})
    response = client.get("/api/metrics/confusion", headers={"Accept": "image/png, image/svg+xml;q=0.5"})
    assert response.headers["content-type"] == "image/png"
    image = Image.open(io.BytesIO(response.content)).convert("RGB")
    corners = [
        [image.getpixel((SCALE * (MARGIN + CELL * j) + 5, SCALE * (MARGIN + CELL * i) + 5)) for j in range(3)]
        for i in range(3)
    ]
    dark, white = (8, 81, 156), (255, 255, 255)
    assert corners == [[dark, white, white], [white] * 3, [dark, white, white]]
    labels = np.asarray(image.crop((0, SCALE * MARGIN, SCALE * (MARGIN - 6), image.height)))
    assert labels.min() < 50, "the labels are written in black"


@pytest.mark.parametrize(
    "metrics",
    [{}, {"history": "words", "confusion_matrix": [[1]]}, {"history": [1], "confusion_matrix": [[1, 2, -3]] * 3}],
    ids=["nothing", "wrong shape", "wrong values"],
)
def test_what_the_sidecar_does_not_say_is_not_recorded(
    make_client: MakeClient, model_path: Path, metrics: dict[str, Any]
) -> None:
    client = client_of(make_client, model_path, metrics)
    for address in ("history", "confusion"):
        assert_problem(client.get(f"/api/metrics/{address}"), 404, "not_recorded")


def test_odd_figures_of_a_foreign_sidecar_are_null(make_client: MakeClient, model_path: Path) -> None:
    odd = {"val_acc": "good", "val_loss": math.inf, "epoch": 1.5, "macro_f1": True, "test": [1]}
    metrics = client_of(make_client, model_path, odd).get("/api/metrics").json()
    assert [metrics[name] for name in odd] == [None] * len(odd)


def test_labels_are_escaped_in_the_picture() -> None:
    picture = confusion_svg(["<script>", "R&B"], [[0, 0], [1, 2]])
    assert [text.text for text in ElementTree.fromstring(picture).iter() if text.text == "<script>"]


def test_confusion_matrix_is_drawn_once(
    make_client: MakeClient, model_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn, draw = [], confusion_png

    def counted(labels: Sequence[str], matrix: Sequence[Sequence[int]]) -> bytes:
        drawn.append(threading.current_thread())
        return draw(labels, matrix)

    monkeypatch.setattr("genre_api.routes.model.confusion_png", counted)
    client = client_of(make_client, model_path, {"test": {"confusion_matrix": [[7, 1, 2], [3, 4, 5], [6, 8, 9]]}})
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: client.get("/api/metrics/confusion", headers=PNG).content, range(4)))
    assert len(set(answers)) == 1
    assert answers[0].startswith(b"\x89PNG")
    assert len(drawn) == 1
    assert "AnyIO worker" in drawn[0].name, "not the thread of the event loop"


def test_strings_of_the_sidecar_that_utf_8_lacks(make_client: MakeClient, model_path: Path) -> None:
    client = client_of(make_client, model_path, {"test": {"per_genre": {"\ud800": {"name\udfff": "\ud801"}}}})
    assert client.get("/api/metrics").json()["test"]["per_genre"] == {"?": {"name?": "?"}}


def test_label_that_utf_8_lacks_is_an_error_of_the_model(make_client: MakeClient, model_path: Path) -> None:
    sidecar = model_path.with_suffix(".json")
    values = json.loads(sidecar.read_text(encoding="utf-8"))
    sidecar.write_text(json.dumps({**values, "labels": ["\ud800", *values["labels"][1:]]}), encoding="utf-8")
    client = client_of(make_client, model_path, {})
    assert_problem(client.get("/readyz"), 503, "not_ready")
    assert "cannot be printed" in client.get("/readyz").json()["load_error"]


def test_only_what_json_lacks_is_replaced() -> None:
    value = {"a": [1, 2.5, math.nan, {"b": -math.inf}], "c": None, "d": "text"}
    assert (
        json.dumps(answerable(value), allow_nan=False) == '{"a": [1, 2.5, null, {"b": null}], "c": null, "d": "text"}'
    )
