"""HTTP service for music genre classification."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from genre_api.app import create_app
    from genre_api.settings import Settings

__version__ = "0.1.0"

_HOMES = {"Settings": "settings", "create_app": "app"}

__all__ = ["Settings", "__version__", "create_app"]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that modules of this package can import the version."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
