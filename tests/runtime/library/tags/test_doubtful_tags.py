"""From a wrong tag to the right one and back: `genre audit`, `genre report`, `genre tag --from`, `--undo`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from genre_runtime import ExcerptPrediction, GenreClassifier, Prediction
from genre_runtime.library.tags import read_genres, write_genres
from tests.runtime.conftest import Genre
from tests.synthetic import LABELS, noise, tone, write_audio

N_ARTISTS = 6


@pytest.fixture
def collection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Tones and noises by six artists each, a folder an artist; one tone is tagged as noise."""
    for variable in ("XDG_STATE_HOME", "LOCALAPPDATA", "HOME"):
        monkeypatch.setenv(variable, str(tmp_path / "state"))
    folder = tmp_path / "music"
    for number in range(N_ARTISTS):
        suffix = (".mp3", ".flac", ".ogg")[number % 3]
        pure, rough = folder / f"pure {number}" / f"a{suffix}", folder / f"rough {number}" / f"b{suffix}"
        for path, sound, genre in (
            (pure, tone(3, frequency=300 + 40 * number), "Calm"),
            (rough, (noise(3, seed=number) / 2).astype(np.float32), "Harsh"),
        ):
            path.parent.mkdir(parents=True)
            write_audio(path, sound)
            write_genres(path, [genre], journal=None)
    write_genres(folder / "pure 0" / "a.mp3", ["Harsh"], "overwrite", journal=None)
    monkeypatch.setattr(GenreClassifier, "analyse_or_error", answer)  # the tiny model's embedding has no direction
    return folder


def answer(_: GenreClassifier, path: Path, **__: object) -> Prediction:
    """Answer by the name of the folder, with an embedding of two numbers."""
    kind, number = path.parent.name.split()
    angle = 0.05 * int(number) + (1.5 if kind == "rough" else 0.0)
    embedding = np.array([np.cos(angle), np.sin(angle)], np.float32)
    shares = dict.fromkeys(LABELS, 1 / len(LABELS))
    excerpts = (ExcerptPrediction(0, 3, shares, embedding=embedding),)
    return Prediction(LABELS[0], 1 / len(LABELS), True, None, shares, excerpts, 3.0, "cpu", path, embedding)


def test_a_wrong_tag_is_mended_and_brought_back(genre: Genre, collection: Path, tmp_path: Path) -> None:
    wrong = collection / "pure 0" / "a.mp3"
    before = {path: path.read_bytes() for path in collection.rglob("*.*")}
    doubtful = tmp_path / "doubtful.jsonl"
    status, _, err = genre("audit", collection, "--output", doubtful)
    assert status == 0, err
    rows = [json.loads(line) for line in doubtful.read_text().splitlines()]
    assert rows[0]["path"] == str(wrong)
    assert rows[0]["label"] == "Calm"
    assert rows[0]["doubt"]["genres"] == ["Harsh"]

    page = tmp_path / "report.html"
    assert genre("report", doubtful, "--output", page)[0] == 0
    assert "Doubtful tags" in page.read_text(encoding="utf-8")

    status, _, err = genre("tag", "--from", doubtful, "--overwrite", "--unsure", wrong, "--write")
    assert status == 0, err
    assert read_genres(wrong) == ("Calm",)
    assert [path for path, content in before.items() if path.read_bytes() != content] == [wrong]

    journal = err.strip().splitlines()[-1].removeprefix("to undo this: genre tag --undo ").strip("'")
    assert genre("tag", "--undo", journal)[0] == 0
    assert {path: path.read_bytes() for path in before} == before
