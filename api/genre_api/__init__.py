"""HTTP service for music genre classification."""

from genre_api.app import create_app
from genre_api.settings import Settings

__version__ = "0.1.0"

__all__ = ["Settings", "__version__", "create_app"]
