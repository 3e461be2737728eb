"""Desktop window for music genre classification."""

__version__ = "0.1.0"

__all__ = ["__version__"]

THREAD_PREFIX = "genre-gui"
"""Begins the names of all threads of this program."""
