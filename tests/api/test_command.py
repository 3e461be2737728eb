"""The command `genre-api` as people start it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx2
import pytest

from genre_api.cli import main
from tests.synthetic import tone, write_audio

COMMAND = Path(sys.executable).with_name("genre-api")
DEADLINE_SECONDS = 60.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def wait_until_ready(address: str, server: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while server.poll() is None and time.monotonic() < deadline:
        try:
            httpx2.get(f"{address}/api/health").raise_for_status()
            return
        except httpx2.TransportError:
            time.sleep(0.05)
    pytest.fail("the service did not start")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM that a process can answer")
def test_command_serves_and_stops_cleanly(model_path: Path, tmp_path: Path) -> None:
    address = f"http://127.0.0.1:{free_port()}"
    song = write_audio(tmp_path / "song.wav", tone(3))
    log = tmp_path / "log.txt"
    with log.open("w") as stream:
        server = subprocess.Popen(
            [COMMAND, "--port", address.rpartition(":")[2]],
            env={**os.environ, "GENRE_MODEL": str(model_path)},
            stdout=stream,
            stderr=subprocess.STDOUT,
            text=True,
        )
    try:
        wait_until_ready(address, server)
        with song.open("rb") as content:
            response = httpx2.post(f"{address}/api/predict", files={"file": ("song.wav", content)}, timeout=60)
        assert response.status_code == 200
        assert response.json()["label"] == "tone"
        os.kill(server.pid, signal.SIGTERM)
        # The server shuts down in order and then lets the signal take effect, as supervisors expect.
        assert server.wait(DEADLINE_SECONDS) in (0, -signal.SIGTERM)
    finally:
        if server.poll() is None:
            server.kill()
            server.wait()
    text = log.read_text()
    assert "Application shutdown complete" in text
    assert "Traceback" not in text


def test_help_names_the_options(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["--help"])
    assert stop.value.code == 0
    assert "--port" in capsys.readouterr().out


@pytest.mark.parametrize("port", ["many", "99999", "-1"])
def test_wrong_port_is_status_2(capsys: pytest.CaptureFixture[str], port: str) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["--port", port])
    assert stop.value.code == 2
    assert "--port" in capsys.readouterr().err
