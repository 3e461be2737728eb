"""From a request's bytes to a spectrogram or a path. Runs in a worker thread: millions of numbers take their time."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray
from pydantic_core import from_json

from genre_api.problems import ServiceError

MAGIC = b"\x93NUMPY"


def parse_json(content: bytes, n_mels: int) -> str | NDArray[np.float32]:
    """Return what `{"path": ...}` or `{"spec": [[...]]}` holds; a spectrogram has `n_mels` rows.

    Raises
    ------
    ServiceError
        400 if it is no JSON, 422 if it is another object.
    """
    try:
        # Several times as fast as the standard library's, which matters: while it parses, no other thread runs.
        values = from_json(content)
    except ValueError as error:
        raise ServiceError(400, "invalid_body", "the body is no JSON, though its Content-Type says so") from error
    if not isinstance(values, dict) or set(values) not in ({"path"}, {"spec"}):
        raise _invalid('expected {"path": "..."} or {"spec": [[...], ...]} and nothing else')
    if "spec" in values:
        return _rows(values["spec"], n_mels)
    path = values["path"]
    if not isinstance(path, str):
        raise _invalid("path is no text")
    return path


def parse_npy(content: bytes) -> NDArray[np.float32]:
    """Return the array of a `.npy` file. Nothing is allocated on the header's word alone, and nothing unpickled.

    Raises
    ------
    ServiceError
        400 for a broken file, 422 for an array that is none of numbers in two dimensions.
    """
    file = io.BytesIO(content)
    try:
        version = npy.read_magic(file)
        read = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}[version]
        shape, fortran, dtype = read(file)
    except Exception as error:  # the header is parsed as Python, which fails in a dozen ways
        raise ServiceError(
            400, "invalid_body", f"the body begins with {content[:8]!r}, no .npy file of version 1 or 2"
        ) from error
    if len(shape) != 2 or dtype.kind not in "fiu":
        raise _invalid(f"the array has {len(shape)} dimensions of {dtype.kind!r}: expected 2 of real numbers")
    n_values, rest = shape[0] * shape[1], content[file.tell() :]
    if min(shape) < 0 or n_values * dtype.itemsize != len(rest):
        raise ServiceError(400, "invalid_body", "the .npy header names another size than the body has")
    return _float32(np.frombuffer(rest, dtype).reshape(shape, order="F" if fortran else "C"))


def _rows(rows: Any, n_mels: int) -> NDArray[np.float32]:
    """Check every row before NumPy sees it: a long text among numbers would become an array of texts of that length."""
    if not isinstance(rows, list) or len(rows) != n_mels:
        found = f"{len(rows)} rows" if isinstance(rows, list) else "no rows"
        raise _invalid(f"spec has {found}: expected {n_mels} rows of numbers, the lowest mel band first")
    if not all(isinstance(row, list) and len(row) == len(rows[0]) for row in rows):
        raise _invalid("spec is no rectangle: expected rows of the same length")
    if not all(set(map(type, row)) <= {int, float} for row in rows):
        raise _invalid("spec holds something else than numbers: expected decibels")
    try:
        return _float32(np.array([np.array(row, np.float64) for row in rows]))
    except OverflowError as error:
        raise _invalid("spec holds a number that is too large: expected decibels") from error


def _float32(array: NDArray[Any]) -> NDArray[np.float32]:
    with np.errstate(over="ignore", invalid="ignore"):  # what is too large becomes infinite, which the runtime refuses
        return array.astype(np.float32)


def _invalid(detail: str) -> ServiceError:
    return ServiceError(422, "invalid_request", detail)
