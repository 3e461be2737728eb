"""The clients of `genre_api.client` against a running service, and against answers that go wrong."""

from __future__ import annotations

import asyncio
import io
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from genre_api.client import (
    AsyncClient,
    Client,
    ClientError,
    FailedError,
    InvalidAnswerError,
    InvalidRequestError,
    NotFoundError,
    OverloadedError,
    ProblemError,
    RefusedError,
    ServerFile,
    UnreachableError,
)
from genre_runtime import GenreClassifier, GenreError
from tests.api.figures import add_figures
from tests.api.live import Live, free_port, live, wait_until_known, write_state
from tests.synthetic import noise, tone, write_audio, write_model

KEY = "a-long-key"

Ask = Callable[..., Any]
"""Calls a method of a client by its name, and returns the result; a list for the results of a job."""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    folder = tmp_path_factory.mktemp("client")
    model = write_model(folder)
    add_figures(model)
    (folder / "music").mkdir()
    song = write_audio(folder / "music" / "song.wav", tone(2))
    other = write_audio(folder / "music" / "other.flac", noise(3))
    (folder / "music" / "broken.mp3").write_bytes(b"no music")
    write_state(folder / "state", model, song, other)
    settings: dict[str, Any] = {"audio_roots": folder / "music", "state": folder / "state", "jobs": folder / "jobs"}
    with live(folder, model, api_key=KEY, **settings) as service:
        wait_until_known(service, KEY)
        yield service


@pytest.fixture
def music(service: Live) -> Path:
    return service.log.parent / "music"


def asking(kind: str, url: str, key: str | None = KEY, **options: Any) -> Ask:
    def ask(name: str, *arguments: Any, **values: Any) -> Any:
        if kind == "blocking":
            with Client(url, key, **options) as client:
                found = getattr(client, name)(*arguments, **values)
                return list(found) if name == "results" else found

        async def ask_async() -> Any:
            async with AsyncClient(url, key, **options) as client:
                found = getattr(client, name)(*arguments, **values)
                return [result async for result in found] if name == "results" else await found

        return asyncio.run(ask_async())

    return ask


@pytest.fixture(params=["blocking", "asynchronous"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def ask(kind: str, service: Live) -> Ask:
    return asking(kind, service.address)


def test_every_kind_of_source_has_the_same_result(ask: Ask, music: Path, classifier: GenreClassifier) -> None:
    song = music / "song.wav"
    expected = classifier.classify_file(song).to_dict()
    with song.open("rb") as file:
        file.read(10)
        sources = (song, str(song), song.read_bytes(), io.BytesIO(song.read_bytes()), file, ServerFile("song.wav"))
        for source in sources:
            assert {**ask("predict", source).to_dict(), "path": str(song)} == expected
    assert ask("predict", song).path == song
    whole, one = ask("predict", song, whole=True), ask("predict", song, excerpts=1)
    assert whole.to_dict() == classifier.classify_file(song, excerpts="all").to_dict()
    assert len(one.excerpts) == 1


def test_batch_has_a_result_or_an_error_for_each(ask: Ask, music: Path) -> None:
    results = ask("predict_batch", [music / "song.wav", music / "broken.mp3", (music / "other.flac").read_bytes()])
    assert [result.error.code if result.error else None for result in results] == [None, "unreadable_audio", None]
    assert [str(result.path) for result in results] == [str(music / "song.wav"), str(music / "broken.mp3"), "track"]
    with pytest.raises(ValueError, match="uploads only"):
        ask("predict_batch", [ServerFile("song.wav")])


def test_other_endpoints(ask: Ask, music: Path, classifier: GenreClassifier) -> None:
    embedding = ask("embedding", music / "song.wav", per_excerpt=True)
    assert len(embedding.embedding) == embedding.n_features
    assert embedding.excerpts
    similar = ask("similar", music / "song.wav", top=1)
    assert [track.path for track in similar.tracks] == ["other.flac"]
    assert ask("genres").genres == list(classifier.labels)
    assert ask("metrics").model_exists
    assert ask("health").ready


def test_job_is_submitted_waited_for_read_and_removed(ask: Ask, music: Path) -> None:
    seen: list[Any] = []
    job = ask("wait", ask("submit", ".", excerpts=1).id, seen.append)
    assert (job.state, job.n_total, job.n_failed, job.excerpts) == ("done", 3, 1, 1)
    assert seen[-1] == job
    assert ask("wait", job.id) == ask("job", job.id) == job
    assert job in ask("jobs")
    results = ask("results", job.id)
    assert [str(result.path) for result in results] == ["broken.mp3", "other.flac", "song.wav"]
    assert results[0].error.code == "unreadable_audio"
    assert ask("results", job.id, after=1) == results[1:]
    assert ask("cancel", job.id) is None
    for name in ("job", "wait", "results", "cancel"):
        with pytest.raises(NotFoundError, match="no job has this id"):
            ask(name, job.id)
    with pytest.raises(ValueError, match="not the id of a job"):
        ask("job", "../health")


def test_problems_are_typed(ask: Ask, kind: str, service: Live, music: Path) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        ask("predict", music / "broken.mp3")
    assert (caught.value.status, caught.value.code) == (415, "unreadable_audio")
    assert caught.value.request_id
    assert isinstance(caught.value, GenreError | ValueError)
    with pytest.raises(NotFoundError):
        ask("predict", ServerFile("../secret.wav"))
    with pytest.raises(InvalidRequestError):
        ask("predict", music / "song.wav", excerpts=0)
    with pytest.raises(InvalidRequestError):
        ask("submit", [])
    with pytest.raises(FileNotFoundError):
        ask("predict", music / "none.wav")
    for key in (None, "wrong-key"):
        with pytest.raises(RefusedError):
            asking(kind, service.address, key)("genres")


def answers(*given: httpx2.Response | Exception) -> tuple[httpx2.MockTransport, list[bytes]]:
    """A transport that gives the answers in turn, the last one for ever, and the list of the bodies it got."""
    left, bodies = list(given), list[bytes]()

    def answer(request: httpx2.Request) -> httpx2.Response:
        bodies.append(request.content)
        found = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(found, Exception):
            raise found
        return httpx2.Response(found.status_code, headers=found.headers, content=found.content)  # read anew each time

    def blocking(request: httpx2.Request) -> httpx2.Response:
        request.read()
        return answer(request)

    return httpx2.MockTransport(blocking), bodies


def problem(status: int, code: str, retry_after: str | None = None) -> httpx2.Response:
    headers = {"Retry-After": retry_after} if retry_after else {}
    return httpx2.Response(status, json={"code": code, "detail": "why", "request_id": "1"}, headers=headers)


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses between attempts, which take no time."""
    found: list[float] = []

    async def sleep(seconds: float) -> None:
        found.append(seconds)

    monkeypatch.setattr("genre_api.client.blocking.time.sleep", found.append)
    monkeypatch.setattr("genre_api.client.asynchronous.asyncio.sleep", sleep)
    return found


GENRES = {"genres": ["rock"], "confidence_threshold": 0.5}
JOB_ID = "0" * 32


def test_retry_after_is_honoured(pauses: list[float]) -> None:
    transport, _ = answers(
        problem(503, "busy", "7"),
        problem(429, "too_many_requests", "2"),
        httpx2.ConnectError("refused"),
        httpx2.Response(200, json=GENRES),
    )
    with Client("http://x", transport=transport) as client:
        assert client.genres().genres == ["rock"]
    assert pauses == [7.0, 2.0, 2.0]


def test_file_is_sent_whole_again(pauses: list[float], tmp_path: Path) -> None:
    content = bytes(range(256)) * 4000
    (tmp_path / "song").write_bytes(content)
    transport, bodies = answers(problem(503, "busy", "1"), problem(422, "empty_audio"))
    with Client("http://x", transport=transport) as client, pytest.raises(InvalidRequestError):
        client.predict(tmp_path / "song")
    assert bodies == [content, content]


@pytest.mark.parametrize(
    ("answer", "error", "n_pauses"),
    [
        (problem(503, "busy", "1"), OverloadedError, 3),
        (problem(503, "busy", "61"), OverloadedError, 0),
        (problem(503, "busy", "-1"), OverloadedError, 3),
        (problem(503, "busy", "9" * 5000), OverloadedError, 3),
        (problem(429, "too_many_jobs", "1"), OverloadedError, 0),
        (problem(500, "internal"), FailedError, 0),
        (httpx2.Response(502, text="<html>"), FailedError, 0),
        (httpx2.Response(302, headers={"Location": "http://evil.example"}), FailedError, 0),
        (httpx2.Response(418, json=[]), InvalidRequestError, 0),
        (httpx2.Response(404, json={"code": 1, "detail": None}), NotFoundError, 0),
        (httpx2.Response(200, text="<html>"), InvalidAnswerError, 0),
        (httpx2.Response(200, json={"genres": 1}), InvalidAnswerError, 0),
        (httpx2.Response(200, text="[" * 100_000), InvalidAnswerError, 0),
        (httpx2.ReadError("reset"), UnreachableError, 0),
        (httpx2.ConnectTimeout("late"), UnreachableError, 3),
    ],
    ids=str,
)
def test_wrong_answers_are_errors_of_the_client(
    kind: str, pauses: list[float], answer: httpx2.Response | Exception, error: type[ClientError], n_pauses: int
) -> None:
    arguments: dict[str, tuple[Any, ...]] = {"genres": (), "predict": (b"RIFF",), "results": (JOB_ID,)}
    for name, given in arguments.items():
        pauses.clear()
        with pytest.raises(error) as caught:
            asking(kind, "http://x", transport=answers(answer)[0])(name, *given)
        assert len(pauses) == n_pauses
        assert not isinstance(caught.value, ProblemError) or caught.value.status != 200


@pytest.mark.parametrize("url", ["", "x", "ftp://x", "http://", "file:///etc/passwd"])
def test_address_is_checked(url: str) -> None:
    with pytest.raises(ValueError, match="not the address"):
        Client(url)


def test_key_is_checked() -> None:
    for key in ("ü", "a\r\nX-Evil: 1"):
        with pytest.raises(ValueError, match="printable"):
            AsyncClient("http://x", key)


def test_no_service_at_the_address(kind: str, pauses: list[float]) -> None:
    with pytest.raises(UnreachableError, match="check that the service runs"):
        asking(kind, f"http://127.0.0.1:{free_port()}", retries=1)("genres")
    assert pauses == [0.5]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM that a process can answer")
def test_wait_survives_a_restart(tmp_path: Path, kind: str) -> None:
    model, music = write_model(tmp_path), tmp_path / "music"
    music.mkdir()
    for index in range(29):
        write_audio(music / f"{index}.flac", tone(10))
    write_audio(music / "long.flac", tone(1200))  # the last, so that a fast machine is stopped at work, too
    settings: dict[str, Any] = {"audio_roots": music, "jobs": tmp_path / "jobs"}
    seen: list[int] = []
    with live(tmp_path, model, **settings) as service:
        port = service.port
        job = asking(kind, service.address)("submit", ".", whole=True)
        command = [str(Path(sys.executable).with_name("genre-api"))]

        def stop_once(now: Any) -> None:
            seen.append(now.n_done)
            if service.process.poll() is None and now.n_done:
                assert now.state == "running", "the job has ended before the service was stopped"
                service.process.kill()
                service.process.wait()
                again.append(restarted(command, port, tmp_path, model, settings))

        again: list[subprocess.Popen[bytes]] = []
        try:
            done = asking(kind, service.address)("wait", job.id, stop_once)
            results = asking(kind, service.address)("results", job.id)
        finally:
            for process in again:
                process.kill()
                process.wait()
    assert (done.state, done.n_done, len({result.path for result in results})) == ("done", 30, 30)
    assert len(again) == 1
    assert seen == sorted(seen)


def restarted(
    command: list[str], port: int, folder: Path, model: Path, settings: dict[str, Any]
) -> subprocess.Popen[bytes]:
    given = {"model": model, "device": "cpu", "workers": 1, "drain_seconds": 0, **settings}
    environment = {**os.environ, **{f"GENRE_{name.upper()}": str(value) for name, value in given.items()}}
    with (folder / "again.txt").open("wb") as log:
        return subprocess.Popen([*command, "--port", str(port)], env=environment, stdout=log, stderr=log)


def test_client_does_not_import_the_service() -> None:
    program = (
        "import sys, genre_api.client; names = {name.partition('.')[0] for name in sys.modules}; "
        "print(sorted(names & {'fastapi', 'starlette', 'uvicorn', 'PIL', 'prometheus_client', 'onnxruntime'}))"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_waiting_ends_when_the_service_stays_away(kind: str) -> None:
    began = time.monotonic()
    with pytest.raises(UnreachableError):
        asking(kind, f"http://127.0.0.1:{free_port()}")("wait", "1", patience=0.1)
    assert time.monotonic() - began < 60
