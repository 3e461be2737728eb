"""The documentation at `/docs`: Swagger UI, all of whose files are part of this package.

`/docs`: the documentation for browsers, and the files that it loads.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files

from fastapi import APIRouter, HTTPException
from fastapi.responses import HTMLResponse, Response

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "media-src blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Content-Security-Policy of the documentation. Swagger UI has pictures in its style sheet, and shows an answer that is
a picture or audio from a blob: address; unlike the page's, its scripts need `innerHTML`."""

_SWAGGER_UI = files("genre_api") / "swagger_ui"
_PAGES = files("genre_api") / "page"
_MEDIA_TYPES = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "oauth2-redirect.js": "text/javascript",
}


@cache
def documentation_page(name: str) -> str:
    """Return a page of the documentation.

    Parameters
    ----------
    name : {"docs", "oauth2-redirect"}

    Returns
    -------
    str
        HTML with relative addresses, so that it can be served below any path.
    """
    return (_PAGES / f"{name}.html").read_text(encoding="utf-8")


@cache
def swagger_ui_files() -> Mapping[str, tuple[bytes, str]]:
    """Return the content and media type of every file of Swagger UI that a page loads, by name."""
    return {name: ((_SWAGGER_UI / name).read_bytes(), kind) for name, kind in _MEDIA_TYPES.items()}


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
