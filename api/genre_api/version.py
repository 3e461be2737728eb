"""The version of the api package, in one place."""

__version__ = "0.1.0"
