"""`genre similar` ranks tracks by the angle between embeddings."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from threading import Event

import numpy as np
import pytest

from genre_runtime import ExcerptPrediction, GenreClassifier, GenreError, Prediction
from genre_runtime.errors import InvalidInputError, StateError, UnreadableAudioError
from genre_runtime.library.analysis import plan_of
from genre_runtime.library.cache import LibraryState
from genre_runtime.library.similarity import EmbeddingIndex, KnownTracks, directions_of
from genre_runtime.model.head import GenreHead
from genre_runtime.model.metadata import GraphFile
from tests.runtime.conftest import Genre
from tests.synthetic import RATE, tone, write_audio


def test_cosines() -> None:
    query = np.array([1.0, 1.0], np.float32)
    others = [np.array(values, np.float32) for values in ([2, 2], [1, 0], [-1, 1], [-3, -3], [0, 0])]
    index = EmbeddingIndex(directions_of(others))
    tracks, cosines = zip(*index.nearest(query, 9), strict=True)
    assert tracks == (0, 1, 2, 4, 3)
    assert cosines == pytest.approx([1, 0.5**0.5, 0, 0, -1], abs=1e-6)
    assert [track for track, _ in index.nearest(0, 1)] == [1]
    assert [pair[:2] for pair in index.pairs(0.5)] == [(0, 1)]
    assert EmbeddingIndex(directions_of([np.zeros(2, np.float32)])).nearest(0, 3) == []


def test_pairs_of_many_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("genre_runtime.library.similarity.ROWS_AT_ONCE", 3)
    rows = np.random.default_rng(0).normal(size=(10, 4)).astype(np.float32)
    index = EmbeddingIndex(directions_of(list(rows)))
    cosines = index.directions @ index.directions.T
    expected = [(i, j) for i in range(10) for j in range(i + 1, 10) if cosines[i, j] >= 0.2]
    found = list(index.pairs(0.2))
    assert [pair[:2] for pair in found] == expected
    assert [pair[2] for pair in found] == pytest.approx([cosines[pair] for pair in expected], abs=1e-6)


def test_embeddings_of_two_models_are_not_compared() -> None:
    one, other = answer(Path("a"), 0.0), answer(Path("b"), 1.0)
    assert EmbeddingIndex.of([one, other]).directions.shape == (2, 2)
    for unfit in (None, np.zeros(3, np.float32)):
        with pytest.raises(InvalidInputError, match="analyse them again"):
            EmbeddingIndex.of([one, replace(other, embedding=unfit)])


def answer(path: Path, angle: float) -> Prediction:
    embedding = np.array([np.cos(angle), np.sin(angle)], np.float32)
    excerpts = (ExcerptPrediction(0, 1, {"tone": 1.0}, embedding=embedding),)
    return Prediction("tone", 1.0, True, None, {"tone": 1.0}, excerpts, 1.0, "cpu", path, embedding)


@pytest.mark.parametrize("remembered", [False, True])
def test_the_nearest_come_first(
    genre: Genre, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, remembered: bool
) -> None:
    angles = {"query.wav": 0.3, "far.wav": 2.0, "near.wav": 0.4, "nearer.wav": 0.25, "away.wav": 1.0}
    for i, name in enumerate(angles):
        write_audio(tmp_path / name, tone(0.1 + 0.1 * i))
    (tmp_path / "broken.mp3").write_text("no music")
    listen = GenreClassifier.analyse_or_error

    def stand_in(self: GenreClassifier, path: Path, **rest: object) -> Prediction | GenreError:
        return answer(path, angles[path.name]) if path.name in angles else listen(self, path)

    monkeypatch.setattr(GenreClassifier, "analyse_or_error", stand_in)
    command = ["similar", tmp_path / "query.wav", "--in", tmp_path, "--top", 3, "--format", "jsonl"]
    state = ["--state", tmp_path / "state"] if remembered else []
    for _ in range(2):
        status, out, err = genre(*command, *state)
        rows = [json.loads(line) for line in out.splitlines()]
        assert status == 1
        assert "broken.mp3" in err
        assert [Path(row["path"]).name for row in rows] == ["nearer.wav", "near.wav", "away.wav"]
        assert rows[0]["similarity"] == pytest.approx(np.cos(0.05), abs=2e-3)


def test_a_track_that_cannot_be_judged_is_the_whole_error(genre: Genre, music: Path) -> None:
    status, out, err = genre("similar", music / "none.wav", "--in", music)
    assert (status, out) == (1, "")
    assert len(err.splitlines()) == 1
    status, _, err = genre("similar", music / "tone.wav", "--in", music / "tone.wav")
    assert status == 1
    assert "no other audio files" in err


def test_the_table_names_genre_and_file(genre: Genre, music: Path) -> None:
    status, out, _ = genre("similar", music / "tone.wav", "--in", music)
    assert status == 0
    assert out.split()[1:] == ["tone", str(music / "sub" / "noise.FLAC")]


def known_state(folder: Path, classifier: GenreClassifier, names: str = "") -> Path:
    """Write a state file with the track of each letter, whose embedding is one number, and a silent one."""
    path = folder / "state"
    prediction = classifier.classify(tone(), RATE)
    silent = classifier.classify(np.zeros(RATE, np.float32), RATE)
    with closing(LibraryState(path, plan_of(classifier, None))) as state:
        for name in names:
            state.remember(folder / name, folder.stat(), 32 * name.lower().encode())
            state.store(32 * name.lower().encode(), prediction)
        state.remember(folder / "silent", folder.stat(), 32 * b"0")
        state.store(32 * b"0", silent)
        state.remember(folder / "failed", folder.stat(), 32 * b"1")
        state.store(32 * b"1", UnreadableAudioError("no audio"))
    return path


def test_known_tracks_of_a_state_file(classifier: GenreClassifier, tmp_path: Path) -> None:
    path = known_state(tmp_path, classifier, "abBcd")
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE answers SET answer = x'00' WHERE digest = ?", (32 * b"c",))
        database.execute("UPDATE answers SET embedding = x'0102' || embedding WHERE digest = ?", (32 * b"d",))
        database.execute("INSERT INTO files VALUES ('text', 1, 1, x'00')")
    before = path.read_bytes()
    known = KnownTracks.read(path, classifier)
    # Of equal files the first by path is shown: capital letters come first.
    assert [track.name for track in known.tracks] == [str(tmp_path / name) for name in "Ba"]
    assert known.index.directions.tolist() == [[1], [1]]
    assert {(track.label, track.confident) for track in known.tracks} == {("tone", True)}
    [(nearest, similarity)] = known.nearest(np.ones(1, np.float32), 9, digest=32 * b"b")
    assert (Path(nearest.name).name, similarity) == ("a", 1)
    assert len(known.nearest(np.ones(1, np.float32), 1)) == 1
    assert path.read_bytes() == before


def test_known_tracks_have_the_names_and_genres_asked_for(model_path: Path, tmp_path: Path) -> None:
    bare = GenreClassifier.load(model_path, device="cpu")
    path = known_state(tmp_path, bare, "aAb")
    sha256 = bare.metadata.graphs["waveform"].sha256
    ones = np.ones((2, 1), np.float32)
    head = GenreHead(("x", "y"), ones, np.array([5, 0], np.float32), (None, None), model_sha256=sha256)
    own = GenreClassifier.load(model_path, device="cpu", head=head)
    known = KnownTracks.read(path, own, name_of=lambda path: path.name if path.name == "a" else None)
    assert [(track.name, track.label) for track in known.tracks] == [("a", "x")]


def test_known_tracks_of_another_model_or_none(model_path: Path, classifier: GenreClassifier, tmp_path: Path) -> None:
    path = known_state(tmp_path, classifier, "ab")
    assert len(KnownTracks.read(path, classifier).tracks) == 2
    stop = Event()
    stop.set()
    assert KnownTracks.read(path, classifier, stop=stop).tracks == []
    other = GenreClassifier.load(model_path, device="cpu")
    other.model_metadata.graphs["waveform"] = GraphFile("other.onnx", 64 * "0")  # type: ignore[index]
    known = KnownTracks.read(path, other)
    assert (known.tracks, known.nearest(np.ones(1, np.float32), 5)) == ([], [])


@pytest.mark.parametrize("content", [None, b"words", b"SQLite format 3\0" + bytes(500)])
def test_known_tracks_of_a_wrong_file(classifier: GenreClassifier, tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "state"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(StateError, match="state"):
        KnownTracks.read(path, classifier)
    assert (path.read_bytes() if content is not None else None) == content


def test_known_tracks_while_a_run_writes(classifier: GenreClassifier, tmp_path: Path) -> None:
    path = known_state(tmp_path, classifier, "a")
    with closing(LibraryState(path, plan_of(classifier, None))) as state:
        state.remember(tmp_path / "b", tmp_path.stat(), 32 * b"a")
        state.remember(tmp_path / "c", tmp_path.stat(), 32 * b"c")
        state.store(32 * b"c", classifier.classify(tone(), RATE))
        assert [Path(track.name).name for track in KnownTracks.read(path, classifier).tracks] == ["a", "c"]
