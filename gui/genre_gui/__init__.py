"""Desktop window for music genre classification."""

from genre_gui.version import __version__

__all__ = ["__version__"]
