"""Training of music genre classifiers on log-mel spectrograms."""

from genre_runtime.telemetry import disable_telemetry

disable_telemetry()  # torch imports onnxruntime for some of its features

__version__ = "0.1.0"

__all__ = ["__version__"]
