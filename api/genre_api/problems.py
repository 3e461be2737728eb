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
from starlette.routing import compile_path

from genre_api.observability import current_request_id
from genre_api.schemas import Problem, reference
from genre_runtime.errors import DecoderUnavailableError, GenreError

MEDIA_TYPE = "application/problem+json"
LONGEST_VALUE = 60
"""Longest value of a request, in characters, that is repeated in an answer."""
MAX_FAULTS = 5
"""Most errors of one request that an answer tells."""

# Errors that a client can correct. The message of any other error only goes to the log.
_STATUS = {
    "audio_limit": 413,
    "unreadable_audio": 415,
    "empty_audio": 422,
    "invalid_input": 422,
}
_PLAIN = {
    404: ("unknown_address", "no endpoint at this address: GET / lists the endpoints"),
    405: ("method_not_allowed", "this endpoint does not support this method: the Allow header lists those it supports"),
}
_INTERNAL = "the service failed on this request: see its log"

_log = logging.getLogger(__name__)


class ServiceError(HTTPException):
    """A request that the service refuses.

    Parameters
    ----------
    status : int
        HTTP status.
    code : str
        Stable code for programs.
    detail : str
        Message for people.
    headers : mapping of str to str, optional
        Headers of the answer.
    **members : str or None
        Further members of the problem document.
    """

    def __init__(
        self, status: int, code: str, detail: str, headers: Mapping[str, str] | None = None, **members: str | None
    ) -> None:
        super().__init__(status, detail, headers)
        self.code = code
        self.members = members


def upload_too_large(limit: int) -> ServiceError:
    """Return the error for a body that is too large.

    Parameters
    ----------
    limit : int
        Most bytes of a body.
    """
    return ServiceError(413, "upload_too_large", f"the body has more than {limit} bytes: send a smaller file")


def unavailable(error: GenreError | None) -> ServiceError:
    """Return the error for a service without a model.

    Parameters
    ----------
    error : GenreError or None
        Why the model could not be loaded, if known.
    """
    why = f"no model is loaded ({error.code})" if error else "no model is loaded (internal)"
    return ServiceError(503, "unavailable", f"{why}: see /readyz", {"Retry-After": "30"})


def busy(retry_after: int) -> ServiceError:
    """Return the error for a service with too many requests.

    Parameters
    ----------
    retry_after : int
        Seconds after which to try again.
    """
    return ServiceError(
        503, "busy", f"the service is busy: try again in {retry_after} s", {"Retry-After": str(retry_after)}
    )


def storage_full(error: OSError) -> ServiceError:
    """Return the error for a body that cannot be stored, and log it.

    Parameters
    ----------
    error : OSError
        Why a temporary file cannot be written.
    """
    _log.error("a body cannot be stored in the folder for temporary files (TMPDIR): %s", error)
    return ServiceError(
        503, "storage_full", "the service has no space to store the file: try again later", {"Retry-After": "30"}
    )


def described(error: Exception) -> tuple[int, str, str]:
    """Return the status, code and message of a failed prediction; log an error of the service itself.

    Parameters
    ----------
    error : Exception
        What the prediction raised.
    """
    if isinstance(error, GenreError) and error.code in _STATUS:
        return _STATUS[error.code], error.code, str(error)
    _log.error("a prediction failed", exc_info=error)
    if isinstance(error, DecoderUnavailableError):  # its message may contain a path of the server
        return 503, "unavailable", "no decoder can be started: see /readyz"
    return 500, error.code if isinstance(error, GenreError) else "internal", _INTERNAL


def problem(
    status: int, code: str, detail: str, headers: Mapping[str, str] | None = None, **members: str | None
) -> JSONResponse:
    """Return one problem document.

    Parameters
    ----------
    status : int
        HTTP status.
    code : str
        Stable code for programs.
    detail : str
        Message for people.
    headers : mapping of str to str, optional
        Headers of the answer.
    **members : str or None
        Further members of the document.
    """
    body = Problem(
        title=HTTPStatus(status).phrase, status=status, code=code, detail=detail, request_id=current_request_id()
    )
    return JSONResponse({**body.model_dump(), **members}, status, headers, media_type=MEDIA_TYPE)


def internal() -> JSONResponse:
    """Return the answer to an unexpected error."""
    return problem(500, "internal", _INTERNAL)


def problem_responses(document: type[Problem] = Problem, /, **codes: str) -> dict[int | str, dict[str, Any]]:
    """Return the descriptions of problems for OpenAPI.

    Parameters
    ----------
    document : type of Problem, optional
        Schema of the problem document.
    **codes : str
        Codes by status, such as `s413="upload_too_large, audio_limit"`.
    """
    schema, usual = reference(document), document.model_json_schema()["examples"][0]
    described_by_status: dict[int | str, dict[str, Any]] = {}
    for name, meaning in codes.items():
        status = int(name[1:])
        example = {**usual, "status": status, "title": HTTPStatus(status).phrase}
        example["code"] = meaning.split(",")[0]
        described_by_status[status] = {
            "description": f"{HTTPStatus(status).phrase}; code: {meaning}",
            "content": {MEDIA_TYPE: {"schema": schema, "example": example}},
        }
    return described_by_status


def _fault(entry: Mapping[str, Any]) -> str:
    """Return one error of a request as text, with the value that was found if it is short."""
    words, value = f"{'.'.join(map(str, entry['loc']))}: {entry['msg']}", entry.get("input")
    short = isinstance(value, str | int | float) and len(str(value)) <= LONGEST_VALUE
    return f"{words}, found {value!r}" if short else words


def _all_allowed(request: Request, headers: Mapping[str, str] | None) -> dict[str, str]:
    """Return headers with all methods of an address in `Allow`: Starlette lists those of its first route."""
    allowed = set(filter(None, (headers or {}).get("Allow", "").split(", ")))
    for template, methods in request.app.openapi()["paths"].items():
        if compile_path(template)[0].match(request.scope["path"]):
            allowed.update(map(str.upper, methods))
    return {**(headers or {}), "Allow": ", ".join(sorted(allowed))}


def add_problem_handlers(app: FastAPI) -> None:
    """Answer every error as `application/problem+json`.

    Parameters
    ----------
    app : FastAPI
        Application that gets the handlers.
    """

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
        headers = _all_allowed(request, error.headers) if error.status_code == 405 else error.headers
        return counted(request, problem(error.status_code, code, detail, headers, **members), code)

    @app.exception_handler(RequestValidationError)
    async def invalid_request(request: Request, error: RequestValidationError) -> JSONResponse:
        found = "; ".join(map(_fault, error.errors()[:MAX_FAULTS]))
        return counted(request, problem(422, "invalid_request", found), "invalid_request")
