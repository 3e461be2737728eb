"""The published JSON Schema of the sidecar, which every sidecar is held against before it is written.

`model.schema.json` (draft 2020-12) in this package is its only home; export writes a copy beside the sidecar.
`genre_runtime.model.metadata` checks what a schema cannot express: that `f_max` is above `f_min` and at most half the
sample rate, and that a whole number is not written as 3.0.
"""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

from genre_runtime.errors import GenreError

SCHEMA_FILE = "model.schema.json"


class SidecarError(GenreError, ValueError):
    """A sidecar is not as its schema says."""

    code = "sidecar"


def schema_text() -> str:
    """Return the schema as it is published."""
    return files("genre_export").joinpath(SCHEMA_FILE).read_text(encoding="utf-8")


def check_sidecar(text: str) -> None:
    """Hold the text of a sidecar against the schema.

    Raises
    ------
    SidecarError
        It is not JSON, or not as the schema says; the message names the place.
    """
    try:
        values = json.loads(text, parse_constant=_refuse)
    except ValueError as error:
        raise SidecarError(
            f"the sidecar is not JSON ({error}): expected finite numbers and plain values, so look at what training "
            "left in the checkpoint's metrics"
        ) from error
    found = best_match(_validator().iter_errors(values))
    if found is not None:
        message = found.message if len(found.message) < 200 else f"{found.message[:200]} ..."
        raise SidecarError(
            f"the sidecar is not as {SCHEMA_FILE} says, at {found.json_path}: {message}; the checkpoint comes from "
            "another version of this project, or was changed: train it again"
        )


@cache
def _validator() -> Any:
    return Draft202012Validator(json.loads(schema_text()))


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON number")
