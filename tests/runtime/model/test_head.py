"""A head answers in place of the model, alike for new and known files; bad heads are refused in words."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from genre_runtime import GenreClassifier
from genre_runtime.errors import InvalidHeadError, InvalidInputError, ModelNotFoundError
from genre_runtime.library.analysis import Library, plan_of
from genre_runtime.library.cache import LibraryState
from genre_runtime.model.head import GenreHead, read_head
from genre_runtime.model.metadata import read_metadata
from tests.runtime.conftest import Genre
from tests.synthetic import RATE, noise, tone, write_audio


def head_of(model_path: Path, **rest: Any) -> GenreHead:
    """Tell loud music from soft: the tiny model's embedding is the level."""
    values: dict[str, Any] = {
        "labels": ("Soft", "Loud"),
        "weights": np.array([[-20.0], [20.0]], np.float32),
        "bias": np.array([4.0, -4.0], np.float32),
        "known_as": (None, None),
        "model_sha256": read_metadata(model_path).graphs["waveform"].sha256,
        "confidence_threshold": 0.6,
    }
    return GenreHead(**(values | rest))


@pytest.fixture
def head_path(model_path: Path, tmp_path: Path) -> Path:
    path = tmp_path / "mine.genre"
    path.write_text(head_of(model_path).to_json(), encoding="utf-8")
    return path


def test_the_head_answers(model_path: Path, head_path: Path) -> None:
    classifier = GenreClassifier.load(model_path, device="cpu", head=head_path)
    assert classifier.labels == classifier.metadata.labels == ("Soft", "Loud")
    assert classifier.model_metadata.labels != classifier.labels
    loud, soft = classifier.classify(tone(12), RATE), classifier.classify(noise(12) * 0.1, RATE)
    assert (loud.label, soft.label) == ("Loud", "Soft")
    assert set(loud.probabilities) == set(loud.excerpts[0].probabilities) == {"Soft", "Loud"}
    level = loud.excerpts[0].embedding
    assert level is not None
    assert loud.excerpts[0].probabilities["Loud"] == pytest.approx(1 / (1 + np.exp(8 - 40 * level[0])), abs=0.01)
    assert loud.confident
    assert loud.genre_set[0] == "Loud"


def test_silence_stays_silence(model_path: Path, head_path: Path) -> None:
    silent = GenreClassifier.load(model_path, device="cpu", head=head_path).classify(np.zeros(RATE * 3), RATE)
    assert silent.is_silent
    assert not silent.confident
    assert silent.reason == "the track is silent"


def test_a_genre_may_build_on_the_models_answer(model_path: Path) -> None:
    plain = GenreClassifier.load(model_path, device="cpu").classify(tone(3), RATE)
    head = head_of(
        model_path,
        labels=("Pitch", "Hiss"),
        weights=np.zeros((2, 1), np.float32),
        bias=np.zeros(2, np.float32),
        known_as=("tone", "noise"),
    )
    own = GenreClassifier.load(model_path, device="cpu", head=head).classify(tone(3), RATE)
    of_two = plain.probabilities["tone"] / (plain.probabilities["tone"] + plain.probabilities["noise"])
    assert own.probabilities["Pitch"] == pytest.approx(of_two, abs=1e-4)


def test_the_logarithm_of_the_models_answer_is_added(model_path: Path) -> None:
    head = head_of(model_path, weights=np.zeros((2, 1), np.float32), bias=np.zeros(2, np.float32), share=0.5)
    rows = head.probabilities(np.zeros((3, 1), np.float32), np.array([[0.25, 1.0], [1e-5, 1.0], [0.0, 1.0]]))
    np.testing.assert_allclose(rows[:, 0] / rows[:, 1], [0.5, 10**-2.5, 1e-3])  # zero counts as 1e-6


def test_spectrograms_are_refused(model_path: Path, head_path: Path) -> None:
    classifier = GenreClassifier.load(model_path, device="cpu", head=head_path)
    with pytest.raises(InvalidInputError, match="no embedding"):
        classifier.classify_log_mel(np.zeros((128, 30), np.float32))


def test_known_files_get_the_same_answer(model_path: Path, head_path: Path, tmp_path: Path) -> None:
    """A head that is learnt later is applied to what the state file holds, without analysing a file again."""
    paths = [write_audio(tmp_path / "loud.wav", tone(12)), write_audio(tmp_path / "soft.wav", noise(12) * 0.1)]
    plain = GenreClassifier.load(model_path, device="cpu")
    own = GenreClassifier.load(model_path, device="cpu", head=head_path)
    assert plan_of(plain, None) == plan_of(own, None)
    state = LibraryState(tmp_path / "state", plan_of(plain, None))
    before = [result.prediction for result in Library(plain, None, state).classify(paths)]
    known = list(Library(own, None, state).classify(paths))
    assert all(result.known for result in known)
    for result, fresh in zip(known, own.classify_files(paths), strict=True):
        assert result.prediction is not None
        assert result.prediction.to_dict() == fresh.to_dict()  # type: ignore[union-attr]
    again = [result.prediction for result in Library(plain, None, state).classify(paths)]
    assert [one and one.to_dict() for one in again] == [one and one.to_dict() for one in before]
    state.close()


def test_the_command_takes_a_head(genre: Genre, head_path: Path, music: Path, tmp_path: Path) -> None:
    status, out, _ = genre("classify", music, "--head", head_path, "--format", "jsonl", "--state", tmp_path / "state")
    assert status == 0
    assert {json.loads(line)["label"] for line in out.splitlines()} <= {"Soft", "Loud"}
    status, out, _ = genre("info", "--head", head_path)
    assert status == 0
    assert "Soft, Loud" in out
    assert "known already" not in out


def test_info_says_what_a_head_knew_before_it_learnt(genre: Genre, model_path: Path, tmp_path: Path) -> None:
    head = head_of(model_path, known_as=("tone", None), provenance={"examples": {"Soft": 3, "Loud": 4}})
    (tmp_path / "mine.genre").write_text(head.to_json(), encoding="utf-8")
    status, out, _ = genre("info", "--head", tmp_path / "mine.genre")
    assert status == 0
    assert re.search(r"known already +Soft \(tone\)\n", out)


def test_a_head_of_another_model_is_refused(model_path: Path) -> None:
    with pytest.raises(InvalidHeadError, match=r"another model .* learn it again"):
        GenreClassifier.load(model_path, head=head_of(model_path, model_sha256="0" * 64))


DAMAGE: dict[str, dict[str, Any]] = {
    "for the shape": {"labels": ["Soft"]},
    "labels are": {"labels": ["Soft", "Soft"]},
    "label '\\\\x1b'": {"labels": ["\x1b", "Loud"]},
    "bytes": {"weights": "AAAA"},
    "not finite": {"bias": "AADAfwAAwH8="},
    "expected positive numbers": {"n_features": 0},
    "schema_version": {"schema_version": 99},
    "known_as": {"known_as": [None]},
    "share": {"share": float("nan")},
    "confidence_threshold": {"confidence_threshold": 2},
    "metrics": {"metrics": []},
    "did not|not a file": {"format": "cake"},
}


@pytest.mark.parametrize("words", DAMAGE)
def test_damaged_heads_are_refused(model_path: Path, tmp_path: Path, words: str) -> None:
    values = json.loads(head_of(model_path).to_json()) | DAMAGE[words]
    path = tmp_path / "damaged.genre"
    path.write_text(json.dumps(values), encoding="utf-8")
    with pytest.raises(InvalidHeadError, match=words):
        read_head(path)


@pytest.mark.parametrize("content", [b"", b"{", b"[" * 100_000, b"\xff\xfe", b"SQLite format 3\0", b"null", b"{}"])
def test_other_files_are_refused(genre: Genre, music: Path, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "other.genre"
    path.write_bytes(content)
    with pytest.raises(InvalidHeadError):
        read_head(path)
    status, out, err = genre("classify", music, "--head", path)
    assert (status, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert str(path) in err


def test_a_missing_head_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError, match=r"none\.genre.*genre learn"):
        read_head(tmp_path / "none.genre")


def test_every_value_is_needed(model_path: Path) -> None:
    values = json.loads(head_of(model_path).to_json())
    for name in values:
        with pytest.raises(InvalidHeadError):
            GenreHead.from_json(json.dumps({key: value for key, value in values.items() if key != name}))


def test_answers_without_embeddings_are_refused(model_path: Path) -> None:
    classifier = GenreClassifier.load(model_path, device="cpu", head=head_of(model_path))
    plain = GenreClassifier.load(model_path, device="cpu").classify(tone(3), RATE)
    bare = replace(plain, excerpts=tuple(replace(one, embedding=None) for one in plain.excerpts))
    with pytest.raises(InvalidInputError, match="analyse the file again"):
        classifier.apply_head(bare)
