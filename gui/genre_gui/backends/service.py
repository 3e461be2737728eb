"""The service that belongs to the window: `genre-api` as a child process, started for the window and ended with it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping
from contextlib import closing, suppress
from pathlib import Path

from genre_gui import THREAD_PREFIX
from genre_gui.backends.base import Backend, ModelRequest, opened_head
from genre_gui.backends.client import Client
from genre_gui.backends.errors import AwayError, NotReadyError, ServiceError, load_failure
from genre_gui.backends.launcher import GRACE_SECONDS
from genre_gui.backends.remote import RemoteBackend, api_key, check_ready
from genre_gui.language import tr
from genre_gui.text import one_line
from genre_runtime import DecodeLimits, GenreError, find_model, read_metadata

MAX_LOG_LINES = 50
MAX_LINE_LENGTH = 300
PORT_IN_USE = ("address already in use", "errno 98", "errno 48", "10048")
"""In lower case, what the system's error messages for a port in use contain."""

PREFERRED_PORT = 8000
READY_SECONDS = 120.0
MAX_PORTS = 3
_POLL_SECONDS = 0.1

# The service has one user, on this machine: limits that protect a public service would only get in the way.
_DEFAULTS = {
    "MAX_BODY_BYTES": str(8 * 2**30),
    "MAX_TOTAL_BYTES": str(16 * 2**30),
    "MAX_DECODE_SECONDS": f"{DecodeLimits().max_seconds:g}",
    "MAX_DECODE_BYTES": str(DecodeLimits().max_bytes),
    "BODY_SECONDS": "3600",
    "REQUEST_SECONDS": "3600",
    "DRAIN_SECONDS": "0",
    "SHUTDOWN_SECONDS": "1",
}
_FIXED = {
    "LOG_FORMAT": "text",
    "LOG_LEVEL": "warning",
    "ALLOWED_HOSTS": "",
    "HOST": "127.0.0.1",
    "CLIENT_REQUESTS": "0",
}


class ServiceProcess:
    """A running service.

    Parameters
    ----------
    port : int
    model : Path
    device : str
    head : Path, optional
        The user's own genres.
    """

    def __init__(self, port: int, model: Path, device: str, head: Path | None = None) -> None:
        self._log: deque[str] = deque(maxlen=MAX_LOG_LINES)
        self._ending = False
        own_group: dict[str, object] = {"start_new_session": True}  # Ctrl-C is meant for the window
        if sys.platform == "win32":
            own_group = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}
        launcher = [sys.executable, "-m", "genre_gui.backends.launcher"]
        self._process: subprocess.Popen[bytes] = subprocess.Popen(  # type: ignore[call-overload]
            [*launcher, "--host", "127.0.0.1", "--port", str(port)],
            env=environment(os.environ, model, device, head),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            **own_group,
        )
        self._reader = threading.Thread(target=self._read_log, name=f"{THREAD_PREFIX}-log", daemon=True)
        self._reader.start()

    @property
    def port_was_taken(self) -> bool:
        """Whether it has ended because another program listens on its port."""
        return self._process.poll() is not None and any(
            text in line.lower() for line in tuple(self._log) for text in PORT_IN_USE
        )

    def ended(self) -> str | None:
        """Return a sentence if the process has ended without `end`, otherwise None."""
        status = self._process.poll()
        if status is None or self._ending:
            return None
        self._reader.join(1.0)
        last = one_line(self._log[-1])[:MAX_LINE_LENGTH] if self._log else ""
        status = status if status >= 0 else 128 - status  # as a shell counts signals
        if last:
            return tr("The service has ended (status {status}: {error})", status=status, error=last)
        return tr("The service has ended (status {status})", status=status)

    def end(self) -> None:
        """End the process and wait until it is gone."""
        self._ending = True
        if self._process.stdin is not None:
            with suppress(OSError):
                self._process.stdin.close()  # see `launcher`
        try:
            self._process.wait(2 * GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join(1.0)

    def _read_log(self) -> None:
        if (stream := self._process.stdout) is not None:
            with stream:
                for line in stream:
                    self._log.append(line.decode("utf-8", "replace").rstrip())


def environment(given: Mapping[str, str], model: Path, device: str, head: Path | None = None) -> dict[str, str]:
    """Return the environment of the service: what the user has set, otherwise limits that suit the user's own files.

    Parameters
    ----------
    given : mapping of str to str
        The environment of this process.
    model : Path
    device : str
    head : Path, optional
        The user's own genres.
    """
    chosen = {"MODEL": str(model), "DEVICE": device, **({} if head is None else {"HEAD": str(head)})}
    defaults = {f"GENRE_{name}": value for name, value in _DEFAULTS.items()}
    fixed = {f"GENRE_{name}": value for name, value in {**_FIXED, **chosen}.items()}
    given = {name: value for name, value in given.items() if name != "GENRE_HEAD"}  # the window chooses the genres
    return {**defaults, **given, **fixed, "PYTHONUNBUFFERED": "1"}


class OwnService:
    """Starts a service for each requested model; the previous one is ended when the new one is ready.

    Parameters
    ----------
    port : int, optional
        The only port to listen on; by default 8000, or a free one if that is in use.
    """

    def __init__(self, port: int | None = None) -> None:
        self._port = port
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._started: list[ServiceProcess] = []
        self._turn = 0

    def load(self, request: ModelRequest) -> Backend:
        """Start a service with a model and wait until it is ready; can be called from several threads.

        Parameters
        ----------
        request : ModelRequest

        Raises
        ------
        GenreError
            As for loading the model in this process, or `ServiceError` for a fault of the service.
        """
        with self._lock:
            self._turn += 1
            turn = self._turn
        model = find_model(request.model)
        read_metadata(model)
        opened_head(request)
        for _ in range(MAX_PORTS):
            port = self._choose_port()
            process, note = self._start(port, model, request)
            try:
                client = Client(f"http://127.0.0.1:{port}", api_key())
                self._wait(process, client, request.device)
                backend = RemoteBackend(client, process.ended, note)
                others = self._keep(process, turn)
            except GenreError:
                self._end(process)
                if process.port_was_taken and self._port is None:
                    continue  # by another program, after the port was chosen
                raise
            for other in others:
                other.end()
            return backend
        raise ServiceError(f"{MAX_PORTS} ports were taken by other programs before the service started: try again")

    def close(self) -> None:
        """End all services and wait until they are gone."""
        self._closed.set()
        with self._lock:
            left, self._started = self._started, []
        for process in left:
            process.end()

    def _start(self, port: int, model: Path, request: ModelRequest) -> tuple[ServiceProcess, str]:
        with self._lock:
            if self._closed.is_set():
                raise ServiceError(tr("the window is closing"))
            elsewhere = self._port is None and port != PREFERRED_PORT and not self._started
            process = ServiceProcess(port, model, request.device, request.head)
            self._started.append(process)
        return process, " " + tr("(port {port} is in use)", port=str(PREFERRED_PORT)) if elsewhere else ""

    def _keep(self, process: ServiceProcess, turn: int) -> list[ServiceProcess]:
        """Make a ready service the only one; return the others, which are to be ended."""
        with self._lock:
            if turn != self._turn or self._closed.is_set():
                raise ServiceError(tr("another model was requested in the meantime"))
            others = [other for other in self._started if other is not process]
            self._started = [process]
        return others

    def _choose_port(self) -> int:
        for port in (self._port or PREFERRED_PORT, 0):
            with closing(socket.socket()) as probe:
                if sys.platform != "win32":  # there two programs could listen on the same port
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind(("127.0.0.1", port))
                    return int(probe.getsockname()[1])
                except OSError as error:
                    if self._port is not None:
                        reason = (error.strerror or str(error)).lower()
                        raise ServiceError(
                            tr(
                                "port {port} cannot be used ({error}): end the program that uses it, or omit --port",
                                port=str(port),
                                error=reason,
                            )
                        ) from error
        raise ServiceError(tr("this machine has no free port: end a program that uses many"))

    def _wait(self, process: ServiceProcess, client: Client, device: str) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline:
            if self._closed.is_set():
                raise ServiceError(tr("the window is closing"))
            if (why := process.ended()) is not None:
                sentence = f"{why[:1].lower()}{why[1:]}"
                raise ServiceError(tr("{sentence} before it was ready", sentence=sentence))
            try:
                check_ready(client)
                return
            except NotReadyError as error:
                raise load_failure(error, device) from error
            except AwayError:
                self._closed.wait(_POLL_SECONDS)
        raise ServiceError(tr("the service was not ready within {seconds} s: try again", seconds=int(READY_SECONDS)))

    def _end(self, process: ServiceProcess) -> None:
        with self._lock:
            if process in self._started:
                self._started.remove(process)
        process.end()
