"""Puts the shipped model into the wheel, so that an installed `genre` needs no repository.

In the repository the model lives in `models/`, beside this member; a source distribution carries its
own copy, from which a wheel can be built again.
"""

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

MODEL_FILES = ("best_model.onnx", "best_model.logmel.onnx", "best_model.json")


class ModelBuildHook(BuildHookInterface):  # type: ignore[type-arg]
    """Adds the model's files to the wheel and to the source distribution."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Include every model file; a missing one is an error, not a wheel without a model."""
        if version == "editable":  # an editable install reads the model from the repository
            return
        member = Path(self.root)
        folder = next((path for path in (member / "models", member.parent / "models") if path.is_dir()), member)
        missing = [name for name in MODEL_FILES if not (folder / name).is_file()]
        if missing:
            raise FileNotFoundError(
                f"{folder} has no {', '.join(missing)}: run `invoke export` before building genre-runtime"
            )
        target = "models" if self.target_name == "sdist" else "genre_runtime/model"
        for name in MODEL_FILES:
            build_data["force_include"][str(folder / name)] = f"{target}/{name}"
