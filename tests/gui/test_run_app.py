"""`run_app.sh`: what a double click does the first time and every other time. A stand-in plays Python and pip."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.patience import PATIENCE_SECONDS

ROOT = Path(__file__).parents[2]
FILES = ("run_app.sh", "constraints.txt", "runtime/pyproject.toml", "api/pyproject.toml", "gui/pyproject.toml")

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="a script of the POSIX shell")

# Notes what it is asked; as `-m venv` it puts itself into the folder, as `-m pip install` the command beside itself.
STAND_IN = """#!/bin/sh
printf '%s\\n' "$*" >>"$NOTES"
case "$*" in
    *tkinter*) exit "${WITHOUT_TK:-0}" ;;
    "-m venv"*) mkdir -p "$3/bin"; cp "$0" "$3/bin/python" ;;
    *"pip install"*)
        [ -z "${OFFLINE:-}" ] || exit 1
        printf '#!/bin/sh\\nprintf "app %%s\\\\n" "$*"\\n' >"$(dirname "$0")/genre-app"
        chmod +x "$(dirname "$0")/genre-app" ;;
esac
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the repository's files that the script looks at, in a folder with a difficult name."""
    root = tmp_path / "my music's tools"
    for name in FILES:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, root / name)
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("sh", "cat", "cmp", "cp", "mkdir", "chmod", "dirname", "env"):
        (programs / name).symlink_to(shutil.which(name) or name)
    return root


def python(folder: Path) -> None:
    """Install the stand-in."""
    path = folder.parent / "programs" / "python3.12"
    path.write_text(STAND_IN)
    path.chmod(0o755)


def start(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    given = {"PATH": str(folder.parent / "programs"), "NOTES": str(folder.parent / "notes"), **environment}
    command = [str(folder / "run_app.sh"), *arguments]
    return subprocess.run(command, env=given, capture_output=True, text=True, cwd="/", timeout=PATIENCE_SECONDS)


def test_first_use_sets_up_and_the_second_only_starts(folder: Path) -> None:
    python(folder)
    first = start(folder, "my song.mp3")
    assert first.returncode == 0, first.stderr
    assert [line[:5] for line in first.stdout.splitlines()[1:4]] == ["[1/3]", "[2/3]", "[3/3]"]
    assert first.stdout.endswith("app my song.mp3\n")
    notes = (folder.parent / "notes").read_text()
    assert "runtime[cpu,library]" in notes
    assert "gui[drop,play,service]" in notes
    assert f"--constraint {folder}/constraints.txt" in notes
    second = start(folder)
    assert second.stdout == "app \n"


def test_changed_requirements_are_installed(folder: Path) -> None:
    python(folder)
    start(folder)
    with (folder / "constraints.txt").open("a") as stream:
        stream.write("new==1\n")
    assert "[2/3]" in start(folder).stdout


def test_an_environment_of_invoke_setup_is_used_as_it_is(folder: Path) -> None:
    app = folder / ".venv" / "bin" / "genre-app"
    app.parent.mkdir(parents=True)
    app.write_text("#!/bin/sh\necho all here\n")
    app.chmod(0o755)
    (folder / ".venv" / "setup-complete").touch()
    assert start(folder).stdout == "all here\n"


def test_an_installation_that_failed_is_tried_again(folder: Path) -> None:
    python(folder)
    failed = start(folder, OFFLINE="yes")
    assert failed.returncode == 1
    assert "the installation failed, see above" in failed.stderr
    assert start(folder).stdout.endswith("app \n")


def test_without_python_or_tk_it_says_what_to_install(folder: Path) -> None:
    missing = start(folder)
    assert missing.returncode == 1
    assert "no Python 3.11, 3.12, 3.13 or 3.14 found" in missing.stderr
    python(folder)
    without_tk = start(folder, WITHOUT_TK="1")
    assert without_tk.returncode == 1
    assert "python3.12 has no tkinter: install python3-tk" in without_tk.stderr


def test_without_a_terminal_one_is_opened(folder: Path) -> None:
    python(folder)
    terminal = folder.parent / "programs" / "xterm"
    terminal.write_text('#!/bin/sh\nprintf "terminal %s\\n" "$*"\nshift\nexec "$@" </dev/null\n')
    terminal.chmod(0o755)
    opened = start(folder, "song.mp3", DISPLAY=":9").stdout
    assert opened.startswith(f"terminal -e {folder}/run_app.sh song.mp3\n")
    assert opened.endswith("app song.mp3\n")


def test_both_scripts_install_the_same() -> None:
    parts = ("runtime[cpu,library]", "gui[drop,play,service]", "constraints.txt", "app-complete", "setup-complete")
    batch = (ROOT / "run_app.bat").read_bytes()
    assert b"\r\n" in batch
    assert batch.count(b"\n") == batch.count(b"\r\n"), "cmd.exe misreads labels behind bare line feeds"
    shell = (ROOT / "run_app.sh").read_text()
    assert all(part in shell and part in batch.decode() for part in parts)
    assert os.access(ROOT / "run_app.sh", os.X_OK)
