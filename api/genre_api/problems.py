"""Errors as problem details (RFC 9457), with a stable `code` and no path of the server."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from genre_runtime.errors import GenreError

# What a client can mend. Any other error is the service's own: its message stays in the log.
_STATUS = {
    "audio_limit": 413,
    "unreadable_audio": 415,
    "empty_audio": 422,
    "invalid_input": 422,
}
_INTERNAL = "the service failed at this request: its log says more"

_log = logging.getLogger(__name__)


class ServiceError(HTTPException):
    """The service itself refuses a request.

    Attributes
    ----------
    code : str
        Stable, meant for programs.
    """

    def __init__(self, status: int, code: str, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status, detail, headers)
        self.code = code


def upload_too_large(limit: int) -> ServiceError:
    """Make the answer to a request of more than `limit` bytes."""
    return ServiceError(413, "upload_too_large", f"the upload has more than {limit} bytes: send a shorter file")


def unavailable(error: GenreError | None) -> ServiceError:
    """Make the answer while there is no model."""
    why = f"no model is loaded ({error.code})" if error else "the model is still loading"
    return ServiceError(503, "unavailable", f"{why}: see /api/health", {"Retry-After": "30"})


def problem(status: int, code: str, detail: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """Make one problem document."""
    body = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "code": code,
        "detail": detail,
    }
    return JSONResponse(body, status, headers, media_type="application/problem+json")


def add_problem_handlers(app: FastAPI) -> None:
    """Answer every error of `app` as `application/problem+json`."""

    @app.exception_handler(GenreError)
    async def genre_error(_: Request, error: GenreError) -> JSONResponse:
        if error.code in _STATUS:
            return problem(_STATUS[error.code], error.code, str(error))
        _log.error("a prediction failed", exc_info=error)
        return problem(500, error.code, _INTERNAL)

    @app.exception_handler(HTTPException)
    async def http_error(_: Request, error: HTTPException) -> JSONResponse:
        code = error.code if isinstance(error, ServiceError) else "http"
        return problem(error.status_code, code, error.detail, error.headers)

    @app.exception_handler(RequestValidationError)
    async def invalid_request(_: Request, error: RequestValidationError) -> JSONResponse:
        found = "; ".join(f"{'.'.join(map(str, entry['loc']))}: {entry['msg']}" for entry in error.errors())
        return problem(422, "invalid_request", f"{found}; /docs shows what is expected")

    @app.exception_handler(Exception)
    async def surprise(_: Request, __: Exception) -> JSONResponse:
        return problem(500, "internal", _INTERNAL)  # the server itself logs the traceback
