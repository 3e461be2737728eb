"""The standalone folder: its program and licences here, the built folder itself with `GENRE_TEST_STANDALONE=1`."""

from __future__ import annotations

import json
import os
import runpy
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import soundfile

from genre_runtime import DecoderPool
from tests.gui import x11
from tests.gui.process_tree import PROC, Process, left_of, tree
from tests.patience import PATIENCE_SECONDS
from tests.synthetic import noise, tone, write_audio

ROOT = Path(__file__).parents[2]
STANDALONE = ROOT / "gui" / "standalone"
PROGRAM = STANDALONE / "program.py"
TITLE = "Music genres"
VARIABLE = "GENRE_TEST_STANDALONE"

built = pytest.mark.skipif(not os.environ.get(VARIABLE), reason=f"builds a folder of 270 MB: set {VARIABLE}=1")
linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks at /proc")


def functions(name: str) -> dict[str, Any]:
    return runpy.run_path(str(STANDALONE / name))


def test_program_runs_the_command() -> None:
    result = subprocess.run([sys.executable, PROGRAM, "--version"], capture_output=True, text=True)
    assert result.stdout.startswith("genre ")
    assert (result.returncode, result.stderr) == (0, "")


def test_program_is_a_decoder_process_if_the_runtime_asks_for_one(tmp_path: Path) -> None:
    song = write_audio(tmp_path / "song.wav", tone(2))
    argument = functions("program.py")["DECODER_ARGUMENT"]
    with DecoderPool(1, command=[sys.executable, str(PROGRAM), argument]) as pool:
        (excerpt,) = pool.stream_excerpts(song, 32_000, excerpt_seconds=10, n_excerpts=1)
    assert excerpt.waveform.size == 2 * 32_000


@pytest.mark.parametrize(("before", "after"), [(None, None), ("", ""), ("/opt/lib", "/opt/lib")])
def test_programs_of_the_system_do_not_get_the_folder_s_libraries(
    before: str | None, after: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    monkeypatch.setenv("LD_LIBRARY_PATH", "/folder/_internal")
    if before is None:
        monkeypatch.delenv("LD_LIBRARY_PATH_ORIG", raising=False)
    else:
        monkeypatch.setenv("LD_LIBRARY_PATH_ORIG", before)
    functions("program.py")["give_back_library_paths"]()
    assert os.environ.get("LD_LIBRARY_PATH") == after
    assert "LD_LIBRARY_PATH_ORIG" not in os.environ


def test_licences_of_the_packages_that_are_used(tmp_path: Path) -> None:
    import av
    import mutagen

    foreign = tmp_path / "libforeign.so.1"
    foreign.touch()
    missing = functions("licenses.py")["collect"]([av.__file__, mutagen.__file__, foreign], tmp_path / "texts")
    lines = (tmp_path / "texts" / "README.txt").read_text(encoding="utf-8").splitlines()
    assert any(line.startswith("av ") for line in lines)
    assert any(line.startswith("mutagen ") and "GPL" in line for line in lines)
    assert not any(line.startswith("numpy ") for line in lines)
    (text,) = (tmp_path / "texts").glob("mutagen-*/COPYING")
    assert "GNU GENERAL PUBLIC LICENSE" in text.read_text(encoding="utf-8")
    assert "libforeign.so.1, a library of the system" in missing


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The built folder, moved to where a user might put it, and removed after the tests."""
    output = tmp_path_factory.mktemp("output")
    build = [sys.executable, str(STANDALONE / "build.py"), "--output", str(output)]
    result = subprocess.run(build, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    place = tmp_path_factory.mktemp("user") / "müsic tools"
    shutil.move(output / "genre", place)
    yield place
    shutil.rmtree(place)


@pytest.fixture
def variables(tmp_path: Path) -> dict[str, str]:
    """The environment of a user without Python: no folder of this environment is on any path."""
    home = tmp_path / "home"
    home.mkdir()
    kept = {name: os.environ[name] for name in ("DISPLAY", "XAUTHORITY", "SYSTEMROOT") if name in os.environ}
    return {"HOME": str(home), "PATH": os.defpath, "LANG": "C.UTF-8", "LANGUAGE": "en", **kept}


@pytest.fixture
def music(tmp_path: Path) -> Path:
    folder = tmp_path / "music"
    folder.mkdir()
    write_audio(folder / "one.wav", tone(12))
    write_audio(folder / "two.mp3", noise(12))
    soundfile.write(folder / "three.opus", tone(35, 48_000), 48_000, format="OGG", subtype="OPUS")
    return folder


def genre(program: str | Path, variables: dict[str, str], *words: str | Path) -> subprocess.CompletedProcess[str]:
    command = [str(program), *map(str, words)]
    return subprocess.run(
        command, env=variables, cwd=variables["HOME"], capture_output=True, text=True, timeout=PATIENCE_SECONDS
    )


@built
def test_the_command_answers_as_the_one_of_the_package(folder: Path, variables: dict[str, str], music: Path) -> None:
    words = ("classify", music, "--format", "json")
    frozen = genre(folder / "genre", variables, *words)
    assert frozen.returncode == 0, frozen.stderr
    here = genre(Path(sys.executable).with_name("genre"), variables, *words)
    answers = json.loads(frozen.stdout)
    assert answers == json.loads(here.stdout)
    assert [Path(answer["path"]).name for answer in answers] == ["one.wav", "three.opus", "two.mp3"]


@built
def test_every_verb_is_in_the_folder(folder: Path, variables: dict[str, str], music: Path) -> None:
    shutil.copy(music / "one.wav", music / "four.wav")
    state = ("--state", "music.state")
    for words in (
        ["info"],
        ["demo"],
        ["model", "list"],
        ["config"],
        ["completion", "bash"],
        ["classify", music, *state, "--format", "jsonl", "--output", "all.jsonl"],
        ["tag", "--from", "all.jsonl", "--unsure", "--write"],
        ["report", "all.jsonl"],
        ["similar", music / "one.wav", "--in", music, *state],
        ["embed", music, *state, "--output", "music.npz"],
    ):
        result = genre(folder / "genre", variables, *words)
        assert result.returncode == 0, (words, result.stderr)
    for verb in ("learn", "audit", "watch", "playlist"):
        assert genre(folder / "genre", variables, verb, "--help").returncode == 0


@built
def test_a_broken_file_is_one_line(folder: Path, variables: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "text.mp3").write_text("no music")
    result = genre(folder / "genre", variables, "classify", tmp_path / "text.mp3")
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"genre: {tmp_path / 'text.mp3'}: not an audio file: it begins with the text 'no music'")


@built
def test_licences_are_in_the_folder(folder: Path) -> None:
    texts = folder / "_internal" / "licenses"
    listed = (texts / "README.txt").read_text(encoding="utf-8")
    for name in ("av", "mutagen", "numpy", "onnxruntime", "soundfile", "soxr", "genre-runtime", "pyinstaller"):
        assert f"\n{name} " in listed
        assert [path for path in texts.glob(f"{name.replace('_', '-')}-*/**/*") if path.is_file()], name
    assert list(texts.glob("genre-runtime-*/**/THIRD_PARTY.md"))
    for name in ("matplotlib", "pytest", "torch", "scipy", "pip", "PIL"):
        assert not (folder / "_internal" / name).exists()
        assert f"\n{name} " not in listed


@built
@linux
@pytest.mark.parametrize("end", ["close button", "SIGTERM while files are classified"])
def test_the_window_classifies_and_leaves_no_process(
    display: None, folder: Path, variables: dict[str, str], music: Path, end: str
) -> None:
    variables |= {"DISPLAY": os.environ["DISPLAY"]}
    log, state = (Path(variables["HOME"], name) for name in ("window.log", "window.state"))
    command = [str(folder / "genre-gui"), "--state", str(state), str(music)]
    with log.open("wb") as output:
        window = subprocess.Popen(command, env=variables, cwd="/", stdout=output, stderr=output, start_new_session=True)
    seen: dict[int, Process] = {}

    def wait(condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not condition():
            assert window.poll() is None, log.read_text()
            assert time.monotonic() < deadline, f"it did not get there: {log.read_text()}"
            seen.update({process.pid: process for process in tree(window.pid)})
            time.sleep(0.02)

    try:
        wait(lambda: x11.find(TITLE) is not None)
        wait(lambda: any("--decoder-process" in process.command for process in seen.values()))
        if end == "close button":
            wait(lambda: n_answers(state) == 3)
            x11.ask_to_close(TITLE)
        else:
            window.send_signal(signal.SIGTERM)
        assert window.wait(PATIENCE_SECONDS) == (0 if end == "close button" else -signal.SIGTERM)
        assert left_of(list(seen.values()), PATIENCE_SECONDS) == []
        assert started_from(folder) == []
        assert log.read_text() == ""
    finally:
        for process in seen.values():
            if process.alive:
                os.kill(process.pid, signal.SIGKILL)
        window.wait(PATIENCE_SECONDS)


def n_answers(state: Path) -> int:
    """Return how many files a state file has answers for; 0 while the window creates it."""
    if not state.is_file():
        return 0
    with closing(sqlite3.connect(f"{state.as_uri()}?mode=ro", uri=True)) as connection:
        try:
            return int(connection.execute("SELECT count(*) FROM answers").fetchone()[0])
        except sqlite3.OperationalError:
            return 0


def started_from(folder: Path) -> list[int]:
    """Return the processes whose program is in a folder."""
    found = []
    for entry in PROC.iterdir():
        if entry.name.isdigit():
            try:
                program = (entry / "exe").readlink()
            except OSError:
                continue
            if program.is_relative_to(folder):
                found.append(int(entry.name))
    return found
