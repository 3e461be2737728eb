"""Export of trained genre classifiers to ONNX."""

from genre_runtime.telemetry import disable_telemetry

disable_telemetry()  # modules of this package and of torch.onnx import onnxruntime

__version__ = "0.1.0"

__all__ = ["__version__"]
