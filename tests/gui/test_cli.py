"""The command `genre-gui` as people start it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from genre_gui import __version__
from tests.patience import PATIENCE_SECONDS
from tests.synthetic import tone, write_audio

COMMAND = Path(sys.executable).with_name("genre-gui")

# The command itself, but with a hand that closes the window at a moment of the test's choice.
CLOSING = """
import os
import signal
import sys
from genre_gui import cli as command, window

class ClosingWindow(window.Window):
    def add(self, names):
        super().add(names)
        if sys.argv[1] == "at once":
            self.after(1, self.close)
        else:
            self.look()

    def look(self):
        done = [track for track in self.controller.tracks.values() if track.prediction]
        if not done:
            self.after(20, self.look)
            return
        print(done[0].path.name, done[0].prediction.label, flush=True)
        self.after(300, self.close if sys.argv[1] == "after the result" else self.end)

    def end(self):
        os.kill(os.getpid(), getattr(signal, sys.argv[1]))

window.Window = ClosingWindow
sys.exit(command.main(sys.argv[2:]))
"""

WITHOUT_TK = """
import sys
sys.modules["tkinter"] = None
from genre_gui import cli as command
sys.exit(command.main([]))
"""


def run(*command: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=PATIENCE_SECONDS
    )


def own_settings(folder: Path) -> dict[str, str]:
    """Return an environment in which settings are kept below a folder of the test's."""
    (folder / "settings").mkdir()
    return {name: str(folder / "settings") for name in ("XDG_CONFIG_HOME", "LOCALAPPDATA", "APPDATA", "HOME")}


@pytest.mark.usefixtures("display")
@pytest.mark.parametrize(("moment", "output"), [("after the result", "song.wav tone\n"), ("at once", "")])
def test_window_opens_and_closes_without_a_word_on_stderr(
    model_path: Path, tmp_path: Path, moment: str, output: str
) -> None:
    song = write_audio(tmp_path / "song.wav", tone(3))
    result = run(sys.executable, "-c", CLOSING, moment, song, GENRE_MODEL=str(model_path), **own_settings(tmp_path))
    assert result.stderr == ""  # neither "invalid command name" of a late callback nor a traceback
    assert result.returncode == 0
    assert result.stdout == output


@pytest.mark.skipif(sys.platform == "win32", reason="signals end a process there at once")
@pytest.mark.usefixtures("display")
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_signal_closes_the_window_in_order(model_path: Path, tmp_path: Path, name: str) -> None:
    song = write_audio(tmp_path / "song.wav", tone(3))
    folders = own_settings(tmp_path) | {"XDG_STATE_HOME": str(tmp_path / "state")}
    result = run(sys.executable, "-c", CLOSING, name, song, GENRE_MODEL=str(model_path), **folders)
    assert result.stderr == ""
    assert result.returncode == 128 + getattr(signal, name)
    assert '"song.wav' in next(tmp_path.rglob("window-queue.jsonl")).read_text().replace(str(tmp_path) + os.sep, "")
    assert next(tmp_path.rglob("window.json")).exists()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems always have a screen")
@pytest.mark.usefixtures("display")
def test_without_a_screen_it_says_so(model_path: Path, tmp_path: Path) -> None:
    result = run(COMMAND, DISPLAY="", GENRE_MODEL=str(model_path), **own_settings(tmp_path))
    assert result.returncode == 1
    assert result.stderr.startswith("genre-gui: no window can be opened")
    assert "Traceback" not in result.stderr


def test_options_need_no_screen() -> None:
    pytest.importorskip("tkinter", reason="tkinter is missing: install python3-tk")
    assert run(COMMAND, "--version", DISPLAY="").stdout.strip() == f"genre-gui {__version__}"
    assert "PATH" in run(COMMAND, "--help", DISPLAY="").stdout
    assert run(COMMAND, "--unknown", DISPLAY="").returncode == 2


def test_service_and_own_genres_exclude_each_other() -> None:
    pytest.importorskip("tkinter", reason="tkinter is missing: install python3-tk")
    result = run(COMMAND, "--api", "http://127.0.0.1:9", "--head", "mine.genre", DISPLAY="")
    assert result.returncode == 2
    assert "GENRE_HEAD" in result.stderr


def test_without_tkinter_it_says_so_in_one_line() -> None:
    result = run(sys.executable, "-c", WITHOUT_TK)
    assert result.returncode == 1
    assert result.stderr.startswith("genre-gui: Tk is missing")
    assert len(result.stderr.splitlines()) == 1


def test_app_without_the_service_says_what_to_install() -> None:
    code = "from genre_gui.backends import launcher; launcher.find_service = lambda: None\n"
    result = run(sys.executable, "-c", code + "import sys; from genre_gui.cli import main_app; sys.exit(main_app([]))")
    assert result.returncode == 1
    assert result.stderr == 'genre-app needs the service: pip install "./api" "./gui[service]"\n'
