"""Answers as the state file holds them: packed, and checked when they are read back."""

from __future__ import annotations

import json
import zlib
from dataclasses import replace
from typing import Any

import numpy as np

from genre_runtime.errors import LASTING, GenreError
from genre_runtime.library.result_entry import UNFIT, Failure, parse_result
from genre_runtime.prediction import FloatArray, Prediction
from genre_runtime.version import __version__

LARGEST_BLOB = 1 << 26
"""Bytes of an answer as it is stored."""

LARGEST_ANSWER = 1 << 26
"""Bytes of an answer unpacked; a day of ten-second excerpts has some four million."""

_CODES = {error.code for error in LASTING}


class KnownError(GenreError, ValueError):
    """An error of an earlier run: neither file nor runtime has changed since, so it would be the same again."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code  # type: ignore[misc]


def packed(result: Prediction | GenreError) -> tuple[bytes, bytes | None]:
    """Return the answer and the embedding as bytes."""
    if isinstance(result, GenreError):
        values: dict[str, Any] = {"error": {"code": result.code, "message": str(result), "version": __version__}}
        return zlib.compress(json.dumps(values).encode()), None
    embedding = None if result.embedding is None else result.embedding.astype("<f2").tobytes()
    return zlib.compress(json.dumps(result.to_dict()).encode()), embedding


def unpacked(answer: object, embedding: object) -> Prediction | GenreError | None:
    """Return what was packed, or None where that is damaged or of no use: then the file is classified again."""
    try:
        values = json.loads(_inflated(answer))
        if isinstance(values, dict) and "error" in values:
            return _error(values["error"])
        result = parse_result(values)
        if isinstance(result, Failure):
            return None
        _check(result)
        return replace(result, embedding=_floats(embedding))
    except (*UNFIT, zlib.error):
        return None


def _inflated(answer: object) -> bytes:
    if not isinstance(answer, bytes):
        raise TypeError("an answer is stored as bytes")
    unpacker = zlib.decompressobj()
    content = unpacker.decompress(answer, LARGEST_ANSWER)
    if not unpacker.eof or unpacker.unused_data:
        raise ValueError("the answer is cut short, or longer than any")
    return content


def _error(values: Any) -> GenreError | None:
    if values["version"] != __version__:  # the decoders of another version may read the file
        return None
    code, message = values["code"], values["message"]
    return KnownError(code, message) if code in _CODES and isinstance(message, str) else None


def _check(prediction: Prediction) -> None:
    """Raise ValueError for what no classifier answers, though results in general may hold it."""
    if not prediction.excerpts:
        raise ValueError("an answer has excerpts")
    if any(excerpt.probabilities.keys() != prediction.probabilities.keys() for excerpt in prediction.excerpts):
        raise ValueError("the excerpts have other genres than the track")
    if not prediction.device:
        raise ValueError("an answer has a device")


def _floats(embedding: object) -> FloatArray | None:
    if embedding is None:
        return None
    if not isinstance(embedding, bytes):
        raise TypeError("an embedding is stored as bytes")
    floats = np.frombuffer(embedding, "<f2").astype(np.float32)
    if not floats.size or not np.isfinite(floats).all():
        raise ValueError("an embedding has finite numbers")
    return floats
