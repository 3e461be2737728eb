"""HTTP service for music genre classification."""

from genre_api.app import create_app
from genre_api.settings import Settings
from genre_api.version import __version__

__all__ = ["Settings", "__version__", "create_app"]
