"""Long jobs of a running service: crashes, the end of the service, and requests at the same time."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.api.live import Live, live
from tests.api.requests import audio_bytes
from tests.patience import PATIENCE_SECONDS
from tests.synthetic import tone, write_audio

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM that a process can answer")

N_FILES = 60


@pytest.fixture
def music(tmp_path: Path) -> Path:
    folder = tmp_path / "music"
    for album in range(4):
        (folder / f"album {album}").mkdir(parents=True)
        for index in range(N_FILES // 4):
            write_audio(folder / f"album {album}" / f"{index:02}.flac", tone(8 + index % 3))
    (folder / "album 1" / "broken.mp3").write_bytes(b"no music")
    return folder


def get(service: Live, address: str) -> Any:
    return httpx2.get(f"{service.address}{address}", timeout=PATIENCE_SECONDS)


def submit(service: Live, path: str = ".", options: str = "") -> str:
    response = httpx2.post(f"{service.address}/api/jobs{options}", json={"paths": [path]}, timeout=PATIENCE_SECONDS)
    assert response.status_code == 202
    return str(response.json()["id"])


def wait(service: Live, job_id: str, n_done: int | None = None) -> Any:
    """Wait until a job has done a number of files, or has ended."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (job := get(service, f"/api/jobs/{job_id}").json())["state"] != "done" and (
        n_done is None or job["n_total"] is None or job["n_done"] < n_done
    ):
        assert job["state"] in ("queued", "running"), job
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return job


def test_killed_service_misses_no_file_and_classifies_none_twice(tmp_path: Path, model_path: Path, music: Path) -> None:
    write_audio(music / "album 3" / "long.flac", tone(1200))  # the last, so that a fast machine is killed at work, too
    settings: dict[str, Any] = {"audio_roots": music, "jobs": tmp_path / "jobs"}
    with live(tmp_path, model_path, **settings) as service:
        job_id = submit(service, options="?whole=true")
        service.process.kill()  # while it scans the folder, perhaps
    read: list[str] = []
    n_done = 0
    for _ in range(3):
        with live(tmp_path, model_path, **settings) as service:
            job = wait(service, job_id, min(n_done + 2, N_FILES + 1))
            assert job["state"] in ("queued", "running")
            n_done = job["n_done"]
            read += get(service, f"/api/jobs/{job_id}/results?after={len(read)}").text.splitlines()
            service.process.kill()
            service.process.wait()
    assert n_done < N_FILES + 2
    with live(tmp_path, model_path, **settings) as service:
        job = wait(service, job_id)
        lines = get(service, f"/api/jobs/{job_id}/results").text.splitlines()
    assert lines[: len(read)] == read, "what was read before a crash stays"
    names = [json.loads(line)["path"] for line in lines]
    assert sorted(names) == sorted(str(path.relative_to(music)) for path in music.rglob("*.*"))
    assert (job["n_total"], job["n_done"], job["n_failed"]) == (N_FILES + 2, N_FILES + 2, 1)


def test_sigterm_ends_the_service_while_a_job_runs_and_is_watched(
    tmp_path: Path, model_path: Path, music: Path
) -> None:
    write_audio(music / "0 long.flac", tone(600))
    settings: dict[str, Any] = {"audio_roots": music, "jobs": tmp_path / "jobs"}
    with live(tmp_path, model_path, **settings) as service:
        job_id = submit(service, options="?whole=true")
        wait(service, job_id, 0)
        with httpx2.stream("GET", f"{service.address}/api/jobs/{job_id}/events", timeout=PATIENCE_SECONDS) as events:
            lines = events.iter_lines()
            assert next(lines) == "event: running"
            service.terminate()
            assert not [line for line in lines if line == "event: done"], "the stream ends before the job"
        assert service.process.wait(PATIENCE_SECONDS) in (0, -15)
    assert "Application shutdown complete." in service.log.read_text()
    assert '"traceback"' not in service.log.read_text()
    with live(tmp_path, model_path, **settings) as service:
        assert wait(service, job_id)["n_done"] == N_FILES + 2


def test_requests_are_answered_while_a_job_runs(tmp_path: Path, model_path: Path, music: Path) -> None:
    write_audio(music / "0 long.flac", tone(2400))
    with live(tmp_path, model_path, workers=1, queue_length=0, audio_roots=music, jobs=tmp_path / "jobs") as service:
        job_id = submit(service, options="?whole=true")
        wait(service, job_id, 0)
        files = {"file": ("a.wav", audio_bytes())}
        meanwhile = []
        for _ in range(5):
            response = httpx2.post(f"{service.address}/api/predict", files=files, timeout=PATIENCE_SECONDS)
            assert response.status_code == 200, "a job takes no place in the queue"
            meanwhile.append(get(service, f"/api/jobs/{job_id}").json()["n_done"] == 0)
        assert meanwhile[0], "the request waited for the long file"  # a fast machine may be through with it later
        httpx2.delete(f"{service.address}/api/jobs/{job_id}", timeout=PATIENCE_SECONDS)
        service.terminate()
        assert service.process.wait(PATIENCE_SECONDS) in (0, -15)
