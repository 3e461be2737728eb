"""`genre embed` writes embeddings for other programs, whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from genre_runtime import ExcerptPrediction, GenreClassifier, Prediction
from genre_runtime.library.similarity import with_embedding
from genre_runtime.prediction import FileResult
from tests.runtime.conftest import Genre
from tests.synthetic import RATE, tone, write_audio


@pytest.fixture
def expected(music: Path, model_path: Path) -> dict[str, Prediction]:
    """The answers that are expected, by path."""
    classifier = GenreClassifier.load(model_path, device="cpu")
    files = (music / "sub" / "noise.FLAC", music / "tone.wav")
    return {str(path): classifier.classify_file(path) for path in files}


def of(found: Prediction | ExcerptPrediction) -> NDArray[np.float32]:
    assert found.embedding is not None
    return found.embedding


def sha256(model_path: Path) -> str:
    return GenreClassifier.load(model_path, device="cpu").metadata.graphs["waveform"].sha256


def test_npz_has_arrays(
    genre: Genre, music: Path, tmp_path: Path, expected: dict[str, Prediction], model_path: Path
) -> None:
    output = tmp_path / "music.npz"
    assert genre("embed", music, "--output", output) == (0, "", "")
    with np.load(output) as found:
        assert set(found["paths"]) == set(expected)
        assert found["embeddings"].dtype == np.float32
        assert found["model_sha256"] == sha256(model_path)
        for path, row, seconds in zip(found["paths"], found["embeddings"], found["durations"], strict=True):
            np.testing.assert_allclose(row, of(expected[path]), rtol=1e-4, atol=1e-6)
            assert seconds == pytest.approx(expected[path].duration_seconds, abs=1e-3)


def test_jsonl_has_an_entry_for_a_failed_file(
    genre: Genre, music: Path, expected: dict[str, Prediction], model_path: Path
) -> None:
    (music / "broken.mp3").write_text("no music")
    status, out, err = genre("embed", music)
    rows = {row["path"]: row for row in map(json.loads, out.splitlines())}
    broken = rows.pop(str(music / "broken.mp3"))
    assert status == 1
    assert "broken.mp3" in err
    assert broken["error"]["code"] == "unreadable_audio"
    assert {row["model_sha256"] for row in [broken, *rows.values()]} == {sha256(model_path)}
    for path, row in rows.items():
        assert set(row) == {"path", "embedding", "duration_seconds", "model_sha256"}
        np.testing.assert_allclose(row["embedding"], of(expected[path]), rtol=1e-4, atol=1e-6)


def test_parquet_names_the_model(
    genre: Genre,
    music: Path,
    tmp_path: Path,
    expected: dict[str, Prediction],
    model_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    monkeypatch.setattr("genre_runtime.cli.embed.ROWS_A_GROUP", 1)
    (music / "broken.mp3").write_text("no music")
    output = tmp_path / "music.parquet"
    status, out, err = genre("embed", music, "--output", output)
    assert (status, out) == (1, "")
    assert "broken.mp3" in err
    table = parquet.read_table(output)
    assert table.schema.metadata[b"model_sha256"].decode() == sha256(model_path)
    assert parquet.ParquetFile(output).num_row_groups == 2
    for row in table.to_pylist():
        assert row["model_sha256"] == sha256(model_path)
        np.testing.assert_allclose(row["embedding"], of(expected[row["path"]]), rtol=1e-4, atol=1e-6)


def test_silent_excerpts_do_not_count(genre: Genre, tmp_path: Path, model_path: Path) -> None:
    song = tmp_path / "song.wav"
    write_audio(song, np.concatenate([np.zeros(10 * RATE, np.float32), tone(20)]))
    prediction = GenreClassifier.load(model_path, device="cpu").classify_file(song)
    audible = [of(e) for e in prediction.excerpts if not e.silent]
    assert 0 < len(audible) < len(prediction.excerpts)
    _, out, _ = genre("embed", song)
    np.testing.assert_allclose(json.loads(out)["embedding"], np.mean(audible, axis=0), rtol=1e-4, atol=1e-6)


def test_a_state_file_is_used(genre: Genre, music: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = ["embed", music, "--state", tmp_path / "state"]
    first = [json.loads(line) for line in genre(*command)[1].splitlines()]

    def fail(*_: object, **__: object) -> None:
        raise AssertionError("analysed again")

    monkeypatch.setattr(GenreClassifier, "analyse_or_error", fail)
    status, out, _ = genre(*command)
    second = [json.loads(line) for line in out.splitlines()]
    assert status == 0
    for old, new in zip(first, second, strict=True):  # the state file keeps half precision
        np.testing.assert_allclose(new["embedding"], old["embedding"], rtol=2e-3, atol=1e-4)


@pytest.mark.parametrize("form", ["npz", "parquet"])
def test_nothing_is_left_if_every_file_fails(genre: Genre, tmp_path: Path, form: str) -> None:
    if form == "parquet":
        pytest.importorskip("pyarrow")
    folder = tmp_path / "folder"
    folder.mkdir()
    output = folder / f"music.{form}"
    output.write_text("earlier")
    (tmp_path / "broken.mp3").write_text("no music")
    status, out, err = genre("embed", tmp_path / "broken.mp3", "--output", output)
    assert (status, out) == (1, "")
    assert "nothing was written" in err
    assert output.read_text() == "earlier"
    assert [path.name for path in folder.iterdir()] == [output.name]


def test_an_interruption_leaves_whole_lines(
    genre: Genre, music: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    analyse = GenreClassifier.analyse_or_error

    def interrupted(self: GenreClassifier, path: Path, **rest: object) -> object:
        if path.name == "noise.FLAC":
            raise KeyboardInterrupt
        return analyse(self, path)

    monkeypatch.setattr(GenreClassifier, "analyse_or_error", interrupted)
    for name in ("music.jsonl", "music.npz"):
        assert genre("embed", music, "--output", tmp_path / name)[0] == 130
    lines = (tmp_path / "music.jsonl").read_text().splitlines()
    assert [Path(json.loads(line)["path"]).name for line in lines] == ["tone.wav"]
    assert not (tmp_path / "music.npz").exists()


def test_a_binary_format_needs_a_file(genre: Genre, music: Path) -> None:
    status, _, err = genre("embed", music, "--format", "npz")
    assert status == 2
    assert "--output" in err


def test_music_and_state_files_are_not_overwritten(genre: Genre, music: Path, tmp_path: Path) -> None:
    state = tmp_path / "state"
    genre("classify", music, "--state", state)
    for output in (music / "tone.wav", state):
        before = output.read_bytes()
        for form in ("npz", "jsonl"):
            status, _, err = genre("embed", music, "--format", form, "--output", output)
            assert status == 2
            assert "name another file" in err
        assert output.read_bytes() == before


def test_an_embedding_of_another_size_is_an_error(expected: dict[str, Prediction]) -> None:
    path, prediction = next(iter(expected.items()))
    size = of(prediction).size
    result = FileResult(path, prediction)
    assert with_embedding(result, size) is result
    assert "state file" in str(with_embedding(result, size + 1).error)
