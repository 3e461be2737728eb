"""Command `genre` in this process: formats, exit statuses, folders and lists."""

from __future__ import annotations

import csv
import io
import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from genre_runtime import __version__
from genre_runtime.cli import output
from tests.runtime.conftest import Genre
from tests.synthetic import LABELS, tone, write_audio


def test_table(genre: Genre, music: Path) -> None:
    status, out, err = genre("classify", music)
    heading, first, second = out.splitlines()
    assert status == 0
    assert heading.split() == ["genre", "sure", "otherwise", "also", "file"]
    assert first.split()[0] == "tone"
    assert first.endswith(str(music / "tone.wav"))
    assert second.endswith(str(music / "sub" / "noise.FLAC"))
    assert err == "2 classified on cpu; skipped: 2 hidden, 1 with another suffix\n"


def test_every_format_says_why_an_answer_is_not_confident(genre: Genre, tmp_path: Path) -> None:
    silent = write_audio(tmp_path / "silent.wav", 0 * tone(2))
    direct = write_audio(tmp_path / "direct.wav", 0 * tone(2) + np.float32(0.4))
    vague = write_audio(tmp_path / "vague.wav", 0.05 * tone(2))
    _, out, err = genre("classify", silent)
    assert "the track is silent" in out
    assert err == "? 1 silent file\n"
    _, out, err = genre("classify", vague)
    assert err == "? 1 file below the confidence threshold of 50%\n"
    _, out, err = genre("classify", silent, vague, direct)
    assert err == "? 1 file below the confidence threshold of 50%, 2 silent files\n3 classified on cpu\n"
    _, out, err = genre("classify", vague, direct, "--min-confidence", "99%", "--format", "csv")
    assert [row["confident"] for row in csv.DictReader(io.StringIO(out))] == ["false", "false"]
    reasons = [row["reason"] for row in csv.DictReader(io.StringIO(out))]
    assert "asked for were 99%" in reasons[0]
    assert reasons[1] == "the track is silent"
    assert err == "", "results for programs need no words"
    _, out, _ = genre("classify", direct, "--format", "jsonl")
    assert json.loads(out)["reason"] == "the track is silent"


def test_jsonl(genre: Genre, music: Path) -> None:
    status, out, err = genre("classify", music / "tone.wav", music / "none.wav", "--format", "jsonl")
    answer, failure = map(json.loads, out.splitlines())
    assert status == 1
    assert "same_as" not in answer
    keys = {"path", "label", "confidence", "confident", "probabilities", "excerpts", "duration_seconds", "device"}
    assert keys <= set(answer)
    assert (answer["path"], answer["label"]) == (str(music / "tone.wav"), "tone")
    assert (answer["confident"], answer["duration_seconds"], answer["device"]) == (True, 12, "cpu")
    assert set(answer["probabilities"]) == set(LABELS)
    assert {"start_seconds", "end_seconds", "probabilities", "silent"} == set(answer["excerpts"][0])
    assert failure["path"] == str(music / "none.wav")
    assert failure["error"]["code"] == "not_found"
    assert err.startswith(f"genre: {music / 'none.wav'}: no file at")


def test_json_is_one_array_of_the_same_objects(genre: Genre, music: Path) -> None:
    _, lines, _ = genre("classify", music, "--format", "jsonl")
    _, array, _ = genre("classify", music, "--format", "json")
    assert json.loads(array) == [json.loads(line) for line in lines.splitlines()]
    status, array, _ = genre("classify", music / "none.wav", "--format", "json")
    assert status == 1
    assert [item["error"]["code"] for item in json.loads(array)] == ["not_found"]


def test_csv(genre: Genre, music: Path) -> None:
    status, out, _ = genre("classify", music, music / "none.wav", "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert status == 1
    assert rows[0]["label"] == "tone"
    assert rows[2]["label"] == ""
    assert list(rows[0]) == [
        "path",
        "label",
        "confidence",
        "confident",
        "reason",
        "duration_seconds",
        "device",
        "error",
        "same_as",
        "announced_seconds",
        "music",
        "genre_set",
        "styles",
        "moods",
        "instruments",
        "voice",
        *(f"probability of {label}" for label in sorted(LABELS)),
    ]
    assert float(rows[0]["confidence"]) == float(rows[0]["probability of tone"]) > 0.5
    assert rows[0]["confident"] == "true"
    assert rows[2]["probability of tone"] == ""
    assert rows[0]["error"] == ""
    assert "none.wav" in rows[2]["error"]


def test_files_named_outright_are_tried_whatever_their_name(genre: Genre, music: Path) -> None:
    status, out, _ = genre("classify", music / ".hidden.wav", music / "cover.jpg", "--format", "jsonl")
    assert status == 1
    assert json.loads(out.splitlines()[0])["label"] == "tone"
    assert json.loads(out.splitlines()[1])["error"]["code"] == "unreadable_audio"


def test_empty_folder(genre: Genre, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    status, out, err = genre("classify", tmp_path / "empty")
    assert (status, out) == (1, "")
    assert err.startswith("genre: no audio files found")


def _give_on_stdin(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_list_on_stdin(genre: Genre, music: Path, monkeypatch: pytest.MonkeyPatch, newline: str) -> None:
    names = [str(music / "tone.wav"), "", str(music / "sub"), str(music / "none.wav")]
    _give_on_stdin(monkeypatch, newline.join(names).encode())
    status, out, _ = genre("classify", "-", "--format", "jsonl")
    found = [json.loads(line)["path"] for line in out.splitlines()]
    assert status == 1
    assert found == [str(music / "tone.wav"), str(music / "sub" / "noise.FLAC"), str(music / "none.wav")]


def test_list_with_nul_on_stdin(genre: Genre, music: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [write_audio(music / "two words.wav", tone(1)), music / "tone.wav"]
    if sys.platform != "win32":
        names.append(write_audio(music / "line\nbreak.wav", tone(2)))
    _give_on_stdin(monkeypatch, b"".join(os.fsencode(name) + b"\0" for name in names))
    status, out, _ = genre("classify", "-", "--format", "jsonl")
    assert status == 0
    assert [json.loads(line)["path"] for line in out.splitlines()] == list(map(str, names))


def test_excerpts_and_jobs(genre: Genre, tmp_path: Path) -> None:
    path = write_audio(tmp_path / "tone.wav", tone(45))
    for option, count in ((("--excerpts", "2"), 2), (("--excerpts", "all"), 5), ((), 3)):
        _, out, _ = genre("classify", path, "--format", "jsonl", "--jobs", "2", *option)
        assert len(json.loads(out)["excerpts"]) == count


def test_version_and_help(genre: Genre) -> None:
    assert genre("--version") == (0, f"genre {__version__}\n", "")
    status, out, _ = genre("classify", "--help")
    assert status == 0
    assert "find . -name" in out


def test_a_list_of_powershell_is_read_and_none_of_single_characters(
    genre: Genre, music: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [str(music / "tone.wav"), str(music / "sub" / "noise.FLAC")]
    _give_on_stdin(monkeypatch, ("\ufeff" + "\r\n".join(names)).encode("utf-16-le"))
    status, out, _ = genre("classify", "-", "--format", "jsonl")
    assert [json.loads(line)["path"] for line in out.splitlines()] == names
    assert status == 0
    _give_on_stdin(monkeypatch, "\r\n".join(names).encode("utf-16-le"))
    status, out, err = genre("classify", "-", "--format", "jsonl")
    assert status in (1, 2)
    assert not out
    assert "single character between NULs" in err


def test_the_summary_counts_each_file_once(genre: Genre, music: Path, tmp_path: Path) -> None:
    (music / "copy.wav").write_bytes((music / "tone.wav").read_bytes())
    (music / "text.mp3").write_text("no music\n" * 100)
    (music / "text2.mp3").write_text("no music\n" * 100)
    skipped = "; skipped: 2 hidden, 1 with another suffix\n"
    command = ("classify", music, "--state", tmp_path / "state")
    _, _, err = genre(*command)
    assert err.endswith(f"5 files: 2 classified on cpu, 1 duplicate, 2 failed{skipped}")
    _, _, err = genre(*command)
    assert err.endswith(f"5 files: 2 known from the state file, 1 duplicate, 2 failed{skipped}")


def test_a_long_file_shows_its_progress_on_a_terminal(
    genre: Genre, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output, "LONG_SECONDS", 20)
    long = write_audio(tmp_path / "long.wav", tone(65))
    _, _, err = genre("classify", long, "--excerpts", "all")
    assert "analysed" not in err, "stderr is not a terminal"
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    _, out, err = genre("classify", long, "--excerpts", "all")
    assert "| 0:30 of 1:05 analysed [" in err
    assert out.splitlines()[-1].endswith("long.wav")
    _, _, err = genre("classify", long, write_audio(tmp_path / "short.wav", tone(1)), "--excerpts", "all")
    assert "long.wav: 1:00 of 1:05 analysed" in err
    assert "0/2 [" in err


@pytest.mark.parametrize(
    ("words", "left"),
    [
        (("classify", "x.wav"), "the results written so far are complete; with --state FILE, "),
        (("classify", "x.wav", "--state", "state"), "complete; run the same line again to go on: "),
        (("learn", "x.wav", "--output", "x.genre"), "no head was written; with --state FILE, "),
        (("audit", "x.wav"), "the list is not complete; "),
        (("similar", "x.wav", "--in", "."), "the list is not complete; "),
        (("embed", "x.wav"), "the lines written so far are complete; "),
        (("embed", "x.wav", "--output", "x.npz"), "no file was written; "),
        (("tag", "x.wav"), "every file is whole; with --state FILE, "),
        (("tag", "--from", "x.jsonl"), "every file is whole; run the same line again to go on"),
        (("report", "x.jsonl"), "no page was written; run the same line again"),
        (("playlist", "x.jsonl", "--output", "x"), "playlists may be missing; run the same line again"),
    ],
)
def test_an_interruption_says_what_is_complete(
    genre: Genre, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], left: str
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(f"genre_runtime.cli.{words[0]}.run", interrupt)
    status, out, err = genre(*words)
    assert (status, out) == (130, "")
    assert err.startswith("genre: interrupted; ")
    assert left in err
