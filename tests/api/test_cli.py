"""The command `genre-api` as people start it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest

from genre_api.cli import main
from tests.api.live import COMMAND, live
from tests.api.requests import audio_bytes
from tests.patience import PATIENCE_SECONDS


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM that a process can answer")
def test_command_serves_and_stops_cleanly(model_path: Path, tmp_path: Path) -> None:
    with live(tmp_path, model_path, log_format="text", drain_secnds=1) as service:
        files = {"file": ("song.wav", audio_bytes(3))}
        response = httpx2.post(f"{service.address}/api/predict", files=files, timeout=PATIENCE_SECONDS)
        assert response.status_code == 200
        assert response.json()["label"] == "tone"
        service.terminate()
        assert service.process.wait(PATIENCE_SECONDS) in (0, -15)
    text = service.log.read_text()
    assert "Application shutdown complete" in text
    assert "GENRE_DRAIN_SECNDS is not a setting" in text
    assert "Traceback" not in text


def test_help_names_the_options(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    assert "--port" in text
    assert "GENRE_AUDIO_ROOTS" in text
    assert "json or text" in text


@pytest.mark.parametrize("port", ["many", "99999", "-1"])
def test_wrong_port_is_status_2(capsys: pytest.CaptureFixture[str], port: str) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["--port", port])
    assert stop.value.code == 2
    assert "--port" in capsys.readouterr().err


def test_wrong_setting_is_status_2_and_shows_no_secret(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GENRE_API_KEY", "hunter2")
    monkeypatch.setenv("GENRE_WORKERS", "many")
    assert main([]) == 2
    error = capsys.readouterr().err
    assert "GENRE_WORKERS" in error
    assert "GENRE_API_KEY" in error
    assert "hunter2" not in error


def test_taken_port_is_an_error_without_traceback(model_path: Path, tmp_path: Path) -> None:
    with live(tmp_path, model_path) as service:
        second = subprocess.run(
            [COMMAND, "--port", str(service.port)], capture_output=True, text=True, timeout=PATIENCE_SECONDS
        )
    assert second.returncode == 2
    (line,) = second.stderr.splitlines()
    assert line.startswith(f"genre-api: cannot listen at port {service.port} of 127.0.0.1 (")
    assert "address already in use" in line.lower()
    assert line.endswith("choose another with --port")


def test_lines_of_the_text_log_do_not_steer_the_terminal(model_path: Path, tmp_path: Path) -> None:
    root = str(tmp_path / "none\x1b[2J\x9b\x07\r\u202e")
    with live(tmp_path, model_path, log_format="text", audio_roots=root) as service:
        log = service.log.read_bytes().decode("utf-8")
    assert "none\\x1b[2J\\x9b\\x07\\r\\u202e in GENRE_AUDIO_ROOTS does not exist" in log
    assert not set("\x1b\x9b\x07\u202e") & set(log)


def test_root_that_is_no_folder_is_warned_of(model_path: Path, tmp_path: Path) -> None:
    roots = os.pathsep.join([str(tmp_path), str(tmp_path / "none")])
    with live(tmp_path, model_path, audio_roots=roots) as service:
        log = service.log.read_text(encoding="utf-8")
    assert log.count("does not exist: its paths answer 404") == 1
