"""The page that a browser is shown at `/`, and the files that it loads: its own, from this service alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from html import escape
from importlib.resources import files
from string import Template

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
