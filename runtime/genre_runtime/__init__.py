"""Music genre classification on ONNX Runtime.

>>> from genre_runtime import GenreClassifier
>>> classifier = GenreClassifier.load()
>>> classifier.classify_file("song.mp3").label
'rock'
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from genre_runtime.telemetry import disable_telemetry

if TYPE_CHECKING:
    from genre_runtime.audio.source import DecodeLimits
    from genre_runtime.classifier import GenreClassifier
    from genre_runtime.errors import GenreError
    from genre_runtime.model.metadata import AudioConfig, ModelMetadata
    from genre_runtime.prediction import ExcerptPrediction, Prediction

disable_telemetry()  # at import, since programs may import onnxruntime themselves before they load a model

_HOMES = {
    "GenreClassifier": "classifier",
    "DecodeLimits": "audio.source",
    "GenreError": "errors",
    "AudioConfig": "model.metadata",
    "ModelMetadata": "model.metadata",
    "ExcerptPrediction": "prediction",
    "Prediction": "prediction",
}

__version__ = "0.1.0"

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
