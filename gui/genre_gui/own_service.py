"""The service that belongs to the window: started for it, and ended with it."""

from __future__ import annotations

import socket
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

from genre_gui.backend import Backend, Wish
from genre_gui.http_client import Client
from genre_gui.refusals import AwayError, NotReadyError, ServiceError, refused_model
from genre_gui.remote import RemoteBackend
from genre_gui.service_answers import check_ready, service_key
from genre_gui.service_process import ServiceProcess
from genre_runtime import GenreError
from genre_runtime.metadata import read_metadata
from genre_runtime.model_files import default_model_path

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
