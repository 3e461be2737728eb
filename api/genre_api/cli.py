"""uvicorn, with an orderly end and little patience for connections that say nothing.

Command `genre-api`: serve the model on this machine.
"""

from __future__ import annotations

import argparse
import asyncio
import ipaddress
import logging
import logging.config
import math
import os
import signal
import socket
import sys
from collections.abc import Sequence
from types import FrameType
from typing import Any

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from genre_api import __version__
from genre_api.logging import log_config
from genre_api.settings import Settings
from genre_runtime.terminal import escaped_streams

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")

_log = logging.getLogger(__name__)


class Server(uvicorn.Server):
    """A server that says `not ready` for a while after SIGTERM before it closes its door.

    Parameters
    ----------
    config : uvicorn.Config
    app : FastAPI
    drain_seconds : float
        Long enough for a load balancer to ask `/readyz` once more.
    """

    def __init__(self, config: uvicorn.Config, app: FastAPI, drain_seconds: float) -> None:
        super().__init__(config)
        self._app = app
        self._drain_seconds = drain_seconds

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Answer a signal; a second one, or Ctrl-C, closes the door at once."""
        service = self._app.state.service
        first, service.draining = not service.draining, True
        if sig == signal.SIGTERM and first and self._drain_seconds and self.started:
            self._captured_signals.append(sig)
            asyncio.get_running_loop().call_soon_threadsafe(self._close_later)
        else:
            super().handle_exit(sig, frame)

    def _close_later(self) -> None:
        asyncio.get_running_loop().call_later(self._drain_seconds, setattr, self, "should_exit", True)


def impatient_protocol(seconds: float) -> type[H11Protocol]:
    """Make a protocol that closes a connection on which no request's head is complete within `seconds`.

    uvicorn itself waits for ever for the head, so that a few hundred silent connections would be all it can hold. It
    also waits for ever for a client to take its answer: a connection on which nothing of one leaves for `seconds` is
    cut off.
    """

    class ImpatientProtocol(H11Protocol):
        _timer: asyncio.TimerHandle | None = None
        _stuck: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._watch()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self._watch()

        def on_response_complete(self) -> None:
            super().on_response_complete()
            self._watch()

        def connection_lost(self, exc: Exception | None) -> None:
            self._unwatch()
            self._unstick()
            super().connection_lost(exc)

        def pause_writing(self) -> None:
            super().pause_writing()
            self._expect_less()

        def resume_writing(self) -> None:
            self._unstick()
            super().resume_writing()

        def _watch(self) -> None:
            if self.cycle is not None and not self.cycle.response_complete:
                self._unwatch()
            elif self._timer is None and not self.transport.is_closing():
                self._timer = self.loop.call_later(seconds, self._give_up)

        def _unwatch(self) -> None:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

        def _give_up(self) -> None:
            self._timer = None
            self.transport.close()  # waits until all has left
            self._expect_less()

        def _expect_less(self) -> None:
            self._unstick()
            if waiting := self.transport.get_write_buffer_size():
                self._stuck = self.loop.call_later(seconds, self._cut_off_unless_less, waiting)

        def _cut_off_unless_less(self, waiting: int) -> None:
            if self.transport.get_write_buffer_size() >= waiting:
                self.transport.abort()
            else:
                self._expect_less()

        def _unstick(self) -> None:
            if self._stuck is not None:
                self._stuck.cancel()
                self._stuck = None

    return ImpatientProtocol


def make_server(app: FastAPI, settings: Settings) -> Server:
    """Make the server of an application."""
    options: dict[str, Any] = {
        "host": settings.host,
        "port": settings.port,
        "http": impatient_protocol(settings.header_seconds),
        "ws": "none",
        "loop": "asyncio",
        "access_log": False,
        "server_header": False,
        "timeout_keep_alive": math.ceil(settings.header_seconds),
        "limit_concurrency": settings.max_connections,
        "timeout_graceful_shutdown": settings.shutdown_seconds,
        "log_config": log_config(settings.log_format, settings.log_level),
        "proxy_headers": False,
    }
    return Server(uvicorn.Config(app, **options), app, settings.drain_seconds)


def with_safe_hosts(settings: Settings) -> Settings:
    """On a loopback address, serve only this machine's own names unless others are listed.

    A web page could otherwise have its own name resolved to this machine, and read what the service answers.
    """
    if settings.allowed_hosts or not is_loopback(settings.host):
        return settings
    return settings.model_copy(update={"allowed_hosts": (*LOOPBACK_NAMES, settings.host)})


def is_loopback(host: str) -> bool:
    """Tell whether only this machine can reach an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def warn_of_exposure(settings: Settings) -> None:
    """Say in the log what a person may not have meant."""
    if not is_loopback(settings.host):
        key = "with an API key" if settings.api_key else "without an API key: set GENRE_API_KEY"
        _log.warning("listening on %s, so other machines can reach this service, %s", settings.host, key)


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until stopped; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="genre-api",
        description="Serve the genre classifier over HTTP. More settings come from GENRE_* environment variables.",
    )
    parser.add_argument("--host", help="address to listen on (default: $GENRE_HOST or 127.0.0.1)")
    parser.add_argument("--port", type=port, help="port (default: $GENRE_PORT or 8000)")
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    options = parser.parse_args(arguments)
    given = {name: value for name, value in vars(options).items() if value is not None}
    with escaped_streams():
        return serve(given)


def serve(given: dict[str, Any]) -> int:
    """Serve with the settings of the environment, those given first; status 2 if a setting or the address cannot be."""
    from pydantic import ValidationError

    from genre_api.app import create_app
    from genre_api.logging import log_config

    pass
    from genre_api.settings import PREFIX, Settings, unknown_variables
    from genre_runtime import silence_decoders

    try:
        settings = with_safe_hosts(Settings(**given))
    except ValidationError as error:
        for fault in error.errors():
            name = PREFIX + ".".join(map(str, fault["loc"][:1])).upper()
            print(f"genre-api: {name}: {fault['msg']}", file=sys.stderr)
        return 2
    silence_decoders()  # their remarks on a stranger's file are no lines of JSON, and there can be many
    logging.config.dictConfig(log_config(settings.log_format, settings.log_level))
    for name in unknown_variables(os.environ):
        logging.getLogger(__name__).warning("%s is no setting of this service: a typing error?", name)
    for root in settings.audio_roots:
        if not os.path.isdir(root):  # noqa: PTH112  # it may be mounted later
            logging.getLogger(__name__).warning("%s in GENRE_AUDIO_ROOTS is no folder: its paths answer 404", root)
    warn_of_exposure(settings)
    try:
        check_address(settings.host, settings.port)
    except OSError as error:
        where = f"port {settings.port} of {settings.host}"
        print(f"genre-api: cannot listen at {where} ({error}): choose another with --port", file=sys.stderr)
        return 2
    make_server(create_app(settings=settings), settings).run()
    return 0


def check_address(host: str, number: int) -> None:
    """Listen for a moment: uvicorn would say only after its start that it cannot, as a line of the log.

    Raises
    ------
    OSError
        The port is taken, or the address is not this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    socket.create_server((host, number), family=family).close()


def port(text: str) -> int:
    """Parse a port, for argparse, which names this function in its message."""
    number = int(text)
    if not 0 <= number <= 65535:
        raise argparse.ArgumentTypeError(f"{number} is no port: expected 0 to 65535")
    return number
