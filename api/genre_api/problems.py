"""Errors as problem details (RFC 9457), with a stable `code` and no path of the server."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from genre_api.logging import current_request_id
from genre_api.schemas import Problem
from genre_runtime.errors import DecoderUnavailableError, GenreError

MEDIA_TYPE = "application/problem+json"
LONGEST_VALUE = 60
"""Of what was sent, to be repeated in an answer: characters."""

# What a client can mend. Any other error is the service's own: its message stays in the log.
_STATUS = {
    "audio_limit": 413,
    "unreadable_audio": 415,
    "empty_audio": 422,
    "invalid_input": 422,
}
_PLAIN = {
    404: ("unknown_address", "no endpoint at this address: GET / lists them"),
    405: ("method_not_allowed", "this endpoint does not take this method: the Allow header says which it takes"),
}
_INTERNAL = "the service failed at this request: its log says more"

_log = logging.getLogger(__name__)


class ServiceError(HTTPException):
    """The service itself refuses a request.

    Attributes
    ----------
    code : str
        Stable, meant for programs.
    members : dict
        Further members of the problem document.
    """

    def __init__(
        self, status: int, code: str, detail: str, headers: Mapping[str, str] | None = None, **members: str | None
    ) -> None:
        super().__init__(status, detail, headers)
        self.code = code
        self.members = members


def upload_too_large(limit: int) -> ServiceError:
    """Make the answer to a body of more than `limit` bytes."""
    return ServiceError(413, "upload_too_large", f"the body has more than {limit} bytes: send less")


def unavailable(error: GenreError | None) -> ServiceError:
    """Make the answer while there is no model."""
    why = f"no model is loaded ({error.code})" if error else "no model is loaded (internal)"
    return ServiceError(503, "unavailable", f"{why}: see /readyz", {"Retry-After": "30"})


def busy(retry_after: int) -> ServiceError:
    """Make the answer when no place is left in the service."""
    return ServiceError(
        503, "busy", f"every place is taken: try again in {retry_after} s", {"Retry-After": str(retry_after)}
    )


def described(error: Exception) -> tuple[int, str, str]:
    """Return the status, code and message of an error in work, and log what is the service's own fault."""
    if isinstance(error, GenreError) and error.code in _STATUS:
        return _STATUS[error.code], error.code, str(error)
    _log.error("a prediction failed", exc_info=error)
    if isinstance(error, DecoderUnavailableError):  # its words may have a path of this machine
        return 503, "unavailable", "no decoder can be started: see /readyz"
    return 500, error.code if isinstance(error, GenreError) else "internal", _INTERNAL


def problem(
    status: int, code: str, detail: str, headers: Mapping[str, str] | None = None, **members: str | None
) -> JSONResponse:
    """Make one problem document."""
    body = Problem(
        title=HTTPStatus(status).phrase, status=status, code=code, detail=detail, request_id=current_request_id()
    )
    return JSONResponse({**body.model_dump(), **members}, status, headers, media_type=MEDIA_TYPE)


def internal() -> JSONResponse:
    """Make the answer to an error that nobody foresaw."""
    return problem(500, "internal", _INTERNAL)


def problem_responses(document: type[Problem] = Problem, /, **codes: str) -> dict[int | str, dict[str, Any]]:
    """Describe problems for OpenAPI; `s413="upload_too_large, audio_limit"` is a status with its codes."""
    schema = document.model_json_schema()
    described_by_status: dict[int | str, dict[str, Any]] = {}
    for name, meaning in codes.items():
        status = int(name[1:])
        example = {**schema["examples"][0], "status": status, "title": HTTPStatus(status).phrase}
        example["code"] = meaning.split(",")[0]
        described_by_status[status] = {
            "description": f"{HTTPStatus(status).phrase}; code: {meaning}",
            "content": {MEDIA_TYPE: {"schema": schema, "example": example}},
        }
    return described_by_status


def _fault(entry: Mapping[str, Any]) -> str:
    """Return one fault of a request in words, with what was found where that is a short value."""
    words, value = f"{'.'.join(map(str, entry['loc']))}: {entry['msg']}", entry.get("input")
    short = isinstance(value, str | int | float) and len(str(value)) <= LONGEST_VALUE
    return f"{words}, found {value!r}" if short else words


def add_problem_handlers(app: FastAPI) -> None:
    """Answer every error of `app` as `application/problem+json`."""

    def counted(request: Request, answer: JSONResponse, code: str) -> JSONResponse:
        request.app.state.service.meters.rejected(code)
        return answer

    @app.exception_handler(GenreError)
    async def genre_error(request: Request, error: GenreError) -> JSONResponse:
        status, code, detail = described(error)
        return counted(request, problem(status, code, detail), code)

    @app.exception_handler(HTTPException)
    async def http_error(request: Request, error: HTTPException) -> JSONResponse:
        plain = _PLAIN.get(error.status_code, ("http", error.detail))
        code, detail = (error.code, error.detail) if isinstance(error, ServiceError) else plain
        members = error.members if isinstance(error, ServiceError) else {}
        return counted(request, problem(error.status_code, code, detail, error.headers, **members), code)

    @app.exception_handler(RequestValidationError)
    async def invalid_request(request: Request, error: RequestValidationError) -> JSONResponse:
        found = "; ".join(map(_fault, error.errors()))
        return counted(request, problem(422, "invalid_request", found), "invalid_request")
