"""What the training tests share: a miniature data folder and one short run on it."""

from __future__ import annotations

import io
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pytest

from genre_training.cli import main
from tests.torch_fixtures import one_thread
from tests.training.miniature import RECIPE, write_miniature

__all__ = ["one_thread"]


@dataclass(frozen=True)
class FinishedRun:
    """A run of `genre-train train` on the miniature folder: its folders and what it printed."""

    data: Path
    output: Path
    cache: Path
    printed: str


@pytest.fixture(scope="session")
def miniature(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_miniature(tmp_path_factory.mktemp("miniature"))


@pytest.fixture(scope="session")
def finished_run(miniature: Path, tmp_path_factory: pytest.TempPathFactory) -> FinishedRun:
    folder = tmp_path_factory.mktemp("run")
    recipe = folder / "miniature.toml"
    recipe.write_text(RECIPE, encoding="utf-8")
    output, cache = folder / "models", folder / "cache"
    folders = ("--data", str(miniature), "--output", str(output), "--cache", str(cache))
    printed = io.StringIO()
    with redirect_stdout(printed):
        assert main(["train", "--config", str(recipe), "--device", "cpu", *folders]) == 0
    return FinishedRun(miniature, output, cache, printed.getvalue())
