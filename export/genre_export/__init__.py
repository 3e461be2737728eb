"""Export of trained genre classifiers to ONNX."""

import genre_runtime  # noqa: F401  # switches off the telemetry of onnxruntime, which torch.onnx imports

__version__ = "0.1.0"

__all__ = ["__version__"]
