"""Many files at once: in order, errors among results, nothing read ahead without bound."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from genre_runtime import GenreClassifier, GenreError, Prediction, parallel
from genre_runtime.errors import (
    AudioNotFoundError,
    EmptyAudioError,
    InvalidInputError,
    UnreadableAudioError,
)
from tests.synthetic import noise, tone, write_audio


@pytest.mark.parametrize("jobs", [0, 1, 2, 7])
def test_results_and_errors_come_in_the_order_of_the_paths(
    classifier: GenreClassifier, tmp_path: Path, jobs: int
) -> None:
    (tmp_path / "empty.wav").touch()
    (tmp_path / "text.mp3").write_text("no music")
    long = write_audio(tmp_path / "long.flac", tone(40))  # slower than what comes after it
    quiet = write_audio(tmp_path / "quiet.wav", 0.01 * noise(2))
    short = write_audio(tmp_path / "short.wav", tone(1))
    paths: list[Path | str] = [
        long,
        tmp_path / "empty.wav",
        quiet,
        tmp_path / "none.wav",
        tmp_path / "text.mp3",
        str(short),
        tmp_path,
    ]
    results = list(classifier.classify_files(paths * 2, jobs=jobs))
    kinds = [Prediction, EmptyAudioError, Prediction, AudioNotFoundError, UnreadableAudioError, Prediction]
    assert [type(result) for result in results] == [*kinds, UnreadableAudioError] * 2
    answers = [(result.path, result.label) for result in results if isinstance(result, Prediction)]
    assert answers == [(long, "tone"), (quiet, "quiet"), (short, "tone")] * 2


def test_an_endless_iterator_is_read_as_results_are_taken(classifier: GenreClassifier, tmp_path: Path) -> None:
    path = write_audio(tmp_path / "tone.wav", tone(0.5))
    taken = 0

    def endless() -> Iterator[Path]:
        nonlocal taken
        while True:
            taken += 1
            assert taken < 100, "nobody asked for so many"
            yield path

    results = classifier.classify_files(endless(), jobs=2)
    assert taken == 0, "nothing happens before a result is asked for"
    assert all(isinstance(result, Prediction) for result in islice(results, 10))
    assert taken <= 10 + 2 * 2
    results.close()  # type: ignore[attr-defined]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("genre")]


def test_no_paths_no_results(classifier: GenreClassifier) -> None:
    assert list(classifier.classify_files([])) == []


def test_an_error_of_the_iterator_reaches_the_caller(classifier: GenreClassifier, tmp_path: Path) -> None:
    def broken() -> Iterator[Path]:
        yield write_audio(tmp_path / "tone.wav", tone(0.5))
        raise RuntimeError("the list broke off")

    with pytest.raises(RuntimeError, match="broke off"):
        list(classifier.classify_files(broken(), jobs=1))


def test_a_decoder_s_surprise_is_that_file_s_error(
    classifier: GenreClassifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def surprise(*_: object, **__: object) -> None:
        raise ZeroDivisionError("boom")

    path = write_audio(tmp_path / "tone.wav", tone(0.5))
    monkeypatch.setattr("genre_runtime.classifier.stream_excerpts", surprise)
    (result,) = classifier.classify_files([path], jobs=1)
    assert isinstance(result, UnreadableAudioError)
    assert "ZeroDivisionError: boom" in str(result)


def test_excerpts_are_passed_on(classifier: GenreClassifier, tmp_path: Path) -> None:
    path = write_audio(tmp_path / "tone.wav", tone(50))
    (prediction,) = classifier.classify_files([path], excerpts="all", jobs=1)
    assert isinstance(prediction, Prediction)
    assert len(prediction.excerpts) == 5
    (result,) = classifier.classify_files([path], excerpts=0, jobs=1)
    assert isinstance(result, InvalidInputError)
    assert isinstance(result, GenreError)


@pytest.mark.parametrize(
    ("quota", "expected"),
    [
        ("max 100000", 64),
        ("150000 100000", 2),
        ("50000 100000", 1),
        ("6400001 100000", 64),
        ("nonsense", 64),
        ("1 0", 64),
    ],
)
def test_quota_of_the_container_bounds_the_jobs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quota: str, expected: int
) -> None:
    (tmp_path / "cpu.max").write_text(quota + "\n")
    monkeypatch.setattr(parallel, "CGROUP_QUOTA", tmp_path / "cpu.max")
    monkeypatch.setattr(sys, "platform", "other")
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    assert parallel.available_cores() == expected


@pytest.mark.parametrize("excerpts", [0, -1, 1.0, True, "whole", [3]])
def test_number_of_excerpts_is_checked(classifier: GenreClassifier, excerpts: Any) -> None:
    with pytest.raises(InvalidInputError, match="'all' for the whole track"):
        classifier.classify(tone(1), 22_050, excerpts=excerpts)
