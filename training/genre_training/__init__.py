"""Training of music genre classifiers on log-mel spectrograms."""

import genre_runtime  # noqa: F401  # switches off the telemetry of onnxruntime, which torch imports

__version__ = "0.1.0"

RUN_FOLDER = "run"
"""Folder beside a checkpoint with everything about the run that made it."""
STATE_NAME = "last.pt"
"""File in the folder of an unfinished run: the state after the last whole epoch."""

__all__ = ["RUN_FOLDER", "STATE_NAME", "__version__"]
