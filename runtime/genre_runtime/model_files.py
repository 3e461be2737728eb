"""Which model is meant: the one that is named, or the one that is shipped."""

from __future__ import annotations

import os
from pathlib import Path

from genre_runtime.errors import ModelNotFoundError

MODEL_VARIABLE = "GENRE_MODEL"
MODEL_NAME = "best_model.onnx"
_LOG_MEL_SUFFIX = ".logmel.onnx"


def default_model_path() -> Path:
    """Return the model to use when none is named: `$GENRE_MODEL`, the repository's, or the wheel's.

    Raises
    ------
    ModelNotFoundError
    """
    if named := os.environ.get(MODEL_VARIABLE):
        return Path(named)
    package = Path(__file__).parent
    repository = package.parent.parent / "models" / MODEL_NAME
    if (package.parent / "pyproject.toml").is_file() and repository.is_file():
        return repository
    packaged = package / "model" / MODEL_NAME
    if packaged.is_file():
        return packaged
    raise ModelNotFoundError(packaged, f"run `invoke export`, or name one by ${MODEL_VARIABLE} or --model")


def check_named(model_path: Path) -> None:
    """Refuse a path that is not the graph of a model, before a sidecar is missed or found foreign beside it.

    Raises
    ------
    ModelNotFoundError
    """
    if os.path.isdir(model_path):  # noqa: PTH112  # where pathlib raises, these say False
        raise ModelNotFoundError(model_path, "it is a folder; name the graph in it, such as best_model.onnx")
    if model_path.name.endswith(_LOG_MEL_SUFFIX):
        both = model_path.name.removesuffix(_LOG_MEL_SUFFIX) + ".onnx"
        raise ModelNotFoundError(model_path, f"this graph takes spectrograms alone; name {both}, which finds it")
    if model_path.suffix.lower() != ".onnx":
        raise ModelNotFoundError(model_path, "a model is named by its graph, a file such as best_model.onnx")
    if not os.path.isfile(model_path):  # noqa: PTH113
        raise ModelNotFoundError(model_path, "`invoke export` writes it, and its sidecar beside it")
