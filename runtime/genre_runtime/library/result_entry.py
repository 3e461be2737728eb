"""One entry of a result file: a prediction, or what went wrong, checked before anybody relies on it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genre_runtime.prediction import ExcerptPrediction, Prediction

UNFIT = (ValueError, KeyError, TypeError, AttributeError, ArithmeticError, RecursionError)
"""What `parse_result` raises of an entry that is no result."""


@dataclass(frozen=True)
class Failure:
    """A file that could not be classified: `code` is the error's, `message` its words."""

    path: Path
    code: str
    message: str


def parse_result(entry: Any) -> Prediction | Failure:
    """Check and return an entry of a result file.

    Parameters
    ----------
    entry : Any
        A JSON value; a str is parsed first.

    Raises
    ------
    Exception
        One of `UNFIT`: it is no result.
    """
    values = json.loads(entry) if isinstance(entry, str) else entry
    if not isinstance(values, dict):
        raise TypeError("this is no JSON object")
    name = values["path"]
    if not isinstance(name, str) or not name:
        raise ValueError("path is no name")
    if "error" not in values:
        return _prediction(Path(name), values)
    code, message = values["error"]["code"], values["error"]["message"]
    if not isinstance(code, str) or not isinstance(message, str):
        raise ValueError("error is not made of code and message")
    return Failure(Path(name), code, message)


def unfit_words(error: Exception) -> str:
    """Return what is wrong with an entry, in words."""
    if isinstance(error, KeyError):
        return f"{error} is missing"
    if isinstance(error, json.JSONDecodeError):
        return "this is no JSON object"
    return str(error) or type(error).__name__


def _prediction(path: Path, values: Mapping[str, Any]) -> Prediction:
    probabilities = _probabilities(values["probabilities"])
    label, confident, reason = values["label"], values["confident"], values.get("reason")
    announced = values.get("announced_seconds")  # results of older versions have none
    if label not in probabilities:
        raise ValueError(f"label {label!r} is none of the genres")
    if not isinstance(confident, bool):
        raise ValueError(f"confident is {confident!r}")
    return Prediction(
        label=label,
        confidence=_number(values["confidence"], "confidence", 1),
        confident=confident,
        reason=reason if isinstance(reason, str) else None,
        probabilities=dict(sorted(probabilities.items(), key=lambda item: -item[1])),
        excerpts=tuple(map(_excerpt, values.get("excerpts", ()))),
        duration_seconds=_number(values["duration_seconds"], "duration_seconds"),
        device=str(values.get("device", "")),
        path=path,
        announced_seconds=None if announced is None else _number(announced, "announced_seconds"),
    )


def _excerpt(values: Mapping[str, Any]) -> ExcerptPrediction:
    start = _number(values["start_seconds"], "start_seconds")
    end = _number(values["end_seconds"], "end_seconds")
    silent = bool(values.get("silent", False))
    return ExcerptPrediction(start, end, _probabilities(values["probabilities"]), silent=silent)


def _probabilities(values: Any) -> dict[str, float]:
    if not isinstance(values, dict) or not values:
        raise ValueError("probabilities are no object")
    return {label: _number(value, f"the probability of {label!r}", 1) for label, value in values.items()}


def _number(value: Any, name: str, most: float = math.inf) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most or math.isinf(value):
        raise ValueError(f"{name} is {value!r}")
    return float(value)
