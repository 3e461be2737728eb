"""What the command cannot do with any file ends with 2, says why in one line, and changes nothing."""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path

import pytest

from genre_runtime.cli import main
from tests.synthetic import tone, write_audio


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model_path: Path) -> Path:
    folder = tmp_path / "work"
    (folder / "dir").mkdir(parents=True)
    (folder / "dir.parquet").mkdir()
    write_audio(folder / "song.wav", tone(1))
    (folder / "tracks.csv").write_text("path\nsong.wav\n")
    (folder / "own.parquet").write_text("a list")
    (folder / "text.txt").write_text("text")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("GENRE_MODEL", str(model_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    assert main(["classify", "song.wav", "--output", "all.jsonl"]) == 0
    return folder


def content(folder: Path) -> dict[str, str]:
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder"
        for path in folder.rglob("*")
    }


CASES = [
    ("classify song.wav --state q --output o.parquet", "--state cannot be combined"),
    ("classify song.wav --top 2 --output o.parquet", "--top cannot be combined"),
    ("classify song.wav --min-confidence 0.5 --output o.parquet", "--min-confidence cannot be combined"),
    ("classify song.wav --top 2 --state q --output o.parquet", "--top --state cannot be combined"),
    ("classify song.wav --format csv --output o.parquet", "--format cannot be combined"),
    ("classify song.wav --state q --output o.PARQUET", "--state cannot be combined"),
    ("classify tracks.csv", "name --output FILE.parquet"),
    ("classify tracks.csv --state q", "name --output FILE.parquet"),
    ("classify TRACKS.CSV", "name --output FILE.parquet"),
    ("classify https://localhost/song.mp3", "name --output FILE.parquet"),
    ("classify song.wav --engine ray", "name --output FILE.parquet"),
    ("classify song.wav --engine ray --output o.jsonl", "go to Parquet, not to"),
    ("classify tracks.csv --output o.jsonl", "go to Parquet, not to"),
    ("classify tracks.csv --output o.CSV", "go to Parquet, not to"),
    ("classify tracks.csv --output song.wav", "is a file"),
    ("classify tracks.csv --output none/o.parquet", "does not exist"),
    ("classify tracks.csv --output dir.parquet", "is a folder"),
    ("classify own.parquet --output own.parquet", "is also an input"),
    ("classify none.csv --output o.parquet", "cannot be read"),
    ("classify song.wav --output none/o.csv", "does not exist"),
    ("classify song.wav --output dir", "is a folder"),
    ("classify song.wav --output=", "the name is empty"),
    ("classify song.wav --output song.wav", "piece of music"),
    ("classify song.wav --output q --state q", "state file"),
    ("classify song.wav --state dir", "is a folder"),
    ("classify song.wav --state none/q", "does not exist"),
    ("classify song.wav --state=", "the name is empty"),
    ("classify", "required"),
    ("tag", "nothing to tag"),
    ("tag --write", "nothing to tag"),
    ("tag - --from -", "both read stdin"),
    ("tag song.wav --write --state s --journal s", "name the same file"),
    ("tag song.wav --write --state s --journal dir/../s", "name the same file"),
    ("tag song.wav --map s --state s", "name the same file"),
    ("tag --from all.jsonl --write --journal all.jsonl", "name the same file"),
    ("tag song.wav --write --journal song.wav", "not a journal"),
    ("tag song.wav --write --journal dir", "is a folder"),
    ("tag song.wav --state dir", "is a folder"),
    ("tag song.wav --state none/q", "does not exist"),
    ("tag song.wav --map dir", "is a folder"),
    ("tag song.wav --map none.txt", "cannot be read"),
    ("tag song.wav --overwrite --append", "not allowed with"),
    ("tag --undo all.jsonl song.wav", "nothing else: leave out PATH"),
    ("tag --undo all.jsonl --overwrite --top 2", "leave out --overwrite --top"),
    ("tag --undo all.jsonl --state q", "leave out --state"),
    ("tag --undo all.jsonl --journal j", "leave out --journal"),
    ("tag --undo dir", "is a folder"),
    ("report none.jsonl", "cannot be read"),
    ("report song.wav", "cannot be used"),
    ("report all.jsonl --output dir", "not a regular file"),
    ("report all.jsonl --output none/r.html", "does not exist"),
    ("report all.jsonl --output text.txt", "not written by this program"),
    ("report all.jsonl --output all.jsonl --force", "is the file of results"),
    ("report all.jsonl --output dir/../all.jsonl --force", "is the file of results"),
    ("report all.jsonl --track none.wav", "none.wav"),
    ("playlist all.jsonl", "required"),
    ("playlist none.jsonl --output lists", "cannot be read"),
    ("playlist all.jsonl --output text.txt", "a file or inside a file"),
    ("playlist all.jsonl --output text.txt/lists", "a file or inside a file"),
    ("playlist all.jsonl --output lists --map dir", "is a folder"),
    ("similar song.wav", "required"),
    ("similar song.wav --in . --state dir", "is a folder"),
    ("similar song.wav --in . --state none/q", "does not exist"),
    ("similar song.wav --in . --top 0", "positive"),
    ("demo --keep text.txt", "a file or inside a file"),
    ("demo --keep text.txt/pieces", "a file or inside a file"),
    ("demo --keep=", "the name is empty"),
    ("info --device abacus", "abacus"),
    ("completion fish", "invalid choice"),
    ("", "no command was given"),
]


@pytest.mark.parametrize(("line", "words"), CASES, ids=[line or "nothing" for line, _ in CASES])
def test_ends_with_2(folder: Path, capsys: pytest.CaptureFixture[str], line: str, words: str) -> None:
    if "fish" in line:
        pytest.importorskip("shtab")
    before = content(folder)
    capsys.readouterr()
    try:
        status = main(line.split())
    except SystemExit as end:  # argparse's
        status = int(end.code or 0)
    said = capsys.readouterr()
    assert (status, said.out) == (2, "")
    assert words in said.err
    assert "Traceback" not in said.err
    assert content(folder) == before


@pytest.mark.parametrize(
    "words", [["classify", "dir"], ["similar", "song.wav", "--in", "dir"], ["classify", "none.wav"]]
)
def test_files_that_are_not_there_are_no_wrong_usage(folder: Path, words: list[str]) -> None:
    assert main(words) == 1


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="root may look into every folder")
def test_a_folder_that_is_closed_ends_without_a_traceback(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "dir").chmod(0)
    with pytest.raises(SystemExit) as end:
        main(["classify", "song.wav", "--state", "dir/deep/q"])
    (folder / "dir").chmod(0o700)
    assert end.value.code == 2
