"""The service on a Ray cluster: `serve run genre_api.ray_app:app replicas=4`.

Ray Serve answers 500 to the requests that a replica was working on when it died. Here a front receives a request as a
whole, sends it to a replica, and sends it to another one if that replica is lost.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from fastapi import Depends, FastAPI, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from genre_api.app import create_app
from genre_api.middleware import Observation, require_key
from genre_api.observability import current_request_id
from genre_api.problems import ServiceError, add_problem_handlers
from genre_api.service import Service
from genre_api.settings import Settings

MAX_DEATHS = 3
"""Replicas lost during one request before it is given up: it may be what kills them."""

N_FRONTS = 2
UPLOAD = "POST"
OTHERS = ("DELETE", "GET", "OPTIONS", "PATCH", "PUT")

Answer = tuple[int, list[tuple[bytes, bytes]], bytes]
"""Status, headers and body."""

Send = Callable[[dict[str, Any], bytes], Awaitable[Answer]]
"""Sends scope and body of a request to a replica."""

_SENT = (
    *("type", "asgi", "http_version", "method", "scheme", "path", "raw_path"),
    *("query_string", "root_path", "headers", "client", "server"),
)
_log = logging.getLogger(__name__)


class Size(BaseModel):
    """How much of the cluster is used, from the arguments of `serve run`."""

    model_config = ConfigDict(extra="forbid")
    replicas: int = Field(default=2, ge=1)
    cpus: int = Field(default=1, ge=1, description="of each replica, which predicts that many files at once")
    gpus: float = Field(default=0, ge=0, description="of each replica")


class Replica:
    """Answers requests in a process of the cluster.

    Parameters
    ----------
    settings : Settings
        Paths in it must exist on every machine.
    """

    def __init__(self, settings: Settings) -> None:
        self._app = create_app(settings=settings)
        self._lifespan = self._app.router.lifespan_context(self._app)
        self._started = False

    async def check_health(self) -> None:
        """Start the service at the first call, and raise if it is not ready; Ray Serve then replaces the replica.

        Raises
        ------
        RuntimeError
            Says why it is not ready.
        """
        if not self._started:
            self._started = True
            await self._lifespan.__aenter__()
        service: Service = self._app.state.service
        if service.reason is not None:
            raise RuntimeError(f"not ready: {service.load_error or service.reason}")

    async def answer(self, scope: dict[str, Any], body: bytes) -> Answer:
        """Return the answer to a request.

        Parameters
        ----------
        scope : dict
            ASGI scope of the request.
        body : bytes
            The whole body.
        """
        status, headers, parts = 500, [], []
        unread = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> MutableMapping[str, Any]:
            if not unread:  # Ray Serve cancels this call when the client leaves
                await asyncio.Event().wait()
            return unread.pop()

        async def send(message: MutableMapping[str, Any]) -> None:
            nonlocal status, headers
            if message["type"] == "http.response.start":
                status, headers = message["status"], list(message["headers"])
            else:
                parts.append(message.get("body", b""))

        await self._app(scope, receive, send)
        return status, headers, b"".join(parts)


def make_front(settings: Settings, send: Send, lost: tuple[type[Exception], ...]) -> FastAPI:
    """Return the application that receives the requests.

    Parameters
    ----------
    settings : Settings
        Key, hosts and limits of bodies.
    send : callable
        Sends a request to a replica.
    lost : tuple of exception classes
        What `send` raises if the replica died.
    """
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    service = app.state.service = Service(settings)  # for the limits of bodies; it has no model

    async def forward(request: Request) -> Response:
        async with service.body(request, settings.max_body_bytes) as chunks:
            body = b"".join([chunk async for chunk in chunks]) if request.method == UPLOAD else b""
            scope = {name: request.scope[name] for name in _SENT if name in request.scope}
            request_id = (b"x-request-id", (current_request_id() or "").encode())
            scope["headers"] = [*(one for one in scope["headers"] if one[0] != request_id[0]), request_id]
            status, headers, content = await _sent_until_answered(settings, send, lost, scope, body)
        response = Response(content, status)
        response.raw_headers = headers
        return response

    # Replicas ask for the key, too, but only after the upload. Other methods need no key here: their body is not read.
    guard = [Depends(require_key)] if settings.api_key else []
    app.add_api_route("/{path:path}", forward, methods=[UPLOAD], dependencies=guard)
    app.add_api_route("/{path:path}", forward, methods=[*OTHERS])
    add_problem_handlers(app)
    app.add_middleware(Observation, meters=service.meters, settings=settings)
    return app


async def _sent_until_answered(
    settings: Settings, send: Send, lost: tuple[type[Exception], ...], scope: dict[str, Any], body: bytes
) -> Answer:
    try:
        async with asyncio.timeout(2 * settings.request_seconds):  # the second half to wait for a new replica
            for _ in range(MAX_DEATHS):
                try:
                    return await send(scope, body)
                except lost as error:
                    _log.warning("a replica was lost during a request: %s", type(error).__name__)
    except TimeoutError as error:
        raise ServiceError(503, "timeout", "no replica answered in time: try again", {"Retry-After": "10"}) from error
    raise ServiceError(503, "unavailable", f"{MAX_DEATHS} replicas were lost during this request: do not repeat it")


def app(arguments: dict[str, Any]) -> Any:
    """Return the application for `serve run`.

    Parameters
    ----------
    arguments : dict
        Fields of `Size`.

    Returns
    -------
    ray.serve.Application
    """
    from ray import exceptions, serve

    size, settings = Size.model_validate(arguments), Settings()
    settings = settings.model_copy(update={"workers": settings.workers or size.cpus})
    lost = (
        exceptions.RayActorError,
        exceptions.NodeDiedError,
        exceptions.ObjectLostError,
        exceptions.WorkerCrashedError,
    )

    def build() -> FastAPI:
        handle = serve.get_deployment_handle("genre", serve.get_replica_context().app_name)

        async def send(scope: dict[str, Any], body: bytes) -> Answer:
            answer: Answer = await handle.answer.remote(scope, body)
            return answer

        return make_front(settings, send, lost)

    limits: dict[str, Any] = {
        "max_ongoing_requests": settings.max_connections,  # the service itself refuses what it cannot queue
        "graceful_shutdown_timeout_s": settings.shutdown_seconds,
    }
    resources = {"num_cpus": size.cpus, "num_gpus": size.gpus}
    replicas = serve.deployment(name="genre", num_replicas=size.replicas, ray_actor_options=resources, **limits)(
        Replica
    )
    no_core = {"num_cpus": 0}
    front = serve.deployment(name="front", num_replicas=N_FRONTS, ray_actor_options=no_core, **limits)
    return front(serve.ingress(build)()).bind(replicas.bind(settings))
