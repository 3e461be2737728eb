"""`/`: a page for browsers, JSON for programs; and the files of the page."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response

from genre_api.model_schemas import Index
from genre_api.negotiation import best_type
from genre_api.pages import POLICY, index_page, page_files
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
        page = index_page(app.title, __version__, endpoints, str(request.base_url), service.settings.max_body_bytes)
        return HTMLResponse(page, headers={**headers, "Content-Security-Policy": POLICY})
    answer = Index(name=app.title, version=__version__, documentation="/docs", endpoints=endpoints)
    return JSONResponse(answer.model_dump(), headers=headers)


@router.get("/page/{name}", include_in_schema=False)
def page_file(name: str) -> Response:
    """Return a style, script or picture of the page."""
    if name not in page_files():
        raise HTTPException(404)
    content, media_type = page_files()[name]
    return Response(content, media_type=media_type)
