"""Fixtures for tests of the command."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest

from genre_runtime.cli import main
from genre_runtime.decoders import pool
from tests.synthetic import noise, tone, write_audio

# On a machine that has little but the wheel and pytest, such as one with a GPU, `pytest -m cuda` runs all the same.
collect_ignore = [
    *(["audio/test_excerpts.py", "model/test_features.py"] if find_spec("hypothesis") is None else []),
    *(["model/test_session.py"] if find_spec("onnx") is None else []),
]

Outcome = tuple[int, str, str]
Genre = Callable[..., Outcome]


@pytest.fixture
def genre_as_used(model_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Genre:
    """Run the command with the tiny model; returns exit status, stdout and stderr."""
    monkeypatch.setenv("GENRE_MODEL", str(model_path))

    def run(*arguments: str | Path) -> Outcome:
        try:
            status = main([str(argument) for argument in arguments])
        except SystemExit as stop:
            status = int(stop.code or 0)
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return status, out, err

    return run


@pytest.fixture
def genre(genre_as_used: Genre, monkeypatch: pytest.MonkeyPatch) -> Genre:
    """The same, but it decodes in this process: to start another one for each run takes longer than all else."""
    monkeypatch.setattr(pool, "can_start", lambda: False)
    return genre_as_used


@pytest.fixture
def music(tmp_path: Path) -> Path:
    """Folder with a tone, a noise, and files that are to be passed over."""
    folder = tmp_path / "music"
    (folder / "sub" / ".hidden").mkdir(parents=True)
    write_audio(folder / "tone.wav", tone(12))
    write_audio(folder / "sub" / "noise.FLAC", noise(3))
    write_audio(folder / ".hidden.wav", tone(1))
    write_audio(folder / "sub" / ".hidden" / "tone.wav", tone(1))
    (folder / "cover.jpg").write_bytes(b"\xff\xd8")
    return folder
