"""Music genre classification on ONNX Runtime.

>>> from genre_runtime import GenreClassifier
>>> classifier = GenreClassifier.load()
>>> classifier.classify_file("song.mp3").label
'rock'
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from genre_runtime.telemetry import disable_telemetry
from genre_runtime.version import __version__

if TYPE_CHECKING:
    from genre_runtime.classifier import GenreClassifier
    from genre_runtime.errors import GenreError
    from genre_runtime.limits import DecodeLimits
    from genre_runtime.metadata import AudioConfig, ModelMetadata
    from genre_runtime.prediction import ExcerptPrediction, Prediction

disable_telemetry()  # at import, since programs may import onnxruntime themselves before they load a model

_HOMES = {
    "GenreClassifier": "classifier",
    "DecodeLimits": "limits",
    "GenreError": "errors",
    "AudioConfig": "metadata",
    "ModelMetadata": "metadata",
    "ExcerptPrediction": "prediction",
    "Prediction": "prediction",
}

__all__ = [
    "AudioConfig",
    "DecodeLimits",
    "ExcerptPrediction",
    "GenreClassifier",
    "GenreError",
    "ModelMetadata",
    "Prediction",
    "__version__",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: `import genre_runtime` itself stays quick."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
