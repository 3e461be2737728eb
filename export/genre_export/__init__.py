"""Export of trained genre classifiers to ONNX."""

from genre_export.version import __version__
from genre_runtime.telemetry import disable_telemetry

disable_telemetry()  # modules of this package and of torch.onnx import onnxruntime

__all__ = ["__version__"]
