"""The API key, and the outermost layer: request ids, safe headers, access log, metrics, unexpected errors."""

from __future__ import annotations

import hmac
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request
from fastapi.responses import JSONResponse
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from genre_api.observability import Meters, begin_request
from genre_api.problems import ServiceError, internal, problem, problem_responses
from genre_api.service import service_of
from genre_api.work_queue import ClientGone

HEADER = "X-API-Key"
RESPONSES = problem_responses(s401="unauthorized")

_header = APIKeyHeader(name=HEADER, auto_error=False)
_bearer = HTTPBearer(auto_error=False)


def require_key(
    request: Request,
    header: Annotated[str | None, Depends(_header)],
    bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
) -> None:
    """Refuse a request without the API key, before its body is read.

    Parameters
    ----------
    request : Request
        The request.
    header : str or None
        Key in the header `X-API-Key`.
    bearer : HTTPAuthorizationCredentials or None
        Key as a Bearer token.

    Raises
    ------
    ServiceError
        401 if the key is missing or wrong.
    """
    key = service_of(request).settings.api_key
    given = header if header is not None else bearer.credentials if bearer else ""
    # Compared in constant time, so that the time does not show how much of a key is right.
    if key is None or not hmac.compare_digest(given.encode(), key.get_secret_value().encode()):
        raise ServiceError(
            401,
            "unauthorized",
            f"expected the service's key in {HEADER} or as a Bearer token",
            {"WWW-Authenticate": 'Bearer realm="genre"'},
        )


_KEY = "genre.seen"
_CLOSED = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
_PAGE = f"{_CLOSED}; style-src 'unsafe-inline'"
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}

_access = logging.getLogger("genre_api.access")
_log = logging.getLogger(__name__)


@dataclass
class Seen:
    """Route and status of a request, known after it was answered."""

    route: str = "unmatched"
    status: int = 0


def note_route(request: Request) -> None:
    """Store the route of a request; its address may be any text and is neither logged nor counted.

    Parameters
    ----------
    request : Request
        The request.
    """
    request.scope[_KEY].route = request.scope["route"].path


class Observation:
    """Middleware around everything else.

    Parameters
    ----------
    app : ASGI application
        Application that answers.
    meters : Meters
        Metrics of the service.
    allowed_hosts : tuple of str
        Allowed values of the `Host` header, without port; empty allows any. They protect against DNS rebinding.
    cors_origins : tuple of str
        Origins of other sites whose pages may send requests.
    draining : callable
        Returns whether the service is about to stop. Each answer then closes its connection, since a further request
        on it would fail.
    """

    def __init__(
        self,
        app: ASGIApp,
        meters: Meters,
        allowed_hosts: tuple[str, ...] = (),
        cors_origins: tuple[str, ...] = (),
        draining: Callable[[], bool] = lambda: False,
    ) -> None:
        self._draining = draining
        self._app = app
        self._origins: set[str | None] = set(cors_origins)
        self._meters = meters
        self._allowed = {host.lower() for host in allowed_hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, seen, headers = time.perf_counter(), Seen(), Headers(scope=scope)
        request_id = begin_request(headers.get("x-request-id"))
        method = scope["method"]
        # A HEAD is answered like a GET; the server omits the body.
        scope = {**scope, _KEY: seen, "genre.began": began, "method": "GET" if method == "HEAD" else method}

        async def decorated(message: Message) -> None:
            if message["type"] == "http.response.start":
                seen.status = message["status"]
                _decorate(MutableHeaders(scope=message), request_id)
                if self._draining():
                    MutableHeaders(scope=message)["Connection"] = "close"
            await send(message)

        try:
            refusal = self._refusal(method, headers)
            await (refusal or self._app)(scope, receive, decorated)
        except ClientGone:
            seen.status = 499
        except Exception:
            _log.exception("a request failed")
            if seen.status:  # the answer has begun: the server closes the connection
                raise
            await internal()(scope, receive, decorated)
        finally:
            self._record(method, seen, time.perf_counter() - began)

    def _refusal(self, method: str, headers: Headers) -> JSONResponse | None:
        if self._allowed and _host(headers.get("host", "")) not in self._allowed:
            return problem(400, "invalid_host", "this host name is not allowed: see GENRE_ALLOWED_HOSTS")
        # Otherwise a page of any site could start predictions, although it could not read the answers.
        foreign = headers.get("sec-fetch-site", "none") not in ("none", "same-origin")
        if method in ("POST", "DELETE") and foreign and not self._origins & {headers.get("origin"), "*"}:
            return problem(
                403, "cross_site", "requests from pages of other sites are not allowed: see GENRE_CORS_ORIGINS"
            )
        return None

    def _record(self, method: str, seen: Seen, seconds: float) -> None:
        self._meters.answered(method, seen.route, seen.status, seconds)
        fields = {"method": method, "route": seen.route, "status": seen.status, "seconds": round(seconds, 4)}
        _access.info("%s %s %d in %.3f s", method, seen.route, seen.status, seconds, extra=fields)


def _decorate(headers: MutableHeaders, request_id: str) -> None:
    headers["X-Request-ID"] = request_id
    for name, value in _HEADERS.items():
        headers.setdefault(name, value)
    page = headers.get("content-type", "").startswith(("text/html", "image/svg"))
    policy = _PAGE if page else _CLOSED
    headers.setdefault("Content-Security-Policy", policy)


def _host(value: str) -> str:
    """Return a `Host` header without its port, in lower case."""
    bracketed = value.startswith("[")
    return (value.partition("]")[0] + "]" if bracketed else value.partition(":")[0]).lower()
