"""The version of the runtime, in one place."""

__version__ = "0.1.0"
