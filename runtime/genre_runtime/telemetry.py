"""ONNX Runtime's telemetry, which is switched off before `onnxruntime` is imported."""

from __future__ import annotations

import os

VARIABLE = "ORT_DISABLE_TELEMETRY"
"""ONNX Runtime reads this variable while it is imported; `disable_telemetry_events()` of its own is too late."""


def disable_telemetry() -> None:
    """Switch ONNX Runtime's telemetry off for this process and the processes that it starts.

    ONNX Runtime 1.32 looks up a host of its manufacturer, keeps events in `~/.cache/Microsoft` and opens `.ses` in the
    folder for temporary files as soon as it is imported. Importing `genre_runtime` calls this function. A program that
    imports `onnxruntime` before `genre_runtime` has to set `ORT_DISABLE_TELEMETRY=1` itself.

    The variable is set whatever its value was: this package promises to work offline.
    """
    os.environ[VARIABLE] = "1"
