"""The API key, where one is set."""

from __future__ import annotations

import hmac
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer

from genre_api.problems import ServiceError, problem_responses
from genre_api.service import service_of

HEADER = "X-API-Key"
RESPONSES = problem_responses(s401="unauthorized")

_header = APIKeyHeader(name=HEADER, auto_error=False)
_bearer = HTTPBearer(auto_error=False)


def require_key(
    request: Request,
    header: Annotated[str | None, Depends(_header)],
    bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
) -> None:
    """Refuse a request without the key. Runs before the body is read.

    Raises
    ------
    ServiceError
    """
    key = service_of(request).settings.api_key
    given = header if header is not None else bearer.credentials if bearer else ""
    # The comparison takes as long for a key that is nearly right as for one that is not.
    if key is None or not hmac.compare_digest(given.encode(), key.get_secret_value().encode()):
        raise ServiceError(
            401,
            "unauthorized",
            f"expected the service's key in {HEADER} or as a Bearer token",
            {"WWW-Authenticate": 'Bearer realm="genre"'},
        )
