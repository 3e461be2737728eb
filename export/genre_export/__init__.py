"""Export of trained genre classifiers to ONNX."""

from genre_export.version import __version__

__all__ = ["__version__"]
