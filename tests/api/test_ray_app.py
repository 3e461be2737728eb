"""The service on Ray: its front sends the requests of a lost replica to another one. Only one test needs Ray Serve."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr, ValidationError

from genre_api import Settings, create_app, ray_app
from genre_api.ray_app import MAX_DEATHS, Answer, Replica, Size, make_front
from genre_runtime import DecoderPool, GenreClassifier
from genre_runtime.errors import ModelNotFoundError
from genre_runtime.library.bulk import ray_engine
from tests.api.live import free_port
from tests.api.requests import assert_problem, audio_bytes, upload
from tests.patience import PATIENCE_SECONDS
from tests.synthetic import write_model

N_UPLOADS = 16
TYPE = {"Content-Type": "audio/wav"}


class LostError(Exception):
    """Stands for the errors of Ray."""


class Cluster:
    """One replica in this process; the next requests in `losses` find it dead."""

    def __init__(self, replica: Replica) -> None:
        self.replica, self.losses = replica, 0
        self.scopes: list[dict[str, Any]] = []
        self.n_bytes = 0

    async def send(self, scope: dict[str, Any], body: bytes) -> Answer:
        self.scopes.append(scope)
        self.n_bytes += len(body)
        if self.losses:
            self.losses -= 1
            raise LostError
        return await self.replica.answer(scope, body)


@pytest.fixture
def settings() -> Settings:
    return Settings(workers=1, max_body_bytes=10**6)


@pytest.fixture
def cluster(
    settings: Settings, classifier: GenreClassifier, decoders: DecoderPool, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Cluster]:
    app = create_app(lambda: classifier, settings, decoders)
    monkeypatch.setattr(ray_app, "create_app", lambda settings: app)
    replica = Replica(settings)
    with asyncio.Runner() as runner:
        runner.run(replica.check_health())
        yield Cluster(replica)
        runner.run(replica._lifespan.__aexit__(None, None, None))


@pytest.fixture
def front(settings: Settings, cluster: Cluster) -> TestClient:
    return TestClient(make_front(settings, cluster.send, (LostError,)), raise_server_exceptions=False)


def test_the_front_answers_like_the_service(front: TestClient, client: TestClient) -> None:
    content = audio_bytes()
    for answers in [
        [upload(one, content) for one in (front, client)],
        [upload(one, b"words") for one in (front, client)],
        [one.get("/", headers={"Accept": "text/html"}) for one in (front, client)],
        [one.head("/api/genres") for one in (front, client)],
        [one.get("/nowhere") for one in (front, client)],
        [one.delete("/api/predict") for one in (front, client)],
    ]:
        ours, theirs = answers
        assert ours.status_code == theirs.status_code
        varying = {"x-request-id", "content-length", "date"}
        assert {k: v for k, v in ours.headers.items() if k not in varying} == {
            k: v for k, v in theirs.headers.items() if k not in varying
        }
        if ours.status_code == 200 and ours.request.method == "POST":
            assert ours.json()["probabilities"] == theirs.json()["probabilities"]


def test_a_request_of_a_lost_replica_goes_to_another(front: TestClient, cluster: Cluster) -> None:
    cluster.losses = MAX_DEATHS - 1
    answer = upload(front, audio_bytes())
    assert answer.status_code == 200
    assert len(cluster.scopes) == MAX_DEATHS
    sent = [dict(scope["headers"])[b"x-request-id"].decode() for scope in cluster.scopes]
    assert sent == [answer.headers["X-Request-ID"]] * MAX_DEATHS


def test_a_request_that_loses_all_replicas_is_given_up(front: TestClient, cluster: Cluster) -> None:
    cluster.losses = MAX_DEATHS
    answer = upload(front, audio_bytes())
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert len(cluster.scopes) == MAX_DEATHS
    assert upload(front, audio_bytes()).status_code == 200


def test_a_replica_that_never_answers_is_a_timeout() -> None:
    async def send(scope: dict[str, Any], body: bytes) -> Answer:
        await asyncio.Event().wait()
        raise AssertionError

    with TestClient(make_front(Settings(request_seconds=0.05), send, (LostError,))) as front:
        assert_problem(upload(front, b"words"), 503, "timeout")


def test_the_front_refuses_before_it_sends(cluster: Cluster) -> None:
    settings = Settings(api_key=SecretStr("a key of the test"), max_body_bytes=1000, allowed_hosts=("here",))
    front = TestClient(make_front(settings, cluster.send, (LostError,)), base_url="http://here")
    key = {"X-API-Key": "a key of the test"}
    assert_problem(upload(front, audio_bytes()), 401, "unauthorized")
    assert_problem(front.post("/api/predict", content=bytes(1001), headers=key), 413, "upload_too_large")
    assert_problem(front.get("/livez", headers={"Host": "elsewhere"}), 400, "invalid_host")
    assert cluster.scopes == []
    assert front.get("/livez").json() == {"status": "alive"}
    assert front.request("PUT", "/livez", content=bytes(500)).status_code == 405
    assert cluster.n_bytes == 0, "a body that needed no key"


def test_a_replica_without_a_model_says_why(monkeypatch: pytest.MonkeyPatch, decoders: DecoderPool) -> None:
    def load() -> GenreClassifier:
        raise ModelNotFoundError("x.onnx", "`invoke export` writes it")

    app = create_app(load, Settings(workers=1), decoders)
    monkeypatch.setattr(ray_app, "create_app", lambda settings: app)
    replica = Replica(Settings())
    with asyncio.Runner() as runner:
        with pytest.raises(RuntimeError, match=r"not ready: .*x\.onnx"):
            runner.run(replica.check_health())
        runner.run(replica._lifespan.__aexit__(None, None, None))


@pytest.mark.parametrize("arguments", [{"replicas": "0"}, {"replica": "2"}, {"cpus": "half"}])
def test_wrong_arguments_of_serve_run_are_refused(arguments: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match=next(iter(arguments))):
        Size.model_validate(arguments)


@pytest.fixture
def ray() -> Iterator[Any]:
    pytest.importorskip("ray.serve", reason="ray[serve] of genre-api[ray] is not installed")
    ray = ray_engine._import_ray()
    ray.init(
        "local",
        num_cpus=2,
        num_gpus=0,
        include_dashboard=False,
        log_to_driver=False,
        logging_level="CRITICAL",
        object_store_memory=100 * 2**20,
    )
    yield ray
    ray.serve.shutdown()
    ray.shutdown()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGSTOP")
def test_no_accepted_request_is_lost_with_a_replica(ray: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ray import serve

    model = write_model(tmp_path)
    monkeypatch.setenv("GENRE_MODEL", str(model))
    monkeypatch.setenv("GENRE_DEVICE", "cpu")
    address = f"http://127.0.0.1:{free_port()}"
    serve.start(http_options={"host": "127.0.0.1", "port": int(address.rpartition(":")[2])})
    serve.run(ray_app.app({"replicas": "2", "cpus": "1"}))
    content = audio_bytes(90)
    expected = GenreClassifier.load(model, device="cpu").classify_file(content, excerpts="all").label
    killed = process_of_a_replica(ray)

    def send(_: int) -> tuple[int, str]:
        answer = httpx2.post(
            f"{address}/api/predict?whole=true", content=content, headers=TYPE, timeout=PATIENCE_SECONDS
        )
        return answer.status_code, answer.json()["label"]

    with ThreadPoolExecutor(N_UPLOADS) as pool:
        uploads = [pool.submit(send, i) for i in range(N_UPLOADS)]
        wait(uploads, PATIENCE_SECONDS, "FIRST_COMPLETED")
        os.kill(killed, signal.SIGSTOP)  # what it has accepted stays there until it is killed
        n_left, n_before = N_UPLOADS, N_UPLOADS + 1
        while n_left < n_before:
            time.sleep(3)
            n_left, n_before = sum(not one.done() for one in uploads), n_left
        os.kill(killed, signal.SIGKILL)
        answers = [one.result() for one in uploads]
    assert n_left > 0, "the replica had no request when it was killed"
    assert answers == [(200, expected)] * N_UPLOADS


def process_of_a_replica(ray: Any) -> int:
    """The process of a replica of this Ray, not of another one on the machine."""
    names = [one for one in ray.util.list_named_actors(all_namespaces=True) if "#genre#" in one["name"]]
    assert len(names) == 2
    actor = ray.get_actor(names[0]["name"], names[0]["namespace"])
    number: int = ray.get(actor.__ray_call__.remote(lambda _: os.getpid()))
    return number
