"""The version of the training package, in one place."""

__version__ = "0.1.0"
