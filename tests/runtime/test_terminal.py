"""No text from a file, a tag, results, a state file or a model controls the terminal."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
import subprocess
import sys
import zlib
from contextlib import closing
from pathlib import Path

import pytest
from tqdm import tqdm

from genre_runtime.errors import InvalidModelError
from genre_runtime.library.bulk.manifest import read_manifest
from genre_runtime.library.results.write import WRITERS, quoted_cell, unquoted_cell
from genre_runtime.model.metadata import ModelMetadata
from genre_runtime.prediction import ExcerptPrediction, FileResult, Prediction
from genre_runtime.terminal import escaped, escaped_streams, unescaped
from tests.runtime.conftest import Genre
from tests.synthetic import tone, write_audio

STEERING = {
    "escape": "\x1b[2J",
    "title": "\x1b]0;title\x07",
    "bell": "\x07",
    "C1": "\x9b31m",
    "override": "\u202e",
    "isolate": "\u2067",
    "return": "\rok",
    "backspace": "\b\b",
    "delete": "\x7f",
    "line": "\u2028",
}
FORBIDDEN = {character for text in STEERING.values() for character in text if not character.isprintable()}


def is_harmless(text: str) -> bool:
    return not FORBIDDEN & set(text) and not any(ord(c) < 32 and c not in "\n\t" for c in text)


@pytest.mark.parametrize("text", STEERING.values(), ids=STEERING)
def test_text_is_escaped_and_words_stay(text: str) -> None:
    assert is_harmless(escaped(f"a{text}b"))
    plain = "Björk, 中文, עברית, 👩\u200d🎤\n\ttab"
    assert escaped(plain) == plain


@pytest.mark.parametrize("text", STEERING.values(), ids=STEERING)
def test_results_of_others(genre: Genre, tmp_path: Path, text: str) -> None:
    entry = {
        "path": str(tmp_path / f"song{text}.mp3"),
        "label": f"rock{text}",
        "confidence": 0.9,
        "confident": True,
        "reason": f"why{text}",
        "probabilities": {f"rock{text}": 0.9, "jazz": 0.1},
        "excerpts": [],
        "duration_seconds": 3.0,
        "device": f"cpu{text}",
    }
    failure = {"path": f"x{text}", "error": {"code": f"c{text}", "message": f"m{text}"}}
    torn = {**entry, "label": f"other{text}"}
    results = tmp_path / "all.jsonl"
    results.write_text("".join(json.dumps(one) + "\n" for one in (entry, {**entry, "confident": False}, failure, torn)))
    (tmp_path / "lists").mkdir()
    for words in (
        ["report", results, "--output", tmp_path / "page.html"],
        ["report", results, "--track", f"none{text}", "--output", tmp_path / "page.html"],
        ["playlist", results, "--output", tmp_path / "lists", "--unsure"],
        ["tag", "--from", results],
        ["tag", "--from", results, "--unsure"],
        ["classify", f"none{text}.mp3"],
        ["classify", "--format", f"json{text}", "a.mp3"],
        ["classify", "a.mp3", "--model", f"none{text}"],
        ["classify", "a.mp3", "--device", f"none{text}"],
    ):
        _, out, err = genre(*words)
        assert is_harmless(out), words
        assert is_harmless(err), words


@pytest.mark.parametrize("text", STEERING.values(), ids=STEERING)
def test_errors_that_a_state_file_holds(genre: Genre, tmp_path: Path, text: str) -> None:
    (tmp_path / "words.mp3").write_text("no music")
    state = tmp_path / "state"
    genre("classify", tmp_path / "words.mp3", "--state", state)
    with closing(sqlite3.connect(state)) as database, database:
        ((answer,),) = database.execute("SELECT answer FROM answers").fetchall()
        values = json.loads(zlib.decompress(answer))
        values["error"]["message"] = f"known{text}"
        database.execute("UPDATE answers SET answer = ?", (zlib.compress(json.dumps(values).encode()),))
    for form in ("table", "csv", "jsonl", "json"):
        _, out, err = genre("classify", tmp_path / "words.mp3", "--state", state, "--format", form)
        assert "known" in err
        assert is_harmless(err)
        assert is_harmless(out) or form == "csv"
        assert "\x1b" not in out


@pytest.mark.parametrize("text", [*STEERING.values(), "\n", " ", "\u00a0", "\udcff"])
def test_labels_of_a_model_are_printable(genre: Genre, model_path: Path, text: str) -> None:
    sidecar = model_path.with_suffix(".json")
    values = json.loads(sidecar.read_text())
    values["labels"][0] = text
    with pytest.raises(InvalidModelError, match="cannot be printed"):
        ModelMetadata.from_json(json.dumps(values))
    sidecar.write_text(json.dumps(values))
    status, out, err = genre("info", "--model", model_path)
    assert (status, out) == (1, "")
    assert "cannot be printed" in err
    assert is_harmless(err)


@pytest.mark.parametrize("form", ["table", "csv"])
@pytest.mark.parametrize("text", ["\x1b[2J", "\x9b", "\x07", "\r"])
def test_lines_written_to_a_file_are_escaped_too(form: str, text: str) -> None:
    stream = io.StringIO()
    excerpts = (ExcerptPrediction(0, 1, {f"a{text}": 1}, silent=True),)
    path = Path(f"/{text}.mp3")
    answer = Prediction(f"a{text}", 1, False, f"why{text}", {f"a{text}": 1}, excerpts, 1, f"cpu{text}", path)
    writer = WRITERS[form](stream)
    writer.write(FileResult(path, answer, same_as=Path(f"/b{text}")))
    writer.close()
    assert is_harmless(stream.getvalue())


def test_bars_keep_their_own_sequences_and_make_room_for_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setattr(sys, "stdout", screen)
    with escaped_streams():
        assert sys.stderr == screen
        with tqdm(total=2, file=unescaped(sys.stderr)) as bar, bar.external_write_mode():
            cleared = screen.getvalue()
            print("line\x1b", file=sys.stderr)
    assert cleared.endswith("\r")
    assert "line\\x1b\n" in screen.getvalue()
    assert sys.stderr is screen


NAMES = (
    "=1.mp3",
    "'=1.mp3",
    "''=1.mp3",
    "-x.mp3",
    "@a.mp3",
    "+a.mp3",
    "'a.mp3",
    "a=1.mp3",
    "=HYPERLINK(1).mp3",
    "'.mp3",
)


@pytest.mark.parametrize("text", [*NAMES, "\tx", "\rx", "'\tx", "", "'", "''", "'='=", '="a"'])
def test_quoted_cells_come_back(text: str) -> None:
    assert unquoted_cell(quoted_cell(text)) == text
    assert quoted_cell(text)[:1] not in tuple("=+-@\t\r")


def test_paths_that_begin_like_formulas_come_back_from_csv(
    genre: Genre, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for n, name in enumerate(NAMES):
        write_audio(tmp_path / "song.wav", tone(1 + 0.1 * n)).rename(name)
    status, out, _ = genre("classify", "--format", "csv", "--output", "all.csv", "--", *NAMES)
    assert (status, out) == (0, "")
    cells = [row["path"] for row in csv.DictReader(io.StringIO(Path("all.csv").read_text()))]
    assert [cell[:2] for cell in cells[:5]] == ["'=", "''", "''", "'-", "'@"]
    assert list(read_manifest("all.csv")) == [str(tmp_path / name) for name in NAMES]
    Path("other.csv").write_text("path\n'=1.mp3\n")
    assert list(read_manifest("other.csv")) == [str(tmp_path / "'=1.mp3")]


def test_the_installed_command_escapes_after_it_has_silenced_the_decoders(model_path: Path, tmp_path: Path) -> None:
    song = write_audio(tmp_path / "song.wav", tone(1))
    missing = tmp_path / "none\x1b[2J\x9b\x07\r\u202e.mp3"
    program = "import sys; from genre_runtime.cli import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", program, "classify", str(song), str(missing), "--model", str(model_path)]
    result = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
    assert result.returncode == 1
    assert is_harmless(result.stdout + result.stderr)
    assert "none\\x1b[2J\\x9b\\x07\\r\\u202e.mp3" in result.stderr
    assert "no file at" in result.stderr, "the message itself went through"


def test_silencing_decoders_keeps_the_escaping() -> None:
    program = (
        "import sys\n"
        "from genre_runtime import silence_decoders\n"
        "from genre_runtime.terminal import escaped_streams\n"
        "with escaped_streams():\n"
        "    silence_decoders()\n"
        "    print('a\\x1bb', file=sys.stderr)\n"
        "print('after', file=sys.stderr)\n"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, encoding="utf-8", check=True)
    assert result.stderr == "a\\x1bb\nafter\n"
