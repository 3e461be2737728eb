"""More work than there are places for, work that takes too long, and work that nobody waits for any longer."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import Request
from fastapi.testclient import TestClient

from genre_api import work_queue
from genre_api.inference import classify_audio
from genre_api.problems import ServiceError
from genre_api.routes import predict as predict_module
from genre_api.service import Service
from genre_api.work_queue import ClientGone, WorkQueue
from tests.api.conftest import MakeClient
from tests.api.requests import assert_problem, audio_bytes, upload
from tests.patience import PATIENCE_SECONDS


class Gate:
    """Holds predictions back until it is opened, and knows which were told to stop."""

    def __init__(self) -> None:
        self.open = Event()
        self.stops: list[Event] = []
        self._classify = classify_audio

    def __call__(self, *arguments: Any, stop: Event, **options: Any) -> Any:
        self.stops.append(stop)
        assert self.open.wait(PATIENCE_SECONDS)
        return self._classify(*arguments, stop=stop, **options)


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    gate = Gate()
    monkeypatch.setattr(predict_module, "classify_audio", gate)
    yield gate
    gate.open.set()


def service_of(client: TestClient) -> Service:
    service: Service = client.app.state.service  # type: ignore[attr-defined]
    return service


def wait_for(condition: Any) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_beyond_the_queue_the_answer_is_busy_at_once(make_client: MakeClient, gate: Gate) -> None:
    client = make_client(workers=1, queue_length=1)
    queue = service_of(client).queue
    with ThreadPoolExecutor(2) as pool:
        accepted = [pool.submit(upload, client, audio_bytes()) for _ in range(2)]
        wait_for(lambda: (queue.n_running, queue.n_waiting) == (1, 1))
        response = upload(client, audio_bytes())
        assert_problem(response, 503, "busy")
        text = client.get("/metrics").text
        assert "genre_queue_waiting 1.0" in text
        assert "genre_predictions_running 1.0" in text
        assert 'genre_rejections_total{code="busy"} 1.0' in text
        assert client.get("/readyz").status_code == 200
        gate.open.set()
        assert [future.result().status_code for future in accepted] == [200, 200]
    assert (queue.n_running, queue.n_waiting) == (0, 0)
    assert upload(client, audio_bytes()).status_code == 200


def test_beyond_the_queue_no_body_is_read(make_client: MakeClient, gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse_second(request: Request) -> object:
        if "top" not in request.query_params:  # the accepted one, which looks whether its client has left
            return request._receive
        return pytest.fail("the body was asked for")

    client = make_client(workers=1, queue_length=0)
    with ThreadPoolExecutor(1) as pool:
        accepted = pool.submit(upload, client, audio_bytes())
        wait_for(lambda: service_of(client).queue.n_running)
        with monkeypatch.context() as patched:
            patched.setattr(Request, "receive", property(refuse_second))
            assert_problem(upload(client, audio_bytes(), top=2), 503, "busy")
            files = {"files": ("song", audio_bytes())}
            assert_problem(client.post("/api/predict/batch?top=2", files=files), 503, "busy")
        gate.open.set()
        assert accepted.result().status_code == 200


def test_one_client_cannot_take_every_place(make_client: MakeClient, gate: Gate) -> None:
    client = make_client(workers=1, queue_length=9, client_requests=1)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(upload, client, audio_bytes())
        wait_for(lambda: service_of(client).queue.n_running)
        assert_problem(upload(client, audio_bytes()), 429, "too_many_requests")
        gate.open.set()
        assert first.result().status_code == 200
    assert upload(client, audio_bytes()).status_code == 200


def test_answer_that_takes_too_long(make_client: MakeClient, gate: Gate) -> None:
    client = make_client(workers=1, request_seconds=0.05)
    assert_problem(upload(client, audio_bytes()), 503, "timeout")
    assert gate.stops[0].is_set()
    assert service_of(client).queue.n_running == 1  # the thread counts until it has really ended
    gate.open.set()
    wait_for(lambda: service_of(client).queue.n_running == 0)


async def never() -> None:
    await asyncio.sleep(3600)


def run(queue: WorkQueue, job: Any, **options: Any) -> Any:
    gone = options.pop("gone", None) or never()
    values = {"client": "a", "seconds": PATIENCE_SECONDS, "at_end": lambda: None, **options}
    return queue.run(job, gone=gone, **values)


def test_client_that_leaves_stops_its_work() -> None:
    queue = WorkQueue(1, 1)
    ended = Event()

    async def leave() -> None:
        while not queue.n_running:
            await asyncio.sleep(0.001)

    with pytest.raises(ClientGone):
        asyncio.run(run(queue, lambda stop: stop.wait(PATIENCE_SECONDS), gone=leave(), at_end=ended.set))
    assert ended.wait(PATIENCE_SECONDS)
    wait_for(lambda: queue.n_running == 0)
    queue.close()


def test_every_job_ends_exactly_once_whatever_becomes_of_it() -> None:
    queue = WorkQueue(1, 1)
    ended: list[str] = []

    def fail(_: Event) -> None:
        raise RuntimeError("job")

    async def talk() -> list[Any]:
        held = Event()
        waiting = [
            asyncio.create_task(run(queue, lambda _: held.wait(PATIENCE_SECONDS), at_end=lambda: ended.append("held"))),
            asyncio.create_task(run(queue, fail, at_end=lambda: ended.append("failed"))),
        ]
        await asyncio.sleep(0.01)
        refused = run(queue, fail, at_end=lambda: ended.append("refused"))
        results = await asyncio.gather(refused, return_exceptions=True)
        held.set()
        return [*results, *await asyncio.gather(*waiting, return_exceptions=True)]

    refused, held, failed = asyncio.run(talk())
    assert isinstance(refused, ServiceError)
    assert refused.code == "busy"
    assert held is True
    assert isinstance(failed, RuntimeError)
    queue.close()
    assert sorted(ended) == ["failed", "held", "refused"]


def test_closing_stops_what_is_in_work() -> None:
    queue = WorkQueue(2, 2)
    results: list[bool] = []

    async def talk() -> None:
        task = asyncio.create_task(run(queue, lambda stop: results.append(stop.wait(PATIENCE_SECONDS))))
        while not queue.n_running:
            await asyncio.sleep(0.001)
        await asyncio.to_thread(queue.close)
        await task

    asyncio.run(talk())
    assert results == [True]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("genre_")]


def test_retry_after_grows_with_the_queue() -> None:
    queue = WorkQueue(1, 100)
    quiet = queue.retry_after
    queue._places["a"] = 40
    assert 1 <= quiet < queue.retry_after <= 60
    queue.close()


def retry_after_jobs(monkeypatch: pytest.MonkeyPatch, n_jobs: int, seconds: float, n_workers: int = 1) -> int:
    """Return what a client is told after as many jobs one after the other, each of which takes so long."""
    now = [0.0]

    def job(_: Event) -> None:
        now[0] += seconds

    async def work() -> None:
        for _ in range(n_jobs):
            await run(queue, job)

    queue = WorkQueue(n_workers, 1)
    with monkeypatch.context() as patch:
        patch.setattr(work_queue, "time", SimpleNamespace(monotonic=lambda: now[0]))
        asyncio.run(work())
    queue.close()
    return queue.retry_after


def test_retry_after_follows_from_how_long_jobs_take(monkeypatch: pytest.MonkeyPatch) -> None:
    assert retry_after_jobs(monkeypatch, 50, 0.2) == 1
    assert retry_after_jobs(monkeypatch, 50, 20.0) in (19, 20)
    assert retry_after_jobs(monkeypatch, 1, 20.0) < 5, "one long job is not yet the usual"
    assert retry_after_jobs(monkeypatch, 50, 600.0) == 60
    assert retry_after_jobs(monkeypatch, 50, 20.0, n_workers=4) == 5
