"""Uploads that hang, crash or fill their decoders, sent to a running service."""

from __future__ import annotations

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.api.live import Live, live
from tests.api.requests import audio_bytes
from tests.patience import PATIENCE_SECONDS
from tests.runtime.decoders.odd_decoders import ROOT

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the signals and bounds are those of Linux")

PROGRAM = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
from genre_api.cli import main
from genre_runtime.decoders import pool
from tests.runtime.decoders.odd_decoders import command
pool.default_command = command
sys.exit(main())
"""
COMMAND = (sys.executable, "-c", PROGRAM)


def send(service: Live, content: bytes, *, whole: bool = False) -> Any:
    options = "?whole=true" if whole else ""
    files = {"file": ("song", content)}
    return httpx2.post(f"{service.address}/api/predict{options}", files=files, timeout=PATIENCE_SECONDS)


def odd(word: bytes) -> bytes:
    return word + b" " + bytes(100)


def figure(service: Live, name: str) -> float:
    lines = service.get("/metrics").text.splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(f"{name} "))


@pytest.mark.parametrize("word", [b"hang", b"spin", b"slow"])
def test_uploads_that_hang_give_their_workers_back(tmp_path: Path, model_path: Path, word: bytes) -> None:
    settings: dict[str, Any] = {"workers": 2, "request_seconds": 2, "queue_length": 2}
    with live(tmp_path, model_path, command=COMMAND, **settings) as service, ThreadPoolExecutor(2) as pool:
        for _ in range(2):
            answers = list(pool.map(lambda content: send(service, content), [odd(word)] * 2))
            assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [(503, "timeout")] * 2
            assert send(service, audio_bytes()).json()["label"] == "tone"
            assert service.get("/readyz").status_code == 200
        deadline = time.monotonic() + PATIENCE_SECONDS
        while figure(service, "genre_predictions_running"):
            assert time.monotonic() < deadline
        assert figure(service, "genre_decoders") <= 2


def test_decoders_that_die_are_one_uploads_error(tmp_path: Path, model_path: Path) -> None:
    with live(tmp_path, model_path, command=COMMAND, decode_memory_bytes=100 * 2**20) as service:
        for word, status, code in (
            (b"crash", 415, "unreadable_audio"),
            (b"killed", 415, "unreadable_audio"),
            (b"numpy", 413, "audio_limit"),
            (b"malloc", 413, "audio_limit"),
        ):
            answer = send(service, odd(word))
            assert (answer.status_code, answer.json()["code"]) == (status, code)
            assert "/proc" not in answer.text
            assert send(service, audio_bytes()).json()["label"] == "tone"


@pytest.mark.parametrize("word", [b"hang", b"spin"])
def test_sigterm_ends_a_service_whose_decoders_hang(tmp_path: Path, model_path: Path, word: bytes) -> None:
    settings: dict[str, Any] = {"workers": 2, "shutdown_seconds": 1}
    with live(tmp_path, model_path, command=COMMAND, **settings) as service, ThreadPoolExecutor(2) as pool:
        answers = [pool.submit(send, service, odd(word)) for _ in range(2)]
        while figure(service, "genre_predictions_running") < 2:
            time.sleep(0.05)
        service.terminate()
        assert service.process.wait(PATIENCE_SECONDS) in (0, -15)
        for answer in answers:
            assert answer.exception() or answer.result().status_code in (500, 503)


def test_service_whose_decoders_do_not_start_is_not_ready(tmp_path: Path, model_path: Path) -> None:
    flag = tmp_path / "flag"
    broken = [sys.executable, "-c", f"import os; os.path.exists({str(flag)!r}) or sys.exit(1)"]
    program = PROGRAM.replace(
        "= command", f"= lambda: command() if __import__('os').path.exists({str(flag)!r}) else {broken!r}"
    )
    with live(tmp_path, model_path, command=(sys.executable, "-c", program)) as service:
        ready = service.get("/readyz")
        assert (ready.status_code, ready.json()["detail"]) == (503, "not ready: decoder_unavailable")
        answer = send(service, audio_bytes())
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
        flag.touch()
        deadline = time.monotonic() + PATIENCE_SECONDS
        while service.get("/readyz").status_code != 200:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert send(service, audio_bytes()).json()["label"] == "tone"
