"""Malicious inputs through every entry point: each gives the same typed error or the same result."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from genre_runtime import DecodeLimits, GenreClassifier, Prediction
from genre_runtime.audio.decoding import decode_excerpts
from genre_runtime.errors import AudioLimitError, GenreError
from tests.runtime.conftest import Genre
from tests.runtime.hostile_files import CONTENTS, FORMATS, NAMES_AND_KINDS, SPARSE, Hostile, endless_opus, tone_in
from tests.synthetic import LABELS, RATE

Entry = Callable[[Path], str]

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="Linux's kinds of files and names are meant")
LIMITS = DecodeLimits(max_seconds=600, max_bytes=64 * 2**20)
CODES = frozenset(("unreadable_audio", "empty_audio", "audio_limit", "not_found"))


@pytest.fixture(params=["classify_file", "classify_files", "decode_excerpts", "command"])
def entry(request: pytest.FixtureRequest, model_path: Path) -> Entry:
    """An entry point that returns a label, or the code of the error; for excerpts alone, "samples"."""
    if request.param == "command":
        genre: Genre = request.getfixturevalue("genre_as_used")
        return lambda path: _by_command(genre, path)
    if request.param == "decode_excerpts":
        return _by_decoding
    classifier = GenreClassifier.load(model_path, device="cpu", threads=1, limits=LIMITS)
    if request.param == "classify_files":
        return lambda path: _label_or_code(next(classifier.classify_files([path], jobs=1)))
    return lambda path: _by_file(classifier, path)


def _label_or_code(result: Prediction | GenreError) -> str:
    if isinstance(result, Prediction):
        return result.label
    assert len(str(result)) > 20, "words that say what was found and expected"
    assert not str(result).startswith("unexpected failure")
    return result.code


def _by_file(classifier: GenreClassifier, path: Path) -> str:
    try:
        return _label_or_code(classifier.classify_file(path))
    except GenreError as error:
        return _label_or_code(error)


def _by_decoding(path: Path) -> str:
    try:
        excerpts, duration = decode_excerpts(path, RATE, excerpt_seconds=10, n_excerpts=3, limits=LIMITS)
    except GenreError as error:
        return _label_or_code(error)
    assert all(0 < excerpt.waveform.size <= 10 * RATE + 1 for excerpt in excerpts)
    assert 0 < duration < float("inf")
    return "samples"


def _by_command(genre: Genre, path: Path) -> str:
    if path.is_dir():  # the command looks into folders
        pytest.skip("a folder is a list to the command")
    (found,) = _all_by_command(genre, [path])
    return found


def _all_by_command(genre: Genre, paths: list[Path]) -> list[str]:
    """Classify the files by one run of the command, which starts a process to decode them."""
    status, out, err = genre("classify", *paths, "--format", "jsonl")
    answers = [json.loads(line) for line in out.splitlines()]
    assert [Path(answer["path"]) for answer in answers] == paths
    errors = [answer["error"]["code"] for answer in answers if "error" in answer]
    assert status == bool(errors)
    reported = [line for line in err.splitlines() if line.startswith("genre: ")]
    assert "unexpected failure" not in err
    assert len(reported) == len(err.splitlines()) == len(errors)
    return [str(answer["error"]["code"] if "error" in answer else answer["label"]) for answer in answers]


def _check(entry: Entry, path: Path, expected: str) -> None:
    found = entry(path)
    if expected == "typed":
        assert found in CODES | {"samples", *LABELS}
    elif expected in LABELS:
        assert found in ("samples", expected)
    else:
        assert found == expected


@pytest.mark.parametrize("hostile", [*CONTENTS, *SPARSE], ids=lambda hostile: hostile.name)
def test_contents(entry: Entry, tmp_path: Path, hostile: Hostile) -> None:
    _check(entry, hostile.make(tmp_path), hostile.expected)


@LINUX
@pytest.mark.parametrize("hostile", NAMES_AND_KINDS, ids=lambda hostile: hostile.name)
def test_names_and_kinds_of_files(entry: Entry, tmp_path: Path, hostile: Hostile) -> None:
    if hostile.name == "no permission" and os.geteuid() == 0:
        pytest.skip("no permission: root may read everything")
    _check(entry, hostile.make(tmp_path), hostile.expected)


INDEX_AT_THE_END = frozenset((".m4a", ".alac.m4a"))
LONG_PIECES = frozenset((".ogg", ".opus", ".ape", ".wv", ".tta"))
"""A page or block holds about a second, or the beginning of the file is a table: half of it may hold no sound."""


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("entry", ["classify_file", "classify_files", "decode_excerpts"], indirect=True)
def test_truncated_at_every_tenth(entry: Entry, tmp_path: Path, suffix: str) -> None:
    _check_tenths([entry(path) for path in _tenths(suffix, tmp_path)], suffix)


@pytest.mark.parametrize("suffix", FORMATS)
def test_the_command_reads_files_truncated_at_every_tenth(genre_as_used: Genre, tmp_path: Path, suffix: str) -> None:
    _check_tenths(_all_by_command(genre_as_used, _tenths(suffix, tmp_path)), suffix)


def _tenths(suffix: str, folder: Path) -> list[Path]:
    """Write the first no, one, two, ... tenths of a file."""
    content = tone_in(suffix, folder)
    paths = [folder / f"cut{tenth}{suffix}" for tenth in range(10)]
    for tenth, path in enumerate(paths):
        path.write_bytes(content[: len(content) * tenth // 10])
    return paths


def _check_tenths(found: list[str], suffix: str) -> None:
    right = "quiet" if suffix == ".ape" else "tone"
    assert found[0] == "empty_audio"
    assert set(found) <= {"empty_audio", "unreadable_audio", right, "samples"}
    if suffix in INDEX_AT_THE_END:
        assert set(found[1:]) == {"unreadable_audio"}
    elif suffix not in LONG_PIECES:
        assert set(found[6:]) <= {right, "samples"}


def test_hours_of_audio_in_few_bytes_exceed_a_limit(tmp_path: Path, model_path: Path) -> None:
    path = tmp_path / "endless.opus"
    path.write_bytes(endless_opus(10))
    strict = GenreClassifier.load(model_path, device="cpu", threads=1, limits=DecodeLimits(max_seconds=60))
    prediction = strict.classify_file(path)
    assert prediction.duration_seconds == pytest.approx(36_000, rel=0.01)
    assert len(prediction.excerpts) == 3
    with pytest.raises(AudioLimitError) as caught:
        strict.classify_file(path, excerpts="all")
    assert caught.value.limit == "max_seconds"
