"""HTTP service for music genre classification.

The names are imported when they are first used, so that `genre_api.client` does not import the service.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from genre_api.app import create_app
    from genre_api.settings import Settings

__version__ = "0.1.0"

__all__ = ["Settings", "__version__", "create_app"]

_MODULES = {"create_app": "app", "Settings": "settings"}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
