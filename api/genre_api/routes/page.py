"""What a browser shows: the page at `/`, the documentation at `/docs`, and the files that both load."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from html import escape
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import PurePath
from string import Template
from typing import Any

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response

from genre_api.schemas import Index
from genre_api.service import TheService

PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; media-src blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
"""Content-Security-Policy of the page. Files that the user chooses are played from blob: addresses and sent to `/api`
only. File names, which may be hostile, cannot become markup or script."""

DOCS_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "media-src blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Content-Security-Policy of the documentation. The style sheet of Swagger UI contains pictures, Swagger UI shows
pictures and audio from blob: addresses, and its scripts need `innerHTML`, unlike those of the page."""

_PAGE = files("genre_api") / "page"
_SWAGGER_UI = files("genre_api") / "swagger_ui"
_SWAGGER_UI_NAMES = ("swagger-ui-bundle.js", "swagger-ui.css", "oauth2-redirect.js")
_MEDIA_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_HTML = {200: {"content": {"text/html": {"schema": {"type": "string"}, "example": "<!doctype html>..."}}}}

router = APIRouter(tags=["about"])


@router.get("/", response_model=Index, responses=_HTML)  # type: ignore[arg-type]
def index(request: Request, service: TheService) -> Response:
    """Return what this service is and where its endpoints are: HTML if the Accept header prefers it.

    \f

    Parameters
    ----------
    request : Request
        The request.
    service : Service
        State of the running service.
    """
    app = request.app
    paths: dict[str, dict[str, Any]] = app.openapi()["paths"]
    endpoints = {path: sorted(method.upper() for method in methods) for path, methods in paths.items()}
    headers = {"Vary": "Accept"}
    if best_type(request.headers.get("accept"), ("application/json", "text/html")) == "text/html":
        settings = service.settings
        page = index_page(
            app.title,
            app.version,
            endpoints,
            str(request.base_url),
            settings.max_body_bytes,
            similar=settings.state is not None,
        )
        return HTMLResponse(page, headers={**headers, "Content-Security-Policy": PAGE_POLICY})
    answer = Index(name=app.title, version=app.version, documentation="/docs", endpoints=endpoints)
    return JSONResponse(answer.model_dump(), headers=headers)


@router.get("/page/{name}", include_in_schema=False)
def page_file(name: str) -> Response:
    """Return a style sheet, script or picture of the page.

    \f

    Parameters
    ----------
    name : str
        Name of the file.
    """
    return _file(page_files(), name)


@router.get("/docs", include_in_schema=False)
def docs() -> HTMLResponse:
    """Return the page that documents every endpoint, drawn by Swagger UI."""
    return _documentation("docs")


@router.get("/docs/oauth2-redirect", include_in_schema=False)
def oauth2_redirect() -> HTMLResponse:
    """Return the page to which an authorisation server sends the browser back."""
    return _documentation("oauth2-redirect")


@router.get("/docs/{name}", include_in_schema=False)
def docs_file(name: str) -> Response:
    """Return a script or style sheet of Swagger UI.

    \f

    Parameters
    ----------
    name : str
        Name of the file.
    """
    return _file(swagger_ui_files(), name)


def best_type(accept: str | None, offered: Sequence[str]) -> str | None:
    """Return the media type that an Accept header prefers (RFC 9110, section 12.5.1).

    Parameters
    ----------
    accept : str or None
        The header; None accepts every type.
    offered : sequence of str
        Media types such as `text/html`, the default one first.

    Returns
    -------
    str or None
        The offered type with the highest quality, the first of them in a tie; None if none is acceptable.
    """
    if accept is None or not accept.strip():
        return offered[0]
    ranges = [_parsed(part) for part in accept.split(",") if part.strip()]
    best, best_quality = None, 0.0
    for media_type in offered:
        matching = [(specific, quality) for name, specific, quality in ranges if _matches(name, media_type)]
        quality = max(matching)[1] if matching else 0.0
        if quality > best_quality:
            best, best_quality = media_type, quality
    return best


def index_page(
    title: str,
    version: str,
    endpoints: Mapping[str, Sequence[str]],
    address: str,
    max_body_bytes: int,
    *,
    similar: bool = False,
) -> str:
    """Return the page.

    Parameters
    ----------
    title, version : str
        Name and version of the service.
    endpoints : mapping of str to sequence of str
        Methods by path.
    address : str
        Address of the service, with a slash at the end.
    max_body_bytes : int
        Size above which the page does not send a file.
    similar : bool, optional
        Whether the page offers similar tracks.

    Returns
    -------
    str
        HTML whose addresses are relative, so that a proxy can serve it below any path.
    """
    rows = "".join(
        f"<tr><td>{escape(' '.join(methods))}</td><td>{_link(path, methods)}</td></tr>"
        for path, methods in endpoints.items()
    )
    return Template(_html("index")).substitute(
        title=escape(title),
        version=escape(version),
        address=escape(address),
        max_body_bytes=max_body_bytes,
        similar=" data-similar" if similar else "",
        endpoints=rows,
    )


@cache
def page_files() -> Mapping[str, tuple[bytes, str]]:
    """Return the content and media type of every file that the page loads, by name."""
    return _contents([path for path in _PAGE.iterdir() if PurePath(path.name).suffix in _MEDIA_TYPES])


@cache
def swagger_ui_files() -> Mapping[str, tuple[bytes, str]]:
    """Return the content and media type of every file of Swagger UI that the documentation loads, by name."""
    return _contents([_SWAGGER_UI / name for name in _SWAGGER_UI_NAMES])


def _contents(paths: Sequence[Traversable]) -> dict[str, tuple[bytes, str]]:
    return {path.name: (path.read_bytes(), _MEDIA_TYPES[PurePath(path.name).suffix]) for path in paths}


def _file(known: Mapping[str, tuple[bytes, str]], name: str) -> Response:
    if name not in known:
        raise HTTPException(404)
    content, media_type = known[name]
    return Response(content, media_type=media_type)


def _documentation(name: str) -> HTMLResponse:
    return HTMLResponse(_html(name), headers={"Content-Security-Policy": DOCS_POLICY})


@cache
def _html(name: str) -> str:
    return (_PAGE / f"{name}.html").read_text(encoding="utf-8")


def _parsed(part: str) -> tuple[str, int, float]:
    """Return a range's name, how specific it is, and its quality."""
    name, *parameters = (piece.strip().lower() for piece in part.split(";"))
    quality = 1.0
    for parameter in parameters:
        key, _, value = parameter.partition("=")
        if key.strip() == "q":
            try:
                quality = min(1.0, max(0.0, float(value)))
            except ValueError:
                quality = 0.0
    return name, 2 - name.count("*"), quality


def _matches(name: str, media_type: str) -> bool:
    return name in ("*/*", media_type, f"{media_type.partition('/')[0]}/*")


def _link(path: str, methods: Sequence[str]) -> str:
    name = f"<code>{escape(path)}</code>"
    linked = "GET" in methods and "{" not in path
    return f'<a href="{escape(path.lstrip("/") or "./", quote=True)}">{name}</a>' if linked else name
