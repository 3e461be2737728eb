"""The page that a browser is shown at `/`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

_STYLE = (
    "body{font:16px/1.5 sans-serif;max-width:44rem;margin:2rem auto;padding:0 1rem}"
    "code,pre{background:#f3f3f3;padding:.1em .3em}pre{padding:.6em;overflow:auto}td{padding:.1em 1em .1em 0}"
)


def index_page(title: str, version: str, ready: bool, endpoints: Mapping[str, Sequence[str]], address: str) -> str:
    """Return the page: what this is, how to try it, and every endpoint."""
    rows = "".join(
        f"<tr><td>{escape(' '.join(methods))}</td><td>{_link(path, methods)}</td></tr>"
        for path, methods in endpoints.items()
    )
    state = "ready" if ready else "not ready: see <a href='/readyz'>/readyz</a>"
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f"<title>{escape(title)}</title><style>{_STYLE}</style><h1>{escape(title)}</h1>"
        f"<p>Version {escape(version)}, {state}. Send a file and get its genres:</p>"
        f"<pre>curl -F file=@song.mp3 {escape(address)}api/predict</pre>"
        f"<p><a href='/docs'>Documentation</a> (loads its script from cdn.jsdelivr.net), "
        f"<a href='/openapi.json'>OpenAPI</a></p><table>{rows}</table></html>"
    )


def _link(path: str, methods: Sequence[str]) -> str:
    name = f"<code>{escape(path)}</code>"
    return f"<a href='{escape(path, quote=True)}'>{name}</a>" if "GET" in methods else name
