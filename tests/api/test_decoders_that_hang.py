"""A running service whose decoders hang in C, crash or fill the memory."""

from __future__ import annotations

import io
import os
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
import soundfile

from tests.api.live import DEADLINE_SECONDS, Live, live
from tests.api.requests import audio_bytes
from tests.synthetic import tone

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the stand-in for a library that hangs is Linux's")

HANGS, CRASHES, FILLS = 12_345, 12_346, 12_347
"""Sample rates, Hz, at which the patched library misbehaves."""

PATCH = f"""
import ctypes
import os
import soundfile

opened = soundfile.SoundFile.__init__

def misbehave(self, *arguments, **options):
    opened(self, *arguments, **options)
    if self.samplerate == {HANGS}:
        ctypes.PyDLL(None).sleep(600)  # in C, and no thread of Python runs meanwhile
    if self.samplerate == {CRASHES}:
        ctypes.string_at(0)
    if self.samplerate == {FILLS}:
        self.filling = [b"x" * 2**20 for _ in range(4096)]

soundfile.SoundFile.__init__ = misbehave
"""


@pytest.fixture
def variables(tmp_path: Path) -> dict[str, str]:
    """An environment in which every process has the patched library."""
    folder = tmp_path / "patched"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(PATCH)
    return {"PYTHONPATH": os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)}


def upload(service: Live, rate: int) -> Any:
    content = io.BytesIO()
    soundfile.write(content, np.resize(tone(1), rate), rate, format="WAV")
    files = {"file": ("song.wav", content.getvalue())}
    return httpx2.post(f"{service.address}/api/predict", files=files, timeout=DEADLINE_SECONDS)


def good_upload(service: Live) -> Any:
    files = {"file": ("song.flac", audio_bytes())}
    return httpx2.post(f"{service.address}/api/predict", files=files, timeout=DEADLINE_SECONDS)


def children(service: Live) -> list[int]:
    threads = Path(f"/proc/{service.process.pid}/task").iterdir()
    return [int(word) for thread in threads for word in (thread / "children").read_text().split()]


def test_a_timeout_frees_the_worker_though_the_decoder_hangs(
    tmp_path: Path, model_path: Path, variables: dict[str, str]
) -> None:
    with live(tmp_path, model_path, variables, workers=2, queue_length=0, request_seconds=3) as service:
        with ThreadPoolExecutor(2) as pool:
            for answer in pool.map(lambda _: upload(service, HANGS), range(2)):
                assert (answer.status_code, answer.json()["code"]) == (503, "timeout")
        # With no place to wait, this one is refused unless a worker is free.
        deadline = time.monotonic() + DEADLINE_SECONDS
        while (answer := good_upload(service)).status_code == 503 and time.monotonic() < deadline:
            time.sleep(0.1)
        assert answer.status_code == 200, answer.text
        assert httpx2.get(f"{service.address}/readyz").status_code == 200
        assert "genre_predictions_running 0.0" in httpx2.get(f"{service.address}/metrics").text


def test_a_decoder_that_crashes_or_fills_the_memory_costs_its_upload_alone(
    tmp_path: Path, model_path: Path, variables: dict[str, str]
) -> None:
    with live(tmp_path, model_path, variables, workers=1, decode_memory_bytes=100 * 2**20) as service:
        for _ in range(2):
            answer = upload(service, CRASHES)
            assert (answer.status_code, answer.json()["code"]) == (415, "unreadable_audio")
            answer = upload(service, FILLS)
            assert (answer.status_code, answer.json()["code"]) == (413, "audio_limit")
            assert good_upload(service).status_code == 200


@pytest.mark.parametrize("n_hanging", [0, 2])
def test_the_end_waits_for_no_decoder_that_hangs(
    tmp_path: Path, model_path: Path, variables: dict[str, str], n_hanging: int
) -> None:
    bounds = {"request_seconds": 600, "shutdown_seconds": 2}
    with live(tmp_path, model_path, variables, workers=2, **bounds) as service, ThreadPoolExecutor(2) as pool:
        assert good_upload(service).status_code == 200
        waiting = [pool.submit(upload, service, HANGS) for _ in range(n_hanging)]
        while f"genre_predictions_running {n_hanging}.0" not in httpx2.get(f"{service.address}/metrics").text:
            time.sleep(0.1)
        decoders = children(service)
        assert decoders
        service.terminate()
        assert service.process.wait(DEADLINE_SECONDS / 2) in (0, -signal.SIGTERM, 128 + signal.SIGTERM)
        assert not [process for process in decoders if Path(f"/proc/{process}/cmdline").is_file()]
        for future in waiting:
            assert future.exception() is not None or future.result().status_code >= 500
