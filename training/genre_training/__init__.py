"""Training of music genre classifiers on log-mel spectrograms."""

import genre_runtime  # noqa: F401  # switches off the telemetry of onnxruntime, which torch imports

__version__ = "0.1.0"

__all__ = ["__version__"]
