"""Bodies that are too long, too slow, too many, or broken."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from genre_api import Settings, create_app
from genre_runtime import GenreClassifier
from tests.api.conftest import MakeClient
from tests.api.requests import assert_problem, audio_bytes, upload

Message = MutableMapping[str, Any]
HEAD = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
FORM = b"multipart/form-data; boundary=x"


def answer_to(
    classifier: GenreClassifier,
    receive: Callable[[], Awaitable[Message]],
    *,
    content_type: bytes = FORM,
    headers: list[tuple[bytes, bytes]] | None = None,
    settings: dict[str, Any] | None = None,
) -> tuple[list[Message], Any]:
    """Speak ASGI to a service: messages that it sent, and the service."""
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/api/predict",
        "query_string": b"",
        "headers": [(b"content-type", content_type), *(headers or [])],
    }
    app = create_app(lambda: classifier, Settings(**settings or {}))

    async def talk() -> None:
        async with app.router.lifespan_context(app):
            await app(scope, receive, send)

    asyncio.run(talk())
    return sent, app.state.service


def test_too_large_upload_is_a_problem(make_client: MakeClient, scratch: Path) -> None:
    client = make_client(max_body_bytes=70_000)
    assert upload(client, audio_bytes(1)).status_code == 200
    response = upload(client, audio_bytes(2))
    assert_problem(response, 413, "upload_too_large")
    assert "70000 bytes" in response.json()["detail"]
    assert list(scratch.iterdir()) == []


@pytest.mark.parametrize(
    ("content_type", "limit"),
    [
        (FORM, "max_body_bytes"),
        (b"application/json", "max_json_bytes"),
        (b"application/x-npy", "max_npy_bytes"),
        (b"audio/mpeg", "max_body_bytes"),
        (b"application/octet-stream", "max_body_bytes"),
    ],
)
def test_body_is_refused_while_it_arrives(classifier: GenreClassifier, content_type: bytes, limit: str) -> None:
    waiting = iter([HEAD, *[bytes(1000)] * 100])

    async def receive() -> Message:
        return {"type": "http.request", "body": next(waiting), "more_body": True}

    sent, service = answer_to(classifier, receive, content_type=content_type, settings={limit: 50_000})
    assert sent[0]["status"] == 413
    assert len(list(waiting)) == 50
    assert service.bodies.n_bytes == 0


@pytest.mark.parametrize("length", [b"50001", b"9" * 5000])
def test_announced_length_is_refused_unread(classifier: GenreClassifier, length: bytes) -> None:
    async def receive() -> Message:
        raise AssertionError("the body was asked for")

    sent, _ = answer_to(classifier, receive, headers=[(b"content-length", length)], settings={"max_body_bytes": 50_000})
    assert sent[0]["status"] == 413


def test_slow_body_is_refused(classifier: GenreClassifier) -> None:
    first = iter([HEAD])

    async def receive() -> Message:
        for part in first:
            return {"type": "http.request", "body": part, "more_body": True}
        await asyncio.sleep(3600)
        raise AssertionError

    sent, service = answer_to(classifier, receive, settings={"body_seconds": 0.05})
    assert sent[0]["status"] == 408
    assert json.loads(sent[1]["body"])["code"] == "body_timeout"
    assert service.bodies.n_bytes == 0


def test_body_that_trickles_is_refused(classifier: GenreClassifier) -> None:
    """The time is that of the whole body, not of each piece."""
    n_pieces = 0

    async def receive() -> Message:
        nonlocal n_pieces
        n_pieces += 1
        await asyncio.sleep(0.1)
        return {"type": "http.request", "body": HEAD if n_pieces == 1 else bytes(2**19), "more_body": n_pieces < 50}

    sent, service = answer_to(classifier, receive, settings={"body_seconds": 0.35})
    assert sent[0]["status"] == 408
    assert n_pieces < 50
    assert service.bodies.n_bytes == 0


@pytest.mark.parametrize(("limit", "is_refused"), [(1000, False), (999, True)])
@pytest.mark.parametrize("announced", [False, True])
def test_a_body_may_be_as_long_as_the_bound(
    classifier: GenreClassifier, limit: int, is_refused: bool, announced: bool
) -> None:
    pieces = iter([b"x" * 1000])

    async def receive() -> Message:
        for piece in pieces:
            return {"type": "http.request", "body": piece, "more_body": False}
        await asyncio.sleep(3600)  # the client waits for its answer
        raise AssertionError

    headers = [(b"content-length", b"1000")] if announced else []
    kind = b"application/x-npy"
    sent, _ = answer_to(classifier, receive, content_type=kind, headers=headers, settings={"max_npy_bytes": limit})
    assert (sent[0]["status"] == 413) == is_refused


def test_client_that_leaves_gets_no_answer_and_leaves_nothing(classifier: GenreClassifier) -> None:
    messages: Iterator[Message] = iter(
        [{"type": "http.request", "body": HEAD, "more_body": True}, {"type": "http.disconnect"}]
    )

    async def receive() -> Message:
        return next(messages)

    sent, service = answer_to(classifier, receive)
    assert sent == []
    assert (service.bodies.n_bytes, service.queue.n_waiting, service.queue.n_running) == (0, 0, 0)


def test_all_bodies_together_are_bounded(make_client: MakeClient) -> None:
    client = make_client(max_total_bytes=70_000)
    assert_problem(upload(client, audio_bytes(2)), 503, "busy")
    assert upload(client, audio_bytes(1)).status_code == 200


def form(*parts: str, boundary: str = "x") -> bytes:
    return "".join(f"--{boundary}\r\n{part}\r\n" for part in parts).encode() + f"--{boundary}--\r\n".encode()


@pytest.mark.parametrize(
    ("content_type", "content", "status", "code"),
    [
        ("multipart/form-data", b"--x", 400, "invalid_body"),
        ("multipart/form-data; boundary=", b"--x", 400, "invalid_body"),
        ("multipart/form-data; boundary=x", b"", 422, "invalid_request"),
        ("multipart/form-data; boundary=x", b"nothing of the kind", 400, "invalid_body"),
        (
            "multipart/form-data; boundary=x",
            form('Content-Disposition: form-data; filename="a"\r\n\r\nb'),
            400,
            "invalid_body",
        ),
        ("multipart/form-data; boundary=x; charset=unicode_escape", form("\r\n"), 415, "unsupported_media_type"),
        (
            "multipart/form-data; boundary=x",
            form(*['Content-Disposition: form-data; name="file"; filename="a"\r\n\r\nb'] * 100),
            413,
            "too_many_parts",
        ),
        (
            "multipart/form-data; boundary=x",
            form(*['Content-Disposition: form-data; name="a"\r\n\r\nb'] * 100),
            413,
            "too_many_parts",
        ),
        (
            "multipart/form-data; boundary=x",
            form('Content-Disposition: form-data; name="a"\r\n\r\n' + "b" * 10_000),
            400,
            "invalid_body",
        ),
    ],
)
def test_broken_form_is_a_problem(
    client: TestClient, scratch: Path, content_type: str, content: bytes, status: int, code: str
) -> None:
    response = client.post("/api/predict", content=content, headers={"Content-Type": content_type})
    assert_problem(response, status, code)
    assert list(scratch.iterdir()) == []


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate", "gzip, identity"])
def test_compressed_body_is_refused(client: TestClient, encoding: str) -> None:
    response = client.post(
        "/api/predict",
        content=b"x",
        headers={"Content-Type": "multipart/form-data; boundary=x", "Content-Encoding": encoding},
    )
    assert_problem(response, 415, "unsupported_media_type")
