"""Which of several media types a client likes best, by its Accept header (RFC 9110, section 12.5.1).

The page that a browser is shown at `/`, and the files that it loads: its own, from this service alone.

`/`: a page for browsers, JSON for programs; and the files of the page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from html import escape
from importlib.resources import files
from string import Template
from typing import Any

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response

from genre_api.schemas import Index
from genre_api.service import TheService


def best_type(accept: str | None, offered: Sequence[str]) -> str | None:
    """Return the offered type with the highest quality, the first of them at a tie; None if none is acceptable.

    Parameters
    ----------
    accept : str or None
        Without the header everything is acceptable.
    offered : sequence of str
        Media types such as `text/html`, the preferred one first.
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


POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; media-src blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
"""Content-Security-Policy of the page. Files of the user's choice are played from blob: addresses, and never leave by
another way than `/api`; names of files, which anyone may choose, cannot become markup or script."""

_FOLDER = files("genre_api") / "page"
_MEDIA_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


def index_page(
    title: str, version: str, endpoints: Mapping[str, Sequence[str]], address: str, max_body_bytes: int
) -> str:
    """Return the page.

    Parameters
    ----------
    title, version : str
    endpoints : mapping of paths to their methods
    address : str
        Where the service was reached, with a slash at the end.
    max_body_bytes : int
        Larger files are not sent at all.
    """
    rows = "".join(
        f"<tr><td>{escape(' '.join(methods))}</td><td>{_link(path, methods)}</td></tr>"
        for path, methods in endpoints.items()
    )
    return _template().substitute(
        title=escape(title),
        version=escape(version),
        address=escape(address),
        max_body_bytes=max_body_bytes,
        endpoints=rows,
    )


@cache
def page_files() -> Mapping[str, tuple[bytes, str]]:
    """Return the content and media type of every file that the page loads, by name."""
    found = {}
    for file in _FOLDER.iterdir():
        media_type = _MEDIA_TYPES.get(f".{file.name.rpartition('.')[2]}")
        if media_type:
            found[file.name] = (file.read_bytes(), media_type)
    return found


@cache
def _template() -> Template:
    return Template((_FOLDER / "index.html").read_text(encoding="utf-8"))


def _link(path: str, methods: Sequence[str]) -> str:
    name = f"<code>{escape(path)}</code>"
    # Relative, so that the links hold behind a proxy that serves this below a path of its own.
    return f'<a href="{escape(path.lstrip("/") or "./", quote=True)}">{name}</a>' if "GET" in methods else name


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
        page = index_page(app.title, app.version, endpoints, str(request.base_url), service.settings.max_body_bytes)
        return HTMLResponse(page, headers={**headers, "Content-Security-Policy": POLICY})
    answer = Index(name=app.title, version=app.version, documentation="/docs", endpoints=endpoints)
    return JSONResponse(answer.model_dump(), headers=headers)


@router.get("/page/{name}", include_in_schema=False)
def page_file(name: str) -> Response:
    """Return a style, script or picture of the page."""
    if name not in page_files():
        raise HTTPException(404)
    content, media_type = page_files()[name]
    return Response(content, media_type=media_type)
