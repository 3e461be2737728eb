"""A running service: slow and silent clients, load, and the end."""

from __future__ import annotations

import json
import socket
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.api.live import Live, live, read_all
from tests.api.requests import audio_bytes
from tests.patience import PATIENCE_SECONDS

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM that a process can answer")

HEAD = b"POST /api/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=x\r\n"


def predict(service: Live, content: bytes) -> Any:
    files = {"file": ("song.flac", content)}
    return httpx2.post(f"{service.address}/api/predict?whole=true", files=files, timeout=PATIENCE_SECONDS)


def test_slow_bodies_hold_no_worker(tmp_path: Path, model_path: Path) -> None:
    with live(tmp_path, model_path, workers=1, queue_length=0, body_seconds=6) as service:
        slow = [service.connect(HEAD + b"Content-Length: 1000\r\n\r\n--x\r\n") for _ in range(20)]
        begun = f"genre_body_bytes {20 * len(b'--x' + bytes(2))}.0"
        for _ in range(80):  # else the next one may overtake them
            if begun in service.get("/metrics").text:
                break
            time.sleep(0.05)
        assert predict(service, audio_bytes()).status_code == 200
        for connection in slow:
            answer = read_all(connection)
            assert answer.startswith(b"HTTP/1.1 408 ")
            assert b"body_timeout" in answer
            connection.close()


def test_connections_that_say_nothing_are_closed(tmp_path: Path, model_path: Path) -> None:
    with live(tmp_path, model_path, header_seconds=0.5) as service:
        for content in (b"", b"GET /livez HTTP/1.1\r\nHost: loc", b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\nGET"):
            with service.connect(content) as connection:
                assert read_all(connection).endswith(b'{"status":"alive"}' if b"\r\n\r\n" in content else b"")


def ask_on_and_on(connection: socket.socket) -> None:
    while True:
        connection.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n")


def test_clients_that_do_not_take_their_answers_are_cut_off(tmp_path: Path, model_path: Path) -> None:
    with live(tmp_path, model_path, header_seconds=0.5) as service, socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(PATIENCE_SECONDS)
        connection.connect(("127.0.0.1", service.port))
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            ask_on_and_on(connection)


def test_body_beyond_the_bound_is_refused_before_it_is_sent(tmp_path: Path, model_path: Path) -> None:
    with live(tmp_path, model_path, max_body_bytes=1000) as service:
        expecting = HEAD + b"Expect: 100-continue\r\nContent-Length: 1001\r\n\r\n"
        with service.connect(expecting) as connection:
            assert connection.recv(65536).startswith(b"HTTP/1.1 413 ")
        chunked = HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"400\r\n" + bytes(1024) + b"\r\n"
        with service.connect(chunked) as connection:
            assert connection.recv(65536).startswith(b"HTTP/1.1 413 ")


def request(content: bytes, *lines: str, version: str = "1.1") -> bytes:
    head = [f"POST /api/predict?whole=true HTTP/{version}", "Host: localhost", "Content-Type: audio/wav", *lines]
    return "\r\n".join([*head, f"Content-Length: {len(content)}", "", ""]).encode() + content


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_client_that_closes_its_half_gets_its_answer(tmp_path: Path, model_path: Path, version: str) -> None:
    get = f"GET /livez HTTP/{version}\r\nHost: localhost\r\n\r\n".encode()
    post = request(audio_bytes(60), version=version)
    with live(tmp_path, model_path) as service:
        for content in (get, post, *([get + get, post + get] if version == "1.1" else [])):
            with service.connect(content) as connection:
                connection.shutdown(socket.SHUT_WR)
                answer = read_all(connection)
                assert answer.count(b"HTTP/1.1 200 OK") == content.count(b" HTTP/"), answer
        with service.connect(post[:-1]) as connection:
            connection.shutdown(socket.SHUT_WR)
            assert b"200 OK" not in read_all(connection)


def test_client_that_leaves_is_noticed_while_the_service_works(tmp_path: Path, model_path: Path) -> None:
    with live(tmp_path, model_path) as service:
        deadline = time.monotonic() + PATIENCE_SECONDS
        with service.connect(request(audio_bytes(600, "FLAC"))):
            while "genre_predictions_running 1.0" not in service.get("/metrics").text:
                assert time.monotonic() < deadline
        while '"status": 499' not in service.log.read_text():
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_uvicorn_serves_no_other_host_either(tmp_path: Path, model_path: Path) -> None:
    command = (sys.executable, "-m", "uvicorn", "--factory", "genre_api:create_app")
    with live(tmp_path, model_path, command=command) as service:
        assert service.get("/livez").status_code == 200
        response = service.get("/livez", headers={"Host": "evil.example"})
        assert (response.status_code, response.json()["code"]) == (400, "invalid_host")


def test_other_hosts_are_refused_on_a_loopback_address(tmp_path: Path, model_path: Path) -> None:
    with live(tmp_path, model_path) as service:
        assert service.get("/livez").status_code == 200
        response = service.get("/livez", headers={"Host": "evil.example"})
        assert (response.status_code, response.json()["code"]) == (400, "invalid_host")


def test_decoders_write_nothing_into_the_log(tmp_path: Path, model_path: Path) -> None:
    whole = audio_bytes(20, "MP3")
    with live(tmp_path, model_path) as service:
        for content in (whole[: len(whole) // 2], b"ID3\x04\x00\xe8\x00\x00\x00\x0a" + bytes(10) + whole):
            predict(service, content)
    for line in service.log.read_text().splitlines():
        assert json.loads(line)["level"]


def test_broken_model_is_no_reason_not_to_start(tmp_path: Path, model_path: Path) -> None:
    model_path.write_bytes(b"broken")
    with live(tmp_path, model_path) as service:
        ready = service.get("/readyz")
        assert ready.status_code == 503
        assert "invalid_model" in ready.json()["detail"]
        assert predict(service, audio_bytes()).json()["code"] == "unavailable"
        service.terminate()
        service.process.wait(PATIENCE_SECONDS)
    assert "sha256" in service.log.read_text()


def test_sigterm_under_load_turns_readiness_and_finishes_what_runs(tmp_path: Path, model_path: Path) -> None:
    content = audio_bytes(600, "FLAC")
    with live(tmp_path, model_path, drain_seconds=1, queue_length=20) as service, ThreadPoolExecutor(6) as pool:
        answers = [pool.submit(predict, service, content) for _ in range(6)]
        wait_until_running(service)
        service.terminate()
        ready = service.get("/readyz")
        assert (ready.status_code, ready.json()["detail"]) == (503, "not ready: draining")
        assert ready.headers["Connection"] == "close"
        assert service.get("/livez").status_code == 200
        assert [answer.result().status_code for answer in answers] == [200] * 6
        # The server shuts down in order and then lets the signal take effect, as supervisors expect.
        assert service.process.wait(PATIENCE_SECONDS) in (0, -15)
    lines = [json.loads(line) for line in service.log.read_text().splitlines()]
    assert "Application shutdown complete." in [line["message"] for line in lines]
    assert sum(line.get("route") == "/api/predict" and line["status"] == 200 for line in lines) == 6
    assert "song.flac" not in service.log.read_text()


def test_clients_that_never_stop_lose_no_accepted_request(tmp_path: Path, model_path: Path) -> None:
    content, n_clients = audio_bytes(20, "FLAC"), 8

    def send_on() -> list[int]:
        """Send over a kept connection until the door is closed; statuses of what was answered."""
        statuses: list[int] = []
        with httpx2.Client(base_url=service.address, timeout=PATIENCE_SECONDS) as client:
            try:
                while True:
                    response = client.post("/api/predict", files={"file": ("song", content)})
                    statuses.append(response.status_code)
            except httpx2.TransportError:  # nobody accepts connections any more
                return statuses

    with live(tmp_path, model_path, drain_seconds=1, queue_length=20) as service, ThreadPoolExecutor(n_clients) as pool:
        clients = [pool.submit(send_on) for _ in range(n_clients)]
        wait_until_running(service)
        service.terminate()
        assert service.process.wait(PATIENCE_SECONDS) in (0, -15)
        statuses = [status for client in clients for status in client.result()]
    entries = [json.loads(line) for line in service.log.read_text().splitlines()]
    logged = [entry["status"] for entry in entries if entry.get("route") == "/api/predict"]
    assert set(statuses) == {200}
    assert logged == statuses, "what the service accepted and what its clients got"


def test_requests_in_work_when_patience_ends_do_not_hold_the_process(tmp_path: Path, model_path: Path) -> None:
    content = audio_bytes(600, "FLAC")
    with live(tmp_path, model_path, shutdown_seconds=1, queue_length=20) as service, ThreadPoolExecutor(9) as pool:
        answers = [pool.submit(predict, service, content) for _ in range(9)]
        wait_until_running(service)
        service.terminate()
        assert service.process.wait(PATIENCE_SECONDS) in (0, -15)
        assert all(answer.exception() or answer.result().status_code in (200, 500, 503) for answer in answers)


def wait_until_running(service: Live) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while "genre_queue_waiting 0.0" in service.get("/metrics").text:
        assert time.monotonic() < deadline
        time.sleep(0.01)
