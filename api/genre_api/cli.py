"""Command `genre-api`: serve the model with uvicorn, with an orderly shutdown and time limits for connections."""

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
import textwrap
from collections.abc import Sequence
from functools import partial
from types import FrameType
from typing import Any

import uvicorn
from fastapi import FastAPI
from pydantic import ValidationError
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from genre_api import __version__
from genre_api.app import create_app
from genre_api.observability import log_config
from genre_api.service import Service
from genre_api.settings import PREFIX, Settings, unknown_variables
from genre_runtime import escaped_streams, silence_decoders

_log = logging.getLogger(__name__)


class Server(uvicorn.Server):
    """A uvicorn server that answers `not ready` for a while after SIGTERM before it stops accepting connections.

    Parameters
    ----------
    config : uvicorn.Config
    service : Service
        Told that it drains.
    drain_seconds : float
        Long enough for a load balancer to ask `/readyz` once more.
    """

    def __init__(self, config: uvicorn.Config, service: Service, drain_seconds: float) -> None:
        super().__init__(config)
        self._service = service
        self._drain_seconds = drain_seconds

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Handle a signal; after a second one, or Ctrl-C, the server stops accepting connections at once.

        Parameters
        ----------
        sig : int
            Number of the signal.
        frame : frame object or None
            Where the program was interrupted.
        """
        first, self._service.draining = not self._service.draining, True
        stop = partial(super().handle_exit, sig, frame)
        if sig == signal.SIGTERM and first and self._drain_seconds and self.started:
            loop = asyncio.get_running_loop()
            loop.call_soon_threadsafe(loop.call_later, self._drain_seconds, stop)
        else:
            stop()


_CONNECTION = "genre.connection"
GONE_SECONDS = 0.1
"""Time between two looks at whether a client that sends nothing more has gone."""


def timed_protocol(seconds: float) -> type[H11Protocol]:
    """Return a uvicorn protocol that closes idle connections and those whose client takes no data.

    uvicorn waits without limit for a request's head and for a client that does not read its answer, and does not answer
    a client that closes its direction after the request. Only methods of `asyncio.Protocol` are overridden;
    `report_requests` tells the connection when a request begins and ends.

    Parameters
    ----------
    seconds : float
        Longest time until a request's head is complete, and in which no byte of an answer leaves.
    """

    class TimedProtocol(H11Protocol):
        def __init__(self, *, app_state: dict[str, Any], **options: Any) -> None:
            super().__init__(app_state={**app_state, _CONNECTION: self}, **options)
            self._n_requests = 0
            self._idle: asyncio.TimerHandle | None = None
            self._stuck: asyncio.TimerHandle | None = None
            self._gone: asyncio.TimerHandle | None = None
            self._half_closed = False

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._channel = transport
            self._restart_idle()

        def connection_lost(self, exc: Exception | None) -> None:
            _cancel(self._idle)
            _cancel(self._stuck)
            _cancel(self._gone)
            super().connection_lost(exc)

        def eof_received(self) -> bool:  # type: ignore[override]
            waits = self.cycle is not None and not self.cycle.more_body and not self.cycle.response_complete
            self._half_closed = waits
            if waits:
                self._gone = asyncio.get_running_loop().call_later(GONE_SECONDS, self._ask_whether_gone)
            return waits

        def pause_writing(self) -> None:
            super().pause_writing()
            self._expect_less()

        def resume_writing(self) -> None:
            _cancel(self._stuck)
            super().resume_writing()

        def request_began(self) -> None:
            self._n_requests += 1
            _cancel(self._idle)

        def request_ended(self) -> None:
            self._n_requests -= 1
            if not self._n_requests:  # of a pipelined request the task may begin before that of the former ends
                self._restart_idle()

        def _restart_idle(self) -> None:
            _cancel(self._idle)
            if not self._channel.is_closing():
                self._idle = asyncio.get_running_loop().call_later(0 if self._half_closed else seconds, self._close)

        def _ask_whether_gone(self) -> None:
            """Send an interim answer: a client that has closed both directions then resets the connection."""
            if not self.cycle.response_started and self.scope["http_version"] == "1.1":
                self._channel.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self._abort_if_gone()

        def _abort_if_gone(self) -> None:
            if self._channel.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                self._channel.abort()
            else:
                self._gone = asyncio.get_running_loop().call_later(GONE_SECONDS, self._abort_if_gone)

        def _close(self) -> None:
            self._channel.close()  # waits until all has left
            self._expect_less()

        def _expect_less(self) -> None:
            _cancel(self._stuck)
            if waiting := self._channel.get_write_buffer_size():
                self._stuck = asyncio.get_running_loop().call_later(seconds, self._abort_unless_less, waiting)

        def _abort_unless_less(self, waiting: int) -> None:
            if self._channel.get_write_buffer_size() >= waiting:
                self._channel.abort()
            else:
                self._expect_less()

    return TimedProtocol


def _cancel(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()


def report_requests(app: ASGIApp) -> ASGIApp:
    """Return an application that tells the connection of a `timed_protocol` when a request begins and ends.

    Parameters
    ----------
    app : ASGI application
    """

    async def reporting(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        connection = scope["state"].pop(_CONNECTION)
        connection.request_began()
        try:
            await app(scope, receive, send)
        finally:
            connection.request_ended()

    return reporting


def make_server(app: FastAPI, settings: Settings) -> Server:
    """Return the server of an application.

    Parameters
    ----------
    app : FastAPI
        As `create_app` makes it.
    settings : Settings
    """
    options: dict[str, Any] = {
        "host": settings.host,
        "port": settings.port,
        "http": timed_protocol(settings.header_seconds),
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
    return Server(uvicorn.Config(report_requests(app), **options), app.state.service, settings.drain_seconds)


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach an address.

    Parameters
    ----------
    host : str
        IP address or host name.
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def warn_of_exposure(settings: Settings) -> None:
    """Log a warning if other machines can reach the service.

    Parameters
    ----------
    settings : Settings
        Address and API key.
    """
    if not is_loopback(settings.host):
        key = "with an API key" if settings.api_key else "without an API key: set GENRE_API_KEY"
        _log.warning("listening on %s, so other machines can reach this service, %s", settings.host, key)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command until it is stopped; return the exit status.

    Parameters
    ----------
    arguments : sequence of str, optional
        By default those of the process.
    """
    parser = argparse.ArgumentParser(
        prog="genre-api",
        description="Serve the genre classifier over HTTP.",
        epilog=_settings_table(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--host", help="address to listen on (default: $GENRE_HOST or 127.0.0.1)")
    parser.add_argument("--port", type=port, help="port (default: $GENRE_PORT or 8000)")
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    options = parser.parse_args(arguments)
    given = {name: value for name, value in vars(options).items() if value is not None}
    with escaped_streams():
        return serve(given)


def _settings_table() -> str:
    rows = []
    for name, field in Settings.model_fields.items():
        meaning = (field.description or "").replace("`", "") + (f" (default: {field.default})" if field.default else "")
        rows += [
            f"  {PREFIX}{name.upper()}",
            textwrap.fill(meaning, 100, initial_indent=" " * 6, subsequent_indent=" " * 6),
        ]
    return "\n".join(["environment variables:", *rows])


def serve(given: dict[str, Any]) -> int:
    """Run the service; return status 2 if a setting is invalid or the address cannot be used.

    Parameters
    ----------
    given : dict
        Settings that take precedence over the environment.
    """
    try:
        settings = Settings(**given)
    except ValidationError as error:
        for fault in error.errors():
            name = PREFIX + ".".join(map(str, fault["loc"][:1])).upper()
            print(f"genre-api: {name}: {fault['msg']}", file=sys.stderr)
        return 2
    silence_decoders()  # their messages about uploads are not JSON, and there can be many
    logging.config.dictConfig(log_config(settings.log_format, settings.log_level))
    for name in unknown_variables(os.environ):
        _log.warning("%s is not a setting of this service: check its spelling", name)
    for root in settings.audio_roots:
        if not os.path.isdir(root):  # noqa: PTH112  # it may be mounted later
            logging.getLogger(__name__).warning(
                "folder %s in GENRE_AUDIO_ROOTS does not exist: its paths answer 404", root
            )
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
    """Check that the server can listen: uvicorn would only log the error, after loading the model.

    Parameters
    ----------
    host : str
        Address to listen on.
    number : int
        Port.

    Raises
    ------
    OSError
        The port is in use, or the address does not belong to this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    socket.create_server((host, number), family=family).close()


def port(text: str) -> int:
    """Return a port, for argparse, whose error message contains the name of this function.

    Parameters
    ----------
    text : str
        Argument of the command line.
    """
    number = int(text)
    if not 0 <= number <= 65535:
        raise argparse.ArgumentTypeError(f"port {number} is out of range: expected 0 to 65535")
    return number
