"""Training of music genre classifiers on log-mel spectrograms."""

from genre_runtime.telemetry import disable_telemetry
from genre_training.version import __version__

disable_telemetry()  # torch imports onnxruntime for some of its features

__all__ = ["__version__"]
