"""Reading back what the command wrote, whole, torn and foreign."""

from __future__ import annotations

import io
import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from genre_runtime.errors import InvalidInputError, RecordedError
from genre_runtime.library.results import read as reader
from genre_runtime.library.results.read import Results, skipped_words
from genre_runtime.prediction import FileResult
from tests.runtime.library.results_files import HOSTILE, named, predict, small_library, written


def read(path: Path) -> tuple[list[FileResult], list[str]]:
    source = Results(str(path))
    return list(source), list(skipped_words(source))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "results"


@pytest.mark.parametrize("form", ["jsonl", "json"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_all_that_was_written_comes_back(file: Path, form: str, encoding: str, newline: str) -> None:
    library = small_library()
    library[1] = replace(library[1], same_as=Path("/music/a/one.mp3"))
    library += named([predict(name, {"rock": 0.9, "jazz": 0.1}) for name in HOSTILE])
    file.write_bytes(written(library, form).replace("\n", newline).encode(encoding))
    found, skipped = read(file)
    assert not skipped
    for result, back in zip(library, found, strict=True):
        if result.prediction is not None:
            assert back == result
        else:
            assert back.to_dict() == result.to_dict()
            assert isinstance(back.error, RecordedError)


@pytest.mark.parametrize("chunk", [1, 50, 10_000])
def test_an_array_laid_out_otherwise(file: Path, chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "CHUNK", chunk)
    elements = json.loads(written(small_library(), "json"))
    file.write_text("\n" + json.dumps(elements, indent=3), encoding="utf-8")
    assert [str(result.path) for result in read(file)[0]] == [element["path"] for element in elements]
    file.write_text(json.dumps(elements)[:-40], encoding="utf-8")
    found, skipped = read(file)
    assert len(found) == len(elements) - 1
    assert len(skipped) == 1
    assert "entry 7 was skipped" in skipped[0]


def test_every_place_of_an_interruption(file: Path) -> None:
    text = written(small_library()[:2])
    first = text.index("\n") + 1
    for cut in range(first + 1, len(text) - 1, 17):
        file.write_text(text[:cut])
        found, skipped = read(file)
        assert len(found) == 1
        assert "entry 2 was skipped" in skipped[0]
    file.write_text(text.rstrip("\n"))  # whole but for the line's end
    assert [len(part) for part in read(file)] == [2, 0]


def test_a_run_appended_to_a_torn_one(file: Path) -> None:
    text = written(small_library())
    file.write_text(text[:-20] + text + "\n\n" + "no\n" * 20)
    found, skipped = read(file)
    assert len(found) == 6 + 6
    assert len(skipped) == reader.MOST_NAMED + 1
    assert skipped[-1] == f"{21 - reader.MOST_NAMED} more entries were skipped"


GOOD = json.loads(written(small_library()[:1]))
EXCERPT = GOOD["excerpts"][0]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"path": ""}, "path is not a name"),
        ({"path": 3}, "path is not a name"),
        ({"path": None}, "path is not a name"),
        ({"same_as": 3}, "same_as is not a name"),
        ({"label": "polka"}, "'polka' is none of the genres"),
        ({"label": ["rock"]}, "unhashable"),
        ({"confidence": 1.5}, "confidence is 1.5"),
        ({"confidence": True}, "confidence is True"),
        ({"confident": 1}, "confident is 1"),
        ({"probabilities": {"rock": float("nan")}}, "the probability of 'rock' is nan"),
        ({"probabilities": []}, "probabilities are not an object"),
        ({"duration_seconds": float("inf")}, "duration_seconds is inf"),
        ({"duration_seconds": -1}, "duration_seconds is -1"),
        ({"announced_seconds": "30"}, "announced_seconds is '30'"),
        ({"announced_seconds": float("nan")}, "announced_seconds is nan"),
        ({"duration_seconds": 10**400}, "int too large"),
        ({"excerpts": [{**EXCERPT, "start_seconds": "0"}]}, "start_seconds is '0'"),
        ({"excerpts": [{}]}, "'start_seconds' is missing"),
        ({"excerpts": [3]}, "not subscriptable"),
        ({"error": {"code": "x"}}, "'message' is missing"),
        ({"error": "x"}, "indices"),
        ({"error": {"code": [], "message": ""}}, "code and message"),
    ],
)
def test_foreign_entries_are_named(file: Path, change: dict[str, object], words: str) -> None:
    file.write_text(json.dumps(GOOD) + "\n" + json.dumps({**GOOD, **change}) + "\n" + json.dumps(GOOD) + "\n")
    found, skipped = read(file)
    assert len(found) == 2
    assert len(skipped) == 1
    assert words in skipped[0]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "holds no results"),
        (b"\n \n", "holds no results"),
        (b"[]\n", "holds no results"),
        (b'{"path": "a.mp3", "la', "not a JSON object"),
        (b"genre sure otherwise file\n", "not a JSON object"),
        (b"path,label,confidence\n", "not a JSON object"),
        (b"[1, 2]", "not a JSON object"),
        (b'["a"]', "not a JSON object"),
        (b"[" * 100_000, "not a JSON object"),
        (b'{"a":' * 100_000, "recursion"),
        (b'{"a": 1}\n', "'path' is missing"),
        (b"3\n", "not a JSON object"),
        (b"ID3\x04\x00\xff\xfb\x90" * 1000, "not a JSON object"),
        (None, "cannot be read: No such file"),
    ],
)
def test_what_is_no_result_file(file: Path, content: bytes | None, words: str) -> None:
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(InvalidInputError, match=words):
        read(file)


def test_a_folder_is_no_result_file(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="cannot be read"):
        read(tmp_path)


def test_stdin_is_read_and_stays_open(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.TextIOWrapper(io.BytesIO(written(small_library()).encode()))
    monkeypatch.setattr(sys, "stdin", stream)
    assert len(list(Results("-"))) == 7
    assert not stream.buffer.closed
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(InvalidInputError, match="stdin holds no results"):
        list(Results("-"))


def test_results_of_older_versions_have_no_announced_length(file: Path) -> None:
    old = {key: value for key, value in GOOD.items() if key != "announced_seconds"}
    file.write_text("".join(json.dumps(entry) + "\n" for entry in (old, {**GOOD, "announced_seconds": 400})))
    found, skipped = read(file)
    assert not skipped
    assert [one.prediction.remark for one in found if one.prediction] == [
        None,
        "only 100.0 of 400.0 s could be read",
    ]


def test_brief_predictions_keep_the_second_best() -> None:
    brief = predict("/a.mp3", {"jazz": 0.3, "pop": 0.1, "rock": 0.6}).brief()
    assert (brief.label, dict(brief.probabilities)) == ("rock", {"rock": 0.6, "jazz": 0.3})
    assert brief.runner_up == ("jazz", 0.3)
    assert not brief.excerpts
    assert predict("/a.mp3", {"rock": 1.0}).brief().runner_up == ("", 0.0)
