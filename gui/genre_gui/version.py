"""The version of the gui package, in one place."""

__version__ = "0.1.0"
