"""`tasks.py`: what `invoke setup` was told holds when it runs again by itself; changes of a recipe are passed on."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import tasks
from invoke.context import Context

from genre_training import cli


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether each installation asked for was with Ray; nothing is installed."""
    found: list[bool] = []

    def run(*command: str | Path) -> None:
        if "pip" in command:
            found.append(any("ray" in str(part).partition("[")[2] for part in command))

    monkeypatch.setattr(tasks, "STAMP", tmp_path / "setup-complete")
    monkeypatch.setattr(tasks, "PYTHON", Path(sys.executable))
    monkeypatch.setattr(tasks, "_run", run)
    return found


@pytest.mark.parametrize("ray", [False, True])
def test_changed_pins_install_ray_again_only_where_it_was_chosen(
    ray: bool, installed: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks.setup(Context(), ray=ray)
    tasks._ready()
    assert installed == [ray]
    monkeypatch.setattr(tasks, "_wanted", lambda: "other pins")
    for _ in range(2):
        tasks._ready()
    assert installed == [ray, ray]


@pytest.mark.parametrize("stamp", [None, "", "older pins", "older pins\nsomething else\n"])
def test_without_a_choice_the_default_holds(stamp: str | None, installed: list[bool]) -> None:
    if stamp is not None:
        tasks.STAMP.write_text(stamp, encoding="utf-8")
    tasks._ready()
    assert installed == [sys.platform.startswith("linux")]


def test_stamp_of_the_same_pins_without_a_choice_is_enough(installed: list[bool]) -> None:
    tasks.STAMP.write_text(tasks._wanted(), encoding="utf-8")
    tasks._ready()
    assert installed == []


@pytest.mark.parametrize("change", ["", "training.epochs=2 network.widths=[4,8]"])
def test_crossvalidate_passes_changes_on_to_folds_and_refit(
    change: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands: list[list[str]] = []
    monkeypatch.setattr(tasks, "_ready", lambda: None)
    monkeypatch.setattr(tasks, "_run", lambda *command: commands.append([str(part) for part in command[1:]]))
    tasks.crossvalidate(Context(), runs=str(tmp_path), output=str(tmp_path / "out"), change=change)
    parser = cli._parser()
    options = [parser.parse_args(command) for command in commands]
    assert [one.verb for one in options] == ["train"] * 5 + ["refit"]
    assert [one.set for one in options] == [*([*change.split(), f"data.fold={i}"] for i in range(5)), change.split()]


def test_evaluate_names_a_folder_only_if_the_training_left_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands: list[list[str]] = []
    monkeypatch.setattr(tasks, "_member", lambda *command: commands.append(list(command)))
    tasks.evaluate(Context(), str(tmp_path / "best_model.pt"))
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "data_folder.txt").touch()
    tasks.evaluate(Context(), str(tmp_path / "best_model.pt"))
    tasks.evaluate(Context(), str(tmp_path / "best_model.pt"), data="music")
    assert [command[4:] for command in commands] == [["--data", tasks.DEFAULT_DATA], [], ["--data", "music"]]
