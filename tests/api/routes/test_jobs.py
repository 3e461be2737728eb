"""`/api/jobs`: long jobs over folders on the server."""

from __future__ import annotations

import json
import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from threading import Event, Timer
from typing import Any

import pytest
from fastapi.testclient import TestClient

from genre_api import jobs as jobs_module
from genre_api.job_file import JobFile
from genre_api.routes import jobs as routes_module
from genre_runtime import GenreClassifier
from genre_runtime.errors import ModelNotFoundError, StateError
from tests.api.conftest import MakeClient
from tests.api.requests import assert_problem
from tests.patience import PATIENCE_SECONDS
from tests.synthetic import noise, tone, write_audio

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="needs links")


@pytest.fixture
def music(tmp_path: Path) -> Path:
    """A folder of music, and beside it one that no client may know of."""
    for name in ("music/album", "private"):
        (tmp_path / name).mkdir(parents=True)
    folder = tmp_path / "music"
    write_audio(folder / "album" / "a.wav", tone(2))
    write_audio(folder / "album" / "b.wav", noise(3))
    write_audio(folder / "c.wav", tone(3))
    (folder / "album" / "broken.mp3").write_bytes(b"no music at all")
    (folder / "album" / "notes.txt").write_text("not an audio file")
    write_audio(tmp_path / "private" / "secret.wav", tone(3))
    return folder


@pytest.fixture
def runner(make_client: MakeClient, music: Path, tmp_path: Path) -> TestClient:
    return make_client(audio_roots=str(music), jobs=tmp_path / "jobs")


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[Event]:
    """Jobs wait before each excerpt until this is set."""
    release = Event()

    def wait(_: jobs_module.Jobs, stop: Event) -> None:
        while not release.wait(0.01) and not stop.is_set():
            pass

    monkeypatch.setattr(jobs_module.Jobs, "_give_way", wait)
    yield release
    release.set()


def submit(client: TestClient, *paths: str, **options: Any) -> Any:
    return client.post("/api/jobs", json={"paths": paths}, params=options)


def ended(client: TestClient, job_id: str, state: str = "done") -> Any:
    job = until(client, job_id, "done", "failed", "cancelled")
    assert job["state"] == state, job
    return job


def until(client: TestClient, job_id: str, *states: str) -> Any:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (job := client.get(f"/api/jobs/{job_id}").json())["state"] not in states:
        assert time.monotonic() < deadline, job
        time.sleep(0.02)
    return job


def rows(client: TestClient, job_id: str, **options: Any) -> list[Any]:
    response = client.get(f"/api/jobs/{job_id}/results", params=options)
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("application/x-ndjson")
    return [json.loads(line) for line in response.text.splitlines()]


def test_jobs_are_off_by_default(client: TestClient) -> None:
    assert_problem(submit(client, "."), 403, "jobs_disabled")
    assert_problem(client.get("/api/jobs"), 403, "jobs_disabled")
    for address in ("/api/jobs/1", "/api/jobs/1/events", "/api/jobs/1/results"):
        assert_problem(client.get(address), 403, "jobs_disabled")
    assert_problem(client.delete("/api/jobs/1"), 403, "jobs_disabled")


def test_jobs_need_folders(make_client: MakeClient, tmp_path: Path) -> None:
    assert_problem(submit(make_client(jobs=tmp_path / "jobs"), "."), 403, "path_disabled")


def test_folder_gets_the_results_of_the_classifier(
    runner: TestClient, music: Path, classifier: GenreClassifier
) -> None:
    response = submit(runner, ".")
    job = response.json()
    assert (response.status_code, response.headers["location"]) == (202, f"/api/jobs/{job['id']}")
    job = ended(runner, job["id"])
    assert (job["n_total"], job["n_done"], job["n_failed"], job["paths"]) == (4, 4, 1, ["."])
    assert job["created"] <= job["started"] <= job["ended"]
    found = rows(runner, job["id"])
    assert [row["path"] for row in found] == ["c.wav", "album/a.wav", "album/b.wav", "album/broken.mp3"]
    assert found[3]["error"]["code"] == "unreadable_audio"
    for row in found[:3]:
        assert row == {**classifier.classify_file(music / row["path"]).to_dict(), "path": row["path"]}
        assert runner.post("/api/predict", json={"path": row["path"]}).json()["label"] == row["label"]
    assert rows(runner, job["id"], after=3) == found[3:]
    assert rows(runner, job["id"], after=4) == rows(runner, job["id"], after=2**63 - 1) == []
    assert runner.get("/api/jobs").json() == {"jobs": [job]}


def test_paths_are_named_as_the_client_names_them_and_each_once(runner: TestClient, music: Path) -> None:
    job = ended(
        runner, submit(runner, "album", "album/a.wav", str(music / "album"), "gone.wav", whole=True).json()["id"]
    )
    names = [row["path"] for row in rows(runner, job["id"])]
    assert names == [
        *("album/a.wav", "album/b.wav", "album/broken.mp3"),
        *(str(music / "album" / name) for name in ("a.wav", "b.wav", "broken.mp3")),
        "gone.wav",
    ]
    assert rows(runner, job["id"], after=6)[0]["error"]["code"] == "not_found"
    assert job["whole"]


@pytest.mark.parametrize(
    "path",
    ["none", "/etc", "..", "../private", "album/../..", "album\x00", "/proc/self", "~", "a/" * 2000, "*", "%2e%2e"],
)
def test_other_paths_are_not_found_in_the_same_words(runner: TestClient, path: str) -> None:
    expected = submit(runner, "none.wav").json()
    response = submit(runner, path)
    assert_problem(response, 404, "not_found")
    assert {**response.json(), "request_id": ""} == {**expected, "request_id": ""}


@POSIX
def test_links_lead_nowhere_outside(runner: TestClient, music: Path) -> None:
    private = music.parent / "private"
    (music / "album" / "link.wav").symlink_to(private / "secret.wav")
    (music / "album" / "inside.wav").symlink_to(music / "c.wav")
    (music / "album" / "folder").symlink_to(private)
    (music / "circle").symlink_to(music)
    for path in ("album/folder", "circle/../private"):
        assert_problem(submit(runner, path), 404, "not_found")
    job = ended(runner, submit(runner, ".").json()["id"])
    found = {row["path"]: row.get("error", {}).get("code") for row in rows(runner, job["id"])}
    assert found == {
        **{"c.wav": None, "album/a.wav": None, "album/b.wav": None, "album/broken.mp3": "unreadable_audio"},
        **{"album/inside.wav": None, "album/link.wav": "not_found"},
    }


@POSIX
def test_name_that_is_not_utf8(runner: TestClient, music: Path) -> None:
    (music / "album" / "a.wav").rename(music / "album" / "caf\udce9.wav")
    job = ended(runner, submit(runner, "album").json()["id"])
    assert (job["n_total"], job["n_failed"]) == (3, 1)
    assert "album/caf?.wav" in [row["path"] for row in rows(runner, job["id"])]


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        (b"", 400, "invalid_body"),
        (b"{", 400, "invalid_body"),
        (b"[" * 100_000, 400, "invalid_body"),
        (b"[]", 422, "invalid_request"),
        (b"{}", 422, "invalid_request"),
        (b'{"paths": []}', 422, "invalid_request"),
        (b'{"paths": "album"}', 422, "invalid_request"),
        (b'{"paths": [1]}', 422, "invalid_request"),
        (b'{"paths": ["album"], "more": 1}', 422, "invalid_request"),
        (b'{"paths": ["\\ud800"]}', 400, "invalid_body"),
        (b'{"paths": [' + b"[]," * 300_000 + b"[]]}", 422, "invalid_request"),
        (b'{"paths": [' + b'"",' * 10_000 + b'""]}', 422, "invalid_request"),
        (b"{" + b",".join(b'"%d":0' % i for i in range(50_000)) + b"}", 422, "invalid_request"),
        (b" " * (2**20 + 1), 413, "upload_too_large"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_wrong_bodies_are_refused(runner: TestClient, content: bytes, status: int, code: str) -> None:
    response = runner.post("/api/jobs", content=content, headers={"Content-Type": "application/json"})
    assert_problem(response, status, code)
    assert len(response.content) < 1000
    assert runner.get("/api/jobs").json() == {"jobs": []}


def test_wrong_requests_are_refused(runner: TestClient) -> None:
    assert_problem(runner.post("/api/jobs", content=b"{}"), 415, "unsupported_media_type")
    assert_problem(submit(runner, "album", excerpts=0), 422, "invalid_request")
    assert_problem(submit(runner, "album", top=3), 422, "invalid_request")
    assert_problem(submit(runner, "album", excerpts=1, whole=True), 422, "invalid_request")
    for after in ("-1", "x", str(2**63), "1.5"):
        assert_problem(runner.get(f"/api/jobs/x/results?after={after}"), 422, "invalid_request")


@pytest.mark.parametrize("job_id", ["1", "0" * 32, "'; DROP TABLE jobs; --", "%00", "%ff", "x" * 5000, "%F0%9F%8E%B5"])
def test_hostile_ids_are_not_found(runner: TestClient, job_id: str) -> None:
    for address in (f"/api/jobs/{job_id}", f"/api/jobs/{job_id}/events", f"/api/jobs/{job_id}/results"):
        assert_problem(runner.get(address), 404, "job_not_found")
    assert_problem(runner.delete(f"/api/jobs/{job_id}"), 404, "job_not_found")


def test_all_methods_of_an_address_are_named(runner: TestClient) -> None:
    for address, methods in (("/api/jobs", "GET, POST"), ("/api/jobs/1", "DELETE, GET"), ("/api/jobs/1/events", "GET")):
        response = runner.put(address)
        assert_problem(response, 405, "method_not_allowed")
        assert response.headers["Allow"] == methods


def test_events_tell_the_progress_until_the_end(runner: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes_module, "POLL_SECONDS", 0.001)
    job_id = submit(runner, ".").json()["id"]
    response = runner.get(f"/api/jobs/{job_id}/events")
    assert response.headers["content-type"].startswith("text/event-stream")
    events = [dict(line.split(": ", 1) for line in event.splitlines()) for event in response.text.strip().split("\n\n")]
    assert [event["event"] for event in events][-1] == "done"
    jobs = [json.loads(event["data"]) for event in events]
    assert jobs[-1] == runner.get(f"/api/jobs/{job_id}").json()
    assert [job["n_done"] for job in jobs] == sorted(job["n_done"] for job in jobs)
    assert len({event["id"] for event in events}) == len(events)
    address, last = f"/api/jobs/{job_id}/events", events[-1]["id"]
    assert runner.get(address, headers={"Last-Event-ID": last}).status_code == 204
    for other in ("", "x" * 1000, events[0]["id"] + "x"):
        assert runner.get(address, headers={"Last-Event-ID": other}).text.count("event: done") == 1


def test_events_have_a_heartbeat(runner: TestClient, held: Event, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes_module, "HEARTBEAT_SECONDS", 0.0)
    job_id = submit(runner, ".").json()["id"]
    until(runner, job_id, "running")
    timer = Timer(2.0, held.set)
    timer.start()
    text = runner.get(f"/api/jobs/{job_id}/events").text
    timer.join()
    assert ": heartbeat\n\n" in text
    assert "event: done" in text


def test_running_job_is_cancelled_then_removed(runner: TestClient, held: Event) -> None:
    first, second = (submit(runner, ".").json()["id"] for _ in range(2))
    until(runner, first, "running")
    assert runner.get(f"/api/jobs/{second}").json()["state"] == "queued"
    for job_id in (second, first):
        response = runner.delete(f"/api/jobs/{job_id}")
        assert (response.status_code, response.json()["state"]) == (200, "cancelled")
    assert rows(runner, first) == []
    for job_id in (second, first):
        response = runner.delete(f"/api/jobs/{job_id}")
        assert (response.status_code, response.content) == (204, b"")
        assert_problem(runner.delete(f"/api/jobs/{job_id}"), 404, "job_not_found")
    held.set()
    third = submit(runner, "album").json()["id"]
    assert ended(runner, third)["n_done"] == 3, "later jobs run"


def test_number_of_jobs_and_files_is_limited(make_client: MakeClient, music: Path, tmp_path: Path) -> None:
    client = make_client(audio_roots=str(music), jobs=tmp_path / "jobs", max_jobs=2, job_files=3)
    for paths in ((".",), ("album", "album/../album")):
        job = ended(client, submit(client, *paths).json()["id"], "failed")
        assert (job["error"]["code"], job["n_done"]) == ("too_many_files", 0)
    assert_problem(submit(client, "album"), 429, "too_many_jobs")
    client.delete(f"/api/jobs/{job['id']}")
    ended(client, submit(client, "album").json()["id"])


def test_folder_without_music_says_so(runner: TestClient, music: Path) -> None:
    (music / "empty").mkdir()
    job = ended(runner, submit(runner, "empty").json()["id"], "failed")
    assert job["error"]["code"] == "no_files"


def test_restart_goes_on_where_the_service_stopped(
    make_client: MakeClient, classifier: GenreClassifier, music: Path, tmp_path: Path, held: Event
) -> None:
    settings = {"audio_roots": str(music), "jobs": tmp_path / "jobs"}
    client = make_client(**settings)
    job_id, later = (submit(client, path).json()["id"] for path in (".", "album"))
    until(client, job_id, "running")
    client.__exit__()
    held.set()
    again = make_client(**settings)
    assert (ended(again, job_id)["n_done"], ended(again, later)["n_done"]) == (4, 3)
    assert len({row["path"] for row in rows(again, job_id)}) == 4


def test_job_of_another_model_fails(
    make_client: MakeClient, music: Path, tmp_path: Path, held: Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"audio_roots": str(music), "jobs": tmp_path / "jobs"}
    client = make_client(**settings)
    job_id = submit(client, ".").json()["id"]
    deadline = time.monotonic() + PATIENCE_SECONDS
    while client.get(f"/api/jobs/{job_id}").json()["n_total"] is None:
        assert time.monotonic() < deadline
    client.__exit__()
    held.set()
    monkeypatch.setattr(jobs_module, "plan_of", lambda *_: "another model")
    assert ended(make_client(**settings), job_id, "failed")["error"]["code"] == "model_changed"


def test_file_of_another_program_is_not_touched(make_client: MakeClient, music: Path, tmp_path: Path) -> None:
    path = tmp_path / "jobs"
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE jobs (mine TEXT)")
    content = path.read_bytes()
    client = make_client(audio_roots=str(music), jobs=path)
    assert_problem(submit(client, "."), 503, "unavailable")
    assert_problem(client.get("/api/jobs"), 503, "unavailable")
    assert path.read_bytes() == content
    assert {entry.name for entry in tmp_path.iterdir() if entry.name.startswith("jobs")} == {"jobs"}
    assert client.get("/readyz").status_code == 200


@POSIX
def test_file_is_created_for_its_owner_only_and_an_empty_one_is_taken(
    make_client: MakeClient, music: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty").touch()
    for name in ("new", "empty"):
        client = make_client(audio_roots=str(music), jobs=tmp_path / name)
        ended(client, submit(client, "album").json()["id"])
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o600
    left = {path.name.removesuffix("-wal") for path in tmp_path.iterdir() if path.is_file()}
    assert left == {"new", "empty"}


@pytest.mark.parametrize("kept", [0, 50, 100, 4096])
def test_damaged_file_is_an_error_of_the_jobs_alone(
    make_client: MakeClient, music: Path, tmp_path: Path, kept: int, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "jobs"
    client = make_client(audio_roots=str(music), jobs=path)
    ended(client, submit(client, ".").json()["id"])
    client.__exit__()
    path.write_bytes(path.read_bytes()[:kept] + b"\xff" * (path.stat().st_size - kept))
    content = path.read_bytes()
    client = make_client(audio_roots=str(music), jobs=path)
    assert_problem(client.get("/api/jobs"), 503, "unavailable")
    assert path.read_bytes() == content
    assert client.post("/api/predict", json={"path": "c.wav"}).status_code == 200
    assert "name another file" in caplog.text


def test_full_disk_pauses_the_job(
    runner: TestClient, held: Event, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(jobs_module, "RETRY_SECONDS", 0.05)
    job_id = submit(runner, ".").json()["id"]
    until(runner, job_id, "running")

    def full(*_: Any) -> None:
        raise StateError("database or disk is full")

    with monkeypatch.context() as patch:
        for name in ("add", "save", "save_row"):
            patch.setattr(JobFile, name, full)
        held.set()
        deadline = time.monotonic() + PATIENCE_SECONDS
        while "tried again" not in caplog.text:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert_problem(submit(runner, "."), 503, "unavailable")
        assert_problem(runner.delete(f"/api/jobs/{job_id}"), 503, "unavailable")
        assert runner.get(f"/api/jobs/{job_id}").json()["state"] == "running"
    assert ended(runner, job_id)["n_done"] == len({row["path"] for row in rows(runner, job_id)}) == 4


def test_second_service_waits_for_the_file(
    make_client: MakeClient, music: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs_module, "RETRY_SECONDS", 0.05)
    settings = {"audio_roots": str(music), "jobs": tmp_path / "jobs"}
    first, second = make_client(**settings), make_client(**settings)
    job_id = submit(first, ".").json()["id"]
    ended(first, job_id)
    assert_problem(second.get("/api/jobs"), 503, "unavailable")
    first.__exit__()
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (response := second.get("/api/jobs")).status_code == 503:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert [job["id"] for job in response.json()["jobs"]] == [job_id]


def test_job_waits_while_requests_use_every_worker(
    make_client: MakeClient, music: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs_module, "GIVE_WAY_SECONDS", PATIENCE_SECONDS)
    client = make_client(audio_roots=str(music), jobs=tmp_path / "jobs")
    queue = client.app.state.service.queue  # type: ignore[attr-defined]
    queue.n_running = 2
    job_id = submit(client, ".").json()["id"]
    until(client, job_id, "running")
    time.sleep(0.3)
    assert client.get(f"/api/jobs/{job_id}").json()["n_done"] == 0
    queue.n_running = 1
    ended(client, job_id)


def test_key_and_cross_site_checks(make_client: MakeClient, music: Path, tmp_path: Path) -> None:
    client = make_client(audio_roots=str(music), jobs=tmp_path / "jobs", api_key="a-long-key")
    for response in (
        *(submit(client, "."), client.get("/api/jobs"), client.get("/api/jobs/1"), client.get("/api/jobs/1/events")),
        *(client.get("/api/jobs/1/results"), client.delete("/api/jobs/1")),
    ):
        assert_problem(response, 401, "unauthorized")
    headers = {"X-API-Key": "a-long-key", "Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}
    assert_problem(client.delete("/api/jobs/1", headers=headers), 403, "cross_site")
    assert_problem(client.post("/api/jobs", json={"paths": ["."]}, headers=headers), 403, "cross_site")


def test_pages_of_allowed_origins_may_use_jobs(make_client: MakeClient, music: Path, tmp_path: Path) -> None:
    origin = "https://music.example"
    client = make_client(audio_roots=str(music), jobs=tmp_path / "jobs", cors_origins=(origin,))
    asked = {"Access-Control-Request-Method": "DELETE", "Access-Control-Request-Headers": "X-API-Key, Last-Event-ID"}
    preflight = client.options("/api/jobs/1", headers={"Origin": origin, **asked})
    assert (preflight.status_code, preflight.headers["access-control-allow-origin"]) == (200, origin)
    headers = {"Origin": origin, "Sec-Fetch-Site": "cross-site"}
    response = client.post("/api/jobs", json={"paths": ["."]}, headers=headers)
    assert response.status_code == 202
    assert "Location" in response.headers["access-control-expose-headers"]
    assert client.delete(response.headers["Location"], headers=headers).status_code in (200, 204)


def test_jobs_of_a_service_without_a_model(make_client: MakeClient, music: Path, tmp_path: Path) -> None:
    def load() -> GenreClassifier:
        raise ModelNotFoundError("none.onnx", "")

    client = make_client(load, audio_roots=str(music), jobs=tmp_path / "jobs")
    assert_problem(submit(client, "."), 503, "unavailable")
    assert client.get("/api/jobs").json() == {"jobs": []}
