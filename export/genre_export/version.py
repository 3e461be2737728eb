"""The version of the export package, in one place."""

__version__ = "0.1.0"
