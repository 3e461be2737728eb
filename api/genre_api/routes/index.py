"""`/`: a page for browsers, JSON for programs."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response

from genre_api.model_schemas import Index
from genre_api.negotiation import best_type
from genre_api.pages import index_page
from genre_api.service import TheService
from genre_api.version import __version__

router = APIRouter(tags=["about"])
_HTML = {200: {"content": {"text/html": {"schema": {"type": "string"}, "example": "<!doctype html>..."}}}}


@router.get("/", response_model=Index, responses=_HTML)  # type: ignore[arg-type]
def index(request: Request, service: TheService) -> Response:
    """Return what this service is and where its endpoints lie: HTML where the Accept header prefers it."""
    app = request.app
    paths: dict[str, dict[str, Any]] = app.openapi()["paths"]
    endpoints = {path: sorted(method.upper() for method in methods) for path, methods in paths.items()}
    headers = {"Vary": "Accept"}
    if best_type(request.headers.get("accept"), ("application/json", "text/html")) == "text/html":
        page = index_page(app.title, __version__, service.reason is None, endpoints, str(request.base_url))
        return HTMLResponse(page, headers=headers)
    answer = Index(name=app.title, version=__version__, documentation="/docs", endpoints=endpoints)
    return JSONResponse(answer.model_dump(), headers=headers)
