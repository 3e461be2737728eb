"""The first command of the README, as a stranger runs it: a new environment, outside the repository."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from tests.synthetic import noise, write_audio

ROOT = Path(__file__).parents[2]
MAX_MEGABYTES = 330
UNWANTED = {"torch", "torchaudio", "librosa", "scipy", "numba", "scikit-learn", "matplotlib", "onnx"}


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of programs of an environment into which only `./runtime[cpu]` was installed."""
    folder = tmp_path_factory.mktemp("slim")
    venv.create(folder, with_pip=True)
    programs = folder / ("Scripts" if os.name == "nt" else "bin")
    install = [programs / "python", "-m", "pip", "install", "--quiet", "--constraint", "constraints.txt"]
    subprocess.run([*map(str, install), "./runtime[cpu]"], cwd=ROOT, check=True)
    return programs


def test_the_environment_is_slim(programs: Path) -> None:
    listed = subprocess.run(
        [str(programs / "python"), "-m", "pip", "list", "--format", "freeze"],
        capture_output=True,
        text=True,
        check=True,
    )
    installed = {line.split("==")[0].lower() for line in listed.stdout.splitlines()}
    assert "genre-runtime" in installed
    assert not installed & UNWANTED
    megabytes = sum(file.stat().st_size for file in programs.parent.rglob("*") if not file.is_symlink()) / 2**20
    assert megabytes < MAX_MEGABYTES


def test_the_demo_runs_outside_the_repository(programs: Path, tmp_path: Path) -> None:
    result = _genre(programs, tmp_path, "demo")
    assert result.returncode == 0, result.stderr
    assert len(result.stdout.splitlines()) == 4  # a heading and three pieces


def test_the_shipped_model_classifies_a_file_and_names_a_bad_one(programs: Path, tmp_path: Path) -> None:
    write_audio(tmp_path / "noise.flac", noise(5))
    (tmp_path / "text.mp3").write_text("no music")
    result = _genre(programs, tmp_path, "classify", "noise.flac", "text.mp3")
    assert result.returncode == 1
    assert "noise.flac" in result.stdout
    assert "text.mp3" in result.stderr
    assert "Traceback" not in result.stderr


def _genre(programs: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "GENRE_MODEL"}
    suffix = ".exe" if sys.platform == "win32" else ""
    command = [str(programs / f"genre{suffix}"), *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
