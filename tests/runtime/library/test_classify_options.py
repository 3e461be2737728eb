"""`genre classify` over a library: what it passes over, how much it says, where it writes."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shutil
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from genre_runtime import GenreClassifier, GenreError, Prediction
from genre_runtime.library.scan import Finder
from tests.runtime.conftest import Genre
from tests.synthetic import noise, tone, write_audio


def test_state_is_reported_and_speaks_the_same(genre: Genre, music: Path, tmp_path: Path) -> None:
    command = ("classify", music, "--format", "jsonl", "--state", tmp_path / "state")
    status, first, _ = genre(*command)
    again, second, err = genre(*command)
    assert (status, again) == (0, 0)
    assert first == second
    assert err == "2 known from the state file; skipped: 2 hidden, 1 with another suffix\n"


def test_results_go_to_a_file(genre: Genre, music: Path, tmp_path: Path) -> None:
    _, printed, _ = genre("classify", music, "--format", "csv")
    status, out, _ = genre("classify", music, "--format", "csv", "--output", tmp_path / "genres.csv")
    assert (status, out) == (0, "")
    assert (tmp_path / "genres.csv").read_text(encoding="utf-8") == printed
    status, _, err = genre("classify", music, "--output", tmp_path / "no such folder" / "genres.csv")
    assert status == 2
    assert "does not exist" in err


@pytest.mark.parametrize(
    "words", [("--model", "none.onnx"), ("--device", "quantum"), ("--state", "no such folder/state")]
)
def test_what_cannot_begin_leaves_earlier_results_as_they_are(
    genre: Genre, music: Path, tmp_path: Path, words: tuple[str, str]
) -> None:
    output = tmp_path / "genres.jsonl"
    output.write_text("an hour's work\n")
    status, out, _ = genre("classify", music, "--format", "jsonl", "--output", output, *words)
    assert status != 0
    assert out == ""
    assert output.read_text() == "an hour's work\n"


@pytest.mark.parametrize("remembered", [False, True])
@pytest.mark.parametrize("jobs", [1, 4])
def test_equal_files_are_analysed_once_and_named(
    genre: Genre, music: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, remembered: bool, jobs: int
) -> None:
    shutil.copy(music / "tone.wav", music / "a copy.wav")
    shutil.copy(music / "tone.wav", music / "sub" / "another.wav")
    write_audio(music / "z other.wav", noise(12))  # of the same size, with other bytes
    analysed = []
    listen = GenreClassifier.analyse_or_error

    def counted(self: GenreClassifier, path: Path, **rest: Any) -> Prediction | GenreError:
        analysed.append(path.name)
        return listen(self, path, **rest)

    monkeypatch.setattr(GenreClassifier, "analyse_or_error", counted)
    command = ["classify", music, "--jobs", jobs, *(["--state", tmp_path / "state"] if remembered else [])]
    status, out, err = genre(*command, "--format", "jsonl")
    rows = {Path(row["path"]).name: row for row in map(json.loads, out.splitlines())}
    assert status == 0
    assert len(analysed) == 3
    first = str(music / "a copy.wav")
    assert {name: row.get("same_as") for name, row in rows.items()} == {
        "a copy.wav": None,
        "tone.wav": first,
        "z other.wav": None,
        "another.wav": first,
        "noise.FLAC": None,
    }
    for name in ("tone.wav", "another.wav"):
        assert rows[name]["probabilities"] == rows["a copy.wav"]["probabilities"]
        assert rows[name]["excerpts"] == rows["a copy.wav"]["excerpts"]
    assert "2 duplicates" in err
    assert f"tone.wav  (the same bytes as {first})" in genre(*command)[1]
    assert list(csv.DictReader(io.StringIO(genre(*command, "--format", "csv")[1])))[1]["same_as"] == first


def test_results_never_cost_a_song_or_a_state(genre: Genre, music: Path, tmp_path: Path) -> None:
    song, state = music / "tone.wav", tmp_path / "state"
    odd = song.rename(music / "tone.odd")
    write_audio(song, tone(1))
    assert genre("classify", song, "--state", state)[0] == 0
    for output in (song, odd, state, music, tmp_path / "none" / "out"):
        before = output.read_bytes() if output.is_file() else None
        status, out, err = genre("classify", song, odd, "--output", output)
        assert (status, out) == (2, "")
        assert "name another file" in err
        assert (output.read_bytes() if output.is_file() else None) == before
    assert genre("classify", song, "--state", tmp_path / "new", "--output", tmp_path / "new")[0] == 2
    assert genre("classify", song, "--output", tmp_path / "genres.txt")[0] == 0
    assert genre("classify", song, "--output", tmp_path / "genres.txt")[0] == 0, "former results may be replaced"


def test_top_shortens_the_answer(genre: Genre, music: Path) -> None:
    _, out, _ = genre("classify", music / "tone.wav", "--format", "jsonl", "--top", 1)
    answer = json.loads(out)
    assert list(answer["probabilities"]) == ["tone"]
    assert [list(excerpt["probabilities"]) for excerpt in answer["excerpts"]] == [["tone"]] * len(answer["excerpts"])


@pytest.mark.parametrize(("least", "confident"), [("0.1", True), ("99.9%", False)])
def test_a_threshold_of_one_s_own(genre: Genre, music: Path, least: str, confident: bool) -> None:
    _, out, _ = genre("classify", music / "tone.wav", "--format", "jsonl", "--min-confidence", least)
    answer = json.loads(out)
    assert answer["confident"] is confident
    assert (answer["reason"] is None) is confident
    assert genre("classify", music, "--min-confidence", "7")[0] == 2


def test_patterns_stand_for_what_they_fit(music: Path) -> None:
    assert [path.name for path in Finder().find([str(music / "*.wav")])] == ["tone.wav"]
    assert [path.name for path in Finder().find([str(music / "**" / "*.FLAC")])] == ["noise.FLAC"]
    assert list(Finder().find([str(music / "*.none")])) == [music / "*.none"], "named in the error it will be"
    odd = write_audio(music / "[live].wav", tone(1))
    assert list(Finder().find([str(odd)])) == [odd], "a file's name is no pattern"


def test_what_is_passed_over_is_counted(music: Path) -> None:
    finder = Finder()
    assert [path.name for path in finder.find([str(music)])] == ["tone.wav", "noise.FLAC"]
    assert (finder.n_hidden, finder.n_others, finder.unreadable) == (2, 1, [])


@pytest.mark.skipif(sys.platform == "win32", reason="links are for administrators there")
def test_links_to_folders_are_counted(genre: Genre, music: Path) -> None:
    (music / "round").symlink_to(music)
    (music / "link.wav").symlink_to("tone.wav")
    status, out, err = genre("classify", music)
    assert status == 0
    assert [line.split(str(music))[1][1:].split()[0] for line in out.splitlines()[1:]] == [
        "link.wav",
        "tone.wav",
        str(Path("sub", "noise.FLAC")),
    ]
    assert "; skipped: 2 hidden, 1 with another suffix, 1 link to a folder" in err


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_cannot_be_read_is_an_error(genre: Genre, music: Path) -> None:
    (music / "sub").chmod(0)
    status, out, err = genre("classify", music)
    (music / "sub").chmod(0o700)
    assert status == 1
    assert "tone.wav" in out
    assert "the folder cannot be read" in err


def test_a_full_disk_is_said_with_advice(genre: Genre, music: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no device is always full here")
    status, _, err = genre("classify", music, "--output", "/dev/full", "--format", "jsonl")
    assert status == 1
    assert "No space left on device: free some space" in err


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has other terminals")
def test_a_terminal_sees_rate_and_time_left_without_colours(music: Path, model_path: Path) -> None:
    import fcntl
    import pty
    import termios

    program = "import sys; from genre_runtime.cli import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", program, "classify", str(music), "--model", str(model_path)]
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", 24, 100, 0, 0))
    with subprocess.Popen(command, stdout=theirs, stderr=theirs, stdin=subprocess.DEVNULL) as process:
        os.close(theirs)
        shown = b""
        while True:
            try:
                shown += (block := os.read(ours, 4096))
            except OSError:  # the other end is closed
                break
            if not block:
                break
    os.close(ours)
    assert process.returncode == 0
    assert re.search(rb"0/2 \[00:00<\?, \?file/s\]", shown), shown
    assert b"2 classified" in shown
    assert not re.search(rb"\x1b\[[0-9;]*m", shown), "no colours, whatever NO_COLOR says"
    piped = subprocess.run(command, capture_output=True, check=True)
    assert b"file/s" not in piped.stdout + piped.stderr


@pytest.mark.parametrize(
    ("name", "more", "begins"),
    [
        ("genres.jsonl", (), '{"path": '),
        ("genres.JSON", (), "["),
        ("genres.csv", (), "path,label,"),
        ("genres.txt", (), "genre "),
        ("genres", (), "genre "),
        ("genres.csv", ("--format", "table"), "genre "),
    ],
)
def test_the_output_is_of_the_form_that_its_name_says(
    genre: Genre, music: Path, tmp_path: Path, name: str, more: tuple[str, ...], begins: str
) -> None:
    status, out, _ = genre("classify", music, "--output", tmp_path / name, *more)
    assert (status, out) == (0, "")
    assert (tmp_path / name).read_text(encoding="utf-8").startswith(begins)
