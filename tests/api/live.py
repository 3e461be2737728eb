"""A service in a process of its own, spoken to over sockets."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from genre_runtime import GenreClassifier
from genre_runtime.library.analysis import Library, plan_of
from genre_runtime.library.cache import LibraryState
from tests.patience import PATIENCE_SECONDS

COMMAND = Path(sys.executable).with_name("genre-api")


@dataclass
class Live:
    """A running service: its address, its process and the file that its log goes to."""

    port: int
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def address(self) -> str:
        """The address without a path."""
        return f"http://127.0.0.1:{self.port}"

    def connect(self, content: bytes = b"") -> socket.socket:
        """Open a connection and send some bytes."""
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_SECONDS)
        connection.sendall(content)
        return connection

    def get(self, path: str, **options: Any) -> httpx2.Response:
        """Send a request and return the answer."""
        return httpx2.get(f"{self.address}{path}", timeout=PATIENCE_SECONDS, **options)

    def terminate(self) -> None:
        """Ask the process to end, as supervisors do."""
        os.kill(self.process.pid, signal.SIGTERM)


@contextmanager
def live(
    folder: Path,
    model: Path,
    variables: Mapping[str, str] | None = None,
    command: Sequence[str | Path] = (COMMAND,),
    **settings: object,
) -> Iterator[Live]:
    """Start `genre-api` on a free port and wait until it answers; `body_seconds=2` is a setting.

    `variables` are further ones of its environment.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GENRE_")}
    environment |= variables or {}
    given = {"model": model, "device": "cpu", "workers": 1, "drain_seconds": 0, **settings}
    environment |= {f"GENRE_{name.upper()}": str(value) for name, value in given.items()}
    port, log = free_port(), folder / "log.txt"
    with log.open("ab") as stream:
        process = subprocess.Popen(
            [*command, "--port", str(port)], env=environment, stdout=stream, stderr=subprocess.STDOUT
        )
    service = Live(port, process, log)
    try:
        _wait_until_alive(service)
        yield service
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def write_state(state: Path, model: Path, *paths: Path) -> None:
    """Write a state file, as `genre classify` does."""
    classifier = GenreClassifier.load(model, device="cpu")
    with closing(LibraryState(state, plan_of(classifier, None))) as opened:
        list(Library(classifier, state=opened).classify(paths, jobs=1))


def wait_until_known(service: Live, key: str = "") -> None:
    """Wait until the service has read its state file."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    headers = {"X-API-Key": key}
    while service.get("/api/health", headers=headers).json()["known_tracks"] is None:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def read_all(connection: socket.socket) -> bytes:
    """Read until the other side closes; a reset is an end too."""
    content = b""
    try:
        while chunk := connection.recv(65536):
            content += chunk
    except ConnectionResetError:
        pass
    return content


def _wait_until_alive(service: Live) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while service.process.poll() is None and time.monotonic() < deadline:
        try:
            service.get("/livez").raise_for_status()
            return
        except httpx2.TransportError:
            time.sleep(0.05)
    raise AssertionError(f"the service did not start: {service.log.read_text()}")
