"""Command `genre` when something is wrong: one line for each error, the rest goes on, never a traceback."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from genre_runtime.cli import arguments
from tests.runtime.conftest import Genre
from tests.synthetic import tone, write_audio

POSIX_BYTES = pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="file names must be text here")


@pytest.mark.parametrize("form", ["table", "jsonl", "json", "csv"])
def test_three_bad_files_among_good_ones(genre: Genre, music: Path, form: str) -> None:
    (music / "a-text.mp3").write_text("no music\n" * 100)
    (music / "b-empty.ogg").touch()
    (music / "c-damaged.m4a").write_bytes(b"\0\0\0\x18ftypM4A \0\0")
    status, out, err = genre("classify", music, "--format", form)
    complaints = [line for line in err.splitlines() if line.startswith("genre: ")]
    assert status == 1
    assert [Path(line.split(": ")[1]).name for line in complaints] == ["a-text.mp3", "b-empty.ogg", "c-damaged.m4a"]
    assert len(err.splitlines()) == 3 + (form == "table")
    assert "tone.wav" in out
    assert "noise.FLAC" in out


@POSIX_BYTES
@pytest.mark.parametrize("form", ["table", "jsonl", "json", "csv"])
def test_names_with_newlines_and_undecodable_bytes(genre: Genre, tmp_path: Path, form: str) -> None:
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/two\nlines \xe9.wav"))
    write_audio(tmp_path / "plain.wav", tone(1)).rename(odd)
    status, out, err = genre("classify", odd, f"{odd}.none", "--format", form)
    assert status == 1
    complaint = next(line for line in err.splitlines() if line.startswith("genre: "))
    assert "two\\nlines \\udce9.wav.none" in complaint
    if "json" in form:
        items: list[Any] = json.loads(out if form == "json" else f"[{','.join(out.splitlines())}]")
        assert [item["path"] for item in items] == [str(odd), f"{odd}.none"]
        assert items[0]["label"] == "tone"
    else:
        assert "two\\nlines \\udce9.wav" in out
        assert len(out.splitlines()) == (2 if form == "table" else 3)


@POSIX_BYTES
def test_a_list_of_names_that_are_no_text(genre: Genre, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    odd = os.fsencode(tmp_path) + b"/\xe9.wav"
    write_audio(tmp_path / "plain.wav", tone(1)).rename(os.fsdecode(odd))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(odd + b"\n")))
    status, out, _ = genre("classify", "-", "--format", "jsonl")
    assert status == 0
    assert json.loads(out)["path"] == os.fsdecode(odd)


@pytest.mark.parametrize("name", ["n" * 300, "nul\0"])
def test_names_that_no_file_can_have(genre: Genre, tmp_path: Path, name: str) -> None:
    good = write_audio(tmp_path / "tone.wav", tone(1))
    status, out, err = genre("classify", name, good, "--format", "jsonl")
    failure, answer = map(json.loads, out.splitlines())
    assert status == 1
    assert failure["error"]["code"] == "unreadable_audio"
    assert answer["label"] == "tone"
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    "words",
    [
        ["classify"],
        ["classify", ""],
        ["classify", "x.wav", "--format", "xml"],
        ["classify", "x.wav", "--excerpts", "0"],
        ["classify", "x.wav", "--excerpts", "some"],
        ["classify", "x.wav", "--jobs", "-1"],
        ["info", "--nonsense"],
    ],
)
def test_wrong_usage(genre: Genre, words: list[str]) -> None:
    status, out, err = genre(*words)
    assert (status, out) == (2, "")
    assert err.startswith("usage: genre")


@pytest.mark.parametrize("model", [".", "none.onnx", "/"])
def test_missing_model(genre: Genre, tmp_path: Path, model: str) -> None:
    status, out, err = genre("classify", write_audio(tmp_path / "tone.wav", tone(1)), "--model", model)
    assert (status, out) == (2, "")
    assert err.startswith("genre: no model file at")
    assert len(err.splitlines()) == 1


def test_device_that_is_not_there(genre: Genre, tmp_path: Path) -> None:
    status, out, err = genre("classify", write_audio(tmp_path / "tone.wav", tone(1)), "--device", "abacus")
    assert (status, out) == (2, "")
    assert "available here: auto" in err


def test_remarks_of_decoders_do_not_reach_the_terminal(model_path: Path, tmp_path: Path) -> None:
    """The MP3 decoder writes to the process's error stream whatever it thinks of a file."""
    path = write_audio(tmp_path / "cut.mp3", tone(20))
    content = bytearray(path.read_bytes())
    content[4_000:4_400] = bytes(400)
    path.write_bytes(bytes(content[:-100]))
    program = "import sys; from genre_runtime.cli import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", program, "classify", str(path), "none.mp3", "--model", str(model_path)]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 1
    words = [line for line in result.stderr.splitlines() if not line.startswith("genre: none.mp3")]
    assert words == ["2 files: 1 classified on cpu, 1 failed"]


@pytest.mark.skipif(sys.platform == "win32", reason="named pipes are another thing there")
@pytest.mark.parametrize("suffix", [".onnx", ".json"])
def test_a_model_that_is_a_pipe_is_not_waited_for(genre: Genre, model_path: Path, suffix: str) -> None:
    path = model_path.with_suffix(suffix)
    path.unlink()
    os.mkfifo(path)
    status, _, err = genre("info")
    assert status == 2
    assert "no model file" in err


@pytest.mark.skipif(sys.platform == "win32", reason="a shell's way to close a stream")
@pytest.mark.parametrize("closing", [">&-", "<&-", "2>&-"])
def test_closed_streams_give_no_traceback(model_path: Path, tmp_path: Path, closing: str) -> None:
    write_audio(tmp_path / "tone.wav", tone())
    program = "import sys; from genre_runtime.cli import main; sys.exit(main(sys.argv[1:]))"
    arguments = f"classify - {tmp_path / 'tone.wav'} --model {model_path}"
    command = f"{sys.executable} -c '{program}' {arguments} {closing}"
    result = subprocess.run(["sh", "-c", command], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("words", "advice"),
    [
        (["song.mp3"], "'song.mp3' is not a command: to classify it, run `genre classify song.mp3`"),
        (["*.flac", "--top", "3"], "to classify it, run `genre classify "),
        (["clasify", "song.mp3"], "'clasify' is not a command: did you mean `genre classify`?"),
        (["tags"], "did you mean `genre tag`?"),
        (["nonsense"], "'nonsense' is not a command: expected classify, tag,"),
        ([], "no command was given: expected classify, tag, "),
        (["--device", "cpu", "info"], "write options after it, `genre info --device ...`"),
        (["tag", "a.mp3", "--write", "b.mp3"], "b.mp3 stands apart: write all paths together"),
    ],
)
def test_words_that_do_not_begin_with_a_verb(genre: Genre, words: list[str], advice: str) -> None:
    status, out, err = genre(*words)
    assert (status, out, len(err.splitlines())) == (2, "", 1)
    assert advice in err


def test_a_folder_in_place_of_a_verb(genre: Genre, music: Path) -> None:
    status, _, err = genre(music)
    assert status == 2
    assert f"`genre classify {arguments.quoted(music)}`" in err


def test_a_configured_format_is_not_blamed_on_the_command_line(
    genre: Genre, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pyarrow")
    config = tmp_path / "genre" / "config.toml"
    config.parent.mkdir()
    config.write_text('[classify]\nformat = "jsonl"\n')
    monkeypatch.setattr("genre_runtime.cli.configuration.config_path", lambda: config)
    listed = tmp_path / "tracks.csv"
    listed.write_text(f"path\n{write_audio(tmp_path / 'tone.wav', tone(1))}\n")
    status, _, err = genre("classify", listed, "--output", tmp_path / "x.parquet")
    assert (status, err) == (0, "1 classified\n")
    for words in ((), ("--format", "jsonl")):
        status, _, err = genre("classify", listed, "--output", tmp_path / "x.jsonl", *words)
        assert status == 2
        assert "--format" not in err


@pytest.mark.parametrize("verb", ["classify", "learn", "audit", "similar"])
def test_help_fills_paragraphs_to_the_width_of_the_terminal(
    genre: Genre, verb: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    description = genre(verb, "--help")[1].partition("\n\n")[2].partition("\n\n")[0]
    assert len(description.splitlines()) > 1
    assert max(map(len, description.splitlines())) <= 78
