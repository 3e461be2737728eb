"""Which of several media types a client likes best, by its Accept header (RFC 9110, section 12.5.1)."""

from __future__ import annotations

from collections.abc import Sequence


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
