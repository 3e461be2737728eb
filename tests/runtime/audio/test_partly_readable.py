"""The result for a file that is only partly readable, in every output format of the command."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from genre_runtime.library.results.write import WRITERS
from genre_runtime.prediction import FileResult, Prediction
from tests.runtime.conftest import Genre
from tests.synthetic import cut_short, tone, write_audio

WORDS = "only 3.0 of 30.0 s could be read"


@pytest.fixture
def part(tmp_path: Path) -> Path:
    """Return a file of which three seconds of thirty are there."""
    return cut_short(write_audio(tmp_path / "part.wav", tone(30)), share=0.1)


def test_the_table_shows_it_after_the_path(genre: Genre, part: Path) -> None:
    whole = write_audio(part.with_name("whole.wav"), tone(3.5))
    status, out, err = genre("classify", part, whole)
    assert status == 0
    lines = out.splitlines()
    assert lines[1].endswith(f"{part}  ({WORDS})")
    assert lines[2].endswith(str(whole))
    assert err == "2 classified on cpu; 1 only partly readable\n"


def test_programs_get_the_length_that_the_file_claims(genre: Genre, part: Path) -> None:
    whole = write_audio(part.with_name("whole.wav"), tone(3.5))
    _, out, _ = genre("classify", part, whole, "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [row["announced_seconds"] for row in rows] == ["30.0", ""]
    assert [float(row["duration_seconds"]) for row in rows] == pytest.approx([3.0, 3.5], abs=0.01)
    _, out, _ = genre("classify", part, whole, "--format", "jsonl")
    assert [json.loads(line)["announced_seconds"] for line in out.splitlines()] == [30.0, None]
    _, out, _ = genre("classify", part, whole, "--format", "json", "--top", "1")
    assert [entry["announced_seconds"] for entry in json.loads(out)] == [30.0, None]


@pytest.mark.parametrize(("share", "is_partial"), [(0.95, True), (0.99, False)])
def test_what_encoders_pad_is_not_missing(genre: Genre, tmp_path: Path, share: float, is_partial: bool) -> None:
    """Of a minute 3 s or 0.6 s are missing; more than 0.5 s and 1 % are noticeable."""
    _, out, _ = genre("classify", cut_short(write_audio(tmp_path / "cut.wav", tone(60)), share), "--format", "jsonl")
    assert (json.loads(out)["announced_seconds"] is not None) == is_partial


def test_equal_and_known_files_say_it_too(genre: Genre, part: Path, tmp_path: Path) -> None:
    part.with_name("same.wav").write_bytes(part.read_bytes())
    for _ in range(2):
        _, out, _ = genre("classify", part, part.with_name("same.wav"), "--state", tmp_path / "state")
        assert out.count(WORDS) == 2


@pytest.mark.parametrize("form", WRITERS)
def test_every_writer_shows_it(form: str) -> None:
    stream = io.StringIO()
    excerpts = ()
    path = Path("/a.mp3")
    writer = WRITERS[form](stream)
    found = Prediction("tone", 1, True, None, {"tone": 1}, excerpts, 3, "cpu", path, announced_seconds=30)
    writer.write(FileResult(path, found))
    writer.close()
    assert "30" in stream.getvalue()
