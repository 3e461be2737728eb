"""`genre-export` from the outside: one line for whatever goes wrong. `test_end_to_end.py` has what goes right."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from genre_export import publish
from genre_export.cli import main


def test_names_do_not_steer_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--checkpoint", str(tmp_path / "a\x1b[2J\r\x9b\u202e.pt"), "--output", str(tmp_path)]) == 1
    out, err = capsys.readouterr()
    assert not set("\x1b\r\x9b\u202e") & set(out + err)


def test_missing_checkpoint_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--checkpoint", str(tmp_path / "none.pt"), "--output", str(tmp_path / "models")]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("genre-export: no checkpoint at ")
    assert not (tmp_path / "models").exists()


def test_output_that_cannot_be_written_is_one_line(
    published: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    assert main(["--checkpoint", str(published / "best_model.pt"), "--output", str(tmp_path / "file")]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("genre-export: [Errno")


def test_interruption_is_said_and_publishes_nothing(
    published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(publish, "write_waveform_graph", interrupt)
    assert main(["--checkpoint", str(published / "best_model.pt"), "--output", str(tmp_path)]) == 130
    assert capsys.readouterr().err == "genre-export: interrupted; nothing was published\n"
    assert list(tmp_path.iterdir()) == []


def test_wrong_usage_exits_with_two(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["best_model.pt"])
    assert stopped.value.code == 2
    assert "usage: genre-export" in capsys.readouterr().err


def test_variants_without_data_are_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["--variants"])
    assert stopped.value.code == 2
    assert "--variants needs --data" in capsys.readouterr().err


def test_two_jobs_at_once_are_wrong_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["--variants", "--data", str(tmp_path), "--triton", str(tmp_path)])
    assert stopped.value.code == 2
    assert "not allowed with" in capsys.readouterr().err


def test_variants_without_onnxruntime_name_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.delitem(sys.modules, "genre_export.quantize", raising=False)
    assert main(["--variants", "--data", str(tmp_path)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "install genre-runtime[cpu]" in line
