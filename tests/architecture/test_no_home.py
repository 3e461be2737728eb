"""Users without a home folder, such as those of containers: no HOME, and no entry in the list of users."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.api.live import free_port
from tests.patience import PATIENCE_SECONDS
from tests.synthetic import tone, write_audio

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="home folders are named by variables there")

ROOT = Path(__file__).parents[2]
STRANGER = 12345
AS_STRANGER = """
import os, pwd, sys

def unknown(*_):
    raise KeyError("getpwuid(): uid not found: 12345")

pwd.getpwuid = pwd.getpwnam = unknown  # a test that is not run by root cannot become another user
os.getuid = os.geteuid = lambda: 12345
"""
GENRE = "from genre_runtime.cli import main; sys.exit(main(sys.argv[1:]))"


def run(code: str, folder: Path, *words: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", f"{AS_STRANGER}\n{code}", *map(str, words)],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", **variables},
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        cwd=folder,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    write_audio(folder / "song.flac", tone(1))
    write_audio(folder / "other.wav", tone(2))
    return folder


def test_every_verb_works(folder: Path, model_path: Path) -> None:
    model = ("--model", model_path)
    for words in (
        ["info", *model],
        ["classify", "song.flac", *model, "--state", "music.genre", "--output", "all.jsonl"],
        ["tag", "song.flac", *model, "--unsure"],
        ["tag", "--from", "all.jsonl", "--unsure", "--write", "--journal", "journal.jsonl"],
        ["tag", "--undo", "journal.jsonl"],
        ["report", "all.jsonl"],
        ["playlist", "all.jsonl", "--output", "lists"],
        ["similar", "song.flac", "--in", ".", *model],
        ["similar", "--duplicates", "--in", ".", *model],
        ["embed", "song.flac", *model, "--output", "song.npz"],
        ["demo", *model],
        ["completion", "bash"],
    ):
        result = run(GENRE, folder, *words)
        assert result.returncode == 0, (words, result.stderr)
        assert "Traceback" not in result.stderr
    assert not any("~" in path.name for path in folder.rglob("*"))


def test_tagging_asks_for_a_journal(folder: Path, model_path: Path) -> None:
    before = (folder / "song.flac").read_bytes()
    result = run(GENRE, folder, "tag", "song.flac", "--model", model_path, "--unsure", "--write")
    assert result.returncode == 2
    assert "(--journal)" in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert (folder / "song.flac").read_bytes() == before


@pytest.mark.skipif(sys.platform == "darwin", reason="it has no variable for this folder")
def test_the_variable_is_enough(folder: Path, model_path: Path, tmp_path: Path) -> None:
    words = ("tag", "song.flac", "--model", model_path, "--unsure", "--write")
    assert run(GENRE, folder, *words, XDG_STATE_HOME="relative").returncode == 2
    result = run(GENRE, folder, *words, XDG_STATE_HOME=str(tmp_path / "state"))
    assert result.returncode == 0, result.stderr
    assert len(list((tmp_path / "state/genre/journals").iterdir())) == 1


def test_the_service_starts(folder: Path, model_path: Path) -> None:
    code = """
import threading, time, urllib.request
from genre_api.cli import main

def ask():
    for _ in range(600):
        try:
            print(urllib.request.urlopen("http://127.0.0.1:{}/readyz".format(sys.argv[2])).status, flush=True)
            break
        except OSError:
            time.sleep(0.1)
    os.kill(os.getpid(), 15)

threading.Thread(target=ask).start()
main(sys.argv[1:])
"""
    result = run(code, folder, "--port", str(free_port()), GENRE_MODEL=str(model_path), GENRE_DRAIN_SECONDS="0")
    assert "200" in result.stdout.split(), result.stderr
    assert "Traceback" not in result.stderr


def test_the_window_has_settings_that_are_not_kept(folder: Path) -> None:
    code = """
from genre_gui.settings import Settings, load_settings, save_settings, settings_path
path = settings_path()
assert path is None, path
assert load_settings(path)[0] == Settings()
print(load_settings(path)[1], save_settings(path, Settings()))
"""
    result = run(code, folder)
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("no home folder") == 2
    assert {path.name for path in folder.iterdir()} == {"song.flac", "other.wav"}


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can become another user")
def test_a_user_who_really_is_in_no_list(tmp_path: Path) -> None:
    """Without our modules, since their folder may be closed to others: the pretence above is like the truth."""
    code = f"""
import os
from pathlib import Path
os.setuid({STRANGER})
os.environ.pop("HOME", None)
try:
    Path.home()
except RuntimeError:
    print("no home")
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd="/")
    assert result.stdout == "no home\n", result.stderr
