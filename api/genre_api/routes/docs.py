"""`/docs`: the documentation for browsers, and the files that it loads."""

from __future__ import annotations

from fastapi import APIRouter, HTTPException
from fastapi.responses import HTMLResponse, Response

from genre_api.documentation import POLICY, documentation_page, swagger_ui_files

router = APIRouter(include_in_schema=False)


@router.get("/docs")
def docs() -> HTMLResponse:
    """Return the page that shows every endpoint."""
    return _page("docs")


@router.get("/docs/oauth2-redirect")
def oauth2_redirect() -> HTMLResponse:
    """Return the page that an authorisation server sends the browser back to."""
    return _page("oauth2-redirect")


@router.get("/docs/{name}")
def docs_file(name: str) -> Response:
    """Return a script or style of Swagger UI."""
    if name not in swagger_ui_files():
        raise HTTPException(404)
    content, media_type = swagger_ui_files()[name]
    return Response(content, media_type=media_type)


def _page(name: str) -> HTMLResponse:
    return HTMLResponse(documentation_page(name), headers={"Content-Security-Policy": POLICY})
