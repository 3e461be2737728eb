"""The command `genre-gui` as people start it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from genre_gui.version import __version__
from tests.synthetic import tone, write_audio

COMMAND = Path(sys.executable).with_name("genre-gui")
DEADLINE_SECONDS = 60.0

# The command itself, but with a hand that closes the window at a moment of the test's choice.
CLOSING = """
import sys
from genre_gui import window

class ClosingWindow(window.Window):
    def classify(self, path):
        super().classify(path)
        if sys.argv[1] == "at once":
            self.after(1, self.close)

    def _show(self, path, outcome):
        super()._show(path, outcome)
        print(path.name, outcome.label, flush=True)
        self.after(300, self.close)

window.Window = ClosingWindow
sys.exit(window.main(sys.argv[2:]))
"""


def run(*command: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=DEADLINE_SECONDS
    )


@pytest.mark.usefixtures("display")
@pytest.mark.parametrize(("moment", "output"), [("after the result", "song.wav tone\n"), ("at once", "")])
def test_window_opens_and_closes_without_a_word_on_stderr(
    model_path: Path, tmp_path: Path, moment: str, output: str
) -> None:
    song = write_audio(tmp_path / "song.wav", tone(3))
    result = run(sys.executable, "-c", CLOSING, moment, song, GENRE_MODEL=str(model_path))
    assert result.stderr == ""  # neither "invalid command name" of a late callback nor a traceback
    assert result.returncode == 0
    assert result.stdout == output


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems always have a screen")
@pytest.mark.usefixtures("display")
def test_without_a_screen_it_says_so(model_path: Path) -> None:
    result = run(COMMAND, DISPLAY="", GENRE_MODEL=str(model_path))
    assert result.returncode == 1
    assert result.stderr.startswith("genre-gui: no window can be opened")
    assert "Traceback" not in result.stderr


def test_options_need_no_screen() -> None:
    pytest.importorskip("tkinter", reason="tkinter is missing: install python3-tk")
    assert run(COMMAND, "--version", DISPLAY="").stdout.strip() == __version__
    assert "FILE" in run(COMMAND, "--help", DISPLAY="").stdout
    assert run(COMMAND, "--unknown", DISPLAY="").returncode == 2
