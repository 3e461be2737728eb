"""Errors as problem details (RFC 9457), with a stable `code` and no path of the server."""

from __future__ import annotations

from typing import ClassVar

from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse

from genre_runtime.errors import GenreError

_STATUS = {
    "upload_too_large": (413, "The upload is too large"),
    "audio_limit": (413, "The audio is too long"),
    "unreadable_audio": (415, "The upload is not audio that can be read"),
    "empty_audio": (422, "The upload holds no audio"),
    "invalid_input": (422, "The input is not valid"),
}


class UploadTooLargeError(GenreError, ValueError):
    """An upload has more bytes than the service takes."""

    code: ClassVar[str] = "upload_too_large"

    def __init__(self, limit: int) -> None:
        super().__init__(f"the upload has more than {limit} bytes: send a shorter file")
        self.limit = limit


def add_problem_handlers(app: FastAPI) -> None:
    """Answer every `GenreError` and HTTP error of `app` as `application/problem+json`."""

    @app.exception_handler(GenreError)
    async def genre_error(_: Request, error: GenreError) -> JSONResponse:
        status, title = _STATUS.get(error.code, (500, "The prediction failed"))
        return problem(status, title, error.code, str(error))

    @app.exception_handler(HTTPException)
    async def http_error(_: Request, error: HTTPException) -> JSONResponse:
        code = "unavailable" if error.status_code == 503 else "http"
        response = problem(error.status_code, str(error.detail), code, str(error.detail))
        response.headers.update(error.headers or {})
        return response


def problem(status: int, title: str, code: str, detail: str) -> JSONResponse:
    """Make one problem document."""
    body = {"type": "about:blank", "title": title, "status": status, "code": code, "detail": detail}
    return JSONResponse(body, status, media_type="application/problem+json")


def unavailable(error: GenreError | None) -> HTTPException:
    """Make the answer while there is no model."""
    why = f"no model is loaded ({error.code})" if error else "the model is still loading"
    return HTTPException(503, f"{why}: see /api/health", headers={"Retry-After": "30"})
