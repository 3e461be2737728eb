"""One `genre-api` as a child of this program, behind a guard that ends it when this program is gone.

The service that belongs to the window: started for it, and ended with it.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path

from genre_gui import THREAD_PREFIX
from genre_gui.backends.base import Backend, Wish
from genre_gui.backends.client import Client
from genre_gui.backends.errors import AwayError, NotReadyError, ServiceError, refused_model
from genre_gui.backends.guard import GRACE_SECONDS
from genre_gui.backends.remote import RemoteBackend, check_ready, service_key
from genre_gui.text import one_line
from genre_runtime import GenreError
from genre_runtime.audio.source import DecodeLimits
from genre_runtime.model.metadata import default_model_path, read_metadata

COMMAND = "genre-api"
N_LINES = 50
LONGEST_LINE = 300
TAKEN = ("address already in use", "errno 98", "errno 48", "10048")
"""What a log says, in lower case, when somebody else listens on the port."""

# The service belongs to one person at one machine: bounds that keep strangers in check would only be in the way.
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
    """A service that was started.

    Parameters
    ----------
    port : int
    model : Path
    device : str
    """

    def __init__(self, port: int, model: Path, device: str) -> None:
        self._lines: deque[str] = deque(maxlen=N_LINES)
        self._ending = False
        command = [*_command(), "--host", "127.0.0.1", "--port", str(port)]
        own_group: dict[str, object] = {"start_new_session": True}  # Ctrl-C is meant for the window
        if sys.platform == "win32":
            own_group = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}
        self._guard: subprocess.Popen[bytes] = subprocess.Popen(  # type: ignore[call-overload]
            [sys.executable, "-m", "genre_gui.backends.guard", *command],
            env=environment(os.environ, model, device),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            **own_group,
        )
        self._reader = threading.Thread(target=self._read, name=f"{THREAD_PREFIX}-log", daemon=True)
        self._reader.start()

    @property
    def log(self) -> Sequence[str]:
        """The last lines it wrote."""
        return tuple(self._lines)

    @property
    def port_was_taken(self) -> bool:
        """Whether it ended because somebody else listens on its port."""
        return self._guard.poll() is not None and any(word in line.lower() for line in self._lines for word in TAKEN)

    def ended(self) -> str | None:
        """Return in words that it has ended, unless that was wanted."""
        status = self._guard.poll()
        if status is None or self._ending:
            return None
        self._reader.join(1.0)
        last = one_line(self._lines[-1])[:LONGEST_LINE] if self._lines else ""
        return f"The service has ended (status {status}{': ' + last if last else ''})"

    def end(self) -> None:
        """End it, and wait until it is gone."""
        self._ending = True
        stdin = self._guard.stdin
        if stdin is not None:
            with suppress(OSError):
                stdin.close()
        try:
            self._guard.wait(2 * GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            self._guard.kill()
            self._guard.wait()
        self._reader.join(1.0)

    def _read(self) -> None:
        stream = self._guard.stdout
        if stream is not None:
            with stream:
                for line in stream:
                    self._lines.append(line.decode("utf-8", "replace").rstrip())


def environment(given: Mapping[str, str], model: Path, device: str) -> dict[str, str]:
    """Return the service's environment: what the person has set, else bounds that suit one person's own files."""
    defaults = {f"GENRE_{name}": value for name, value in _DEFAULTS.items()}
    fixed = {f"GENRE_{name}": value for name, value in {**_FIXED, "MODEL": str(model), "DEVICE": device}.items()}
    return {**defaults, **given, **fixed, "PYTHONUNBUFFERED": "1"}


def _command() -> list[str]:
    """Return what starts the service: the command beside this Python, or on the path."""
    beside = Path(sys.executable).with_name(COMMAND + (".exe" if sys.platform == "win32" else ""))
    found = str(beside) if beside.is_file() else shutil.which(COMMAND)
    if found is None:
        raise ServiceError(f"the command {COMMAND} is not installed: run `pip install ./api`, or `invoke setup`")
    return [found]


PREFERRED_PORT = 8000
READY_SECONDS = 120.0
MOST_PORTS = 3
_LOOK_SECONDS = 0.1
_NO_MODEL = "predictions answer 503: "


class OwnService:
    """Starts a service for every wish; the one before ends when the next is ready, so that none is missed if it fails.

    Parameters
    ----------
    port : int, optional
        The only port to listen on; by default 8000, or a free one if that is taken.
    """

    def __init__(self, port: int | None = None) -> None:
        self._port = port
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._started: list[ServiceProcess] = []
        self._turn = 0

    def load(self, wish: Wish) -> Backend:
        """Start a service with a model, and wait until it is ready; may be called from several threads.

        Raises
        ------
        GenreError
            As loading the model in this process does, or `ServiceError` if it is the service's fault.
        """
        with self._lock:
            self._turn += 1
            turn = self._turn
        model = wish.model or default_model_path()
        read_metadata(model)
        for _ in range(MOST_PORTS):
            port = self._choose_port()
            process, note = self._start(port, model, wish.device)
            try:
                client = Client(f"http://127.0.0.1:{port}", service_key())
                self._wait(process, client, wish.device)
                backend = RemoteBackend(client, process.ended, note)
                others = self._keep(process, turn)
            except GenreError:
                self._end(process)
                if process.port_was_taken and self._port is None:
                    continue  # by another program, between the choice and the service's start
                raise
            for other in others:
                other.end()
            return backend
        raise ServiceError(f"no port could be had in {MOST_PORTS} tries: try again")

    def close(self) -> None:
        """End every service, and wait until they are gone."""
        self._closed.set()
        with self._lock:
            left, self._started = self._started, []
        for process in left:
            process.end()

    def _start(self, port: int, model: Path, device: str) -> tuple[ServiceProcess, str]:
        with self._lock:
            if self._closed.is_set():
                raise ServiceError("the window is closing")
            elsewhere = self._port is None and port != PREFERRED_PORT and not self._started
            process = ServiceProcess(port, model, device)
            self._started.append(process)
        return process, f" (port {PREFERRED_PORT} is taken)" if elsewhere else ""

    def _keep(self, process: ServiceProcess, turn: int) -> list[ServiceProcess]:
        """Make a service that is ready the only one; return the others, which are to end."""
        with self._lock:
            if turn != self._turn or self._closed.is_set():
                raise ServiceError("another model was asked for meanwhile")
            others = [other for other in self._started if other is not process]
            self._started = [process]
        return others

    def _choose_port(self) -> int:
        for port in (self._port or PREFERRED_PORT, 0):
            with closing(socket.socket()) as probe:
                if sys.platform != "win32":  # there it would let two programs have one port
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind(("127.0.0.1", port))
                    return int(probe.getsockname()[1])
                except OSError as error:
                    if self._port is not None:
                        reason = error.strerror or str(error)
                        raise ServiceError(
                            f"port {port} cannot be had ({reason.lower()}): end what listens there, or leave out --port"
                        ) from error
        raise ServiceError("this machine has no free port: end a program that listens on many")

    def _wait(self, process: ServiceProcess, client: Client, device: str) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline:
            if self._closed.is_set():
                raise ServiceError("the window is closing")
            if (why := process.ended()) is not None:
                raise ServiceError(f"{why[:1].lower()}{why[1:]} before it was ready")
            try:
                check_ready(client)
                return
            except NotReadyError as error:
                said = [line.partition(_NO_MODEL)[2] for line in process.log if _NO_MODEL in line]
                raise refused_model(error.reason, said[-1] if said else "", device) from error
            except AwayError:
                self._closed.wait(_LOOK_SECONDS)
        raise ServiceError(f"the service was not ready within {READY_SECONDS:g} s: try again")

    def _end(self, process: ServiceProcess) -> None:
        with self._lock:
            if process in self._started:
                self._started.remove(process)
        process.end()
