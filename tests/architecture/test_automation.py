"""The workflows and hooks of the repository: they call the tasks and tools that any machine has."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import tasks

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_call_only_tasks(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    commands = re.findall(r"run: (.+)$", text, re.MULTILINE)
    assert len(commands) == text.count("- run:")
    called = [command.removeprefix("invoke ").split()[0] for command in commands if command != "pip install invoke"]
    assert called
    assert all(hasattr(tasks, name.replace("-", "_")) for name in called)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_run_every_version_of_python(path: Path) -> None:
    (listed,) = re.findall(r"python: \[(.+)\]", path.read_text(encoding="utf-8"))
    (major, oldest), (_, newest) = tasks.OLDEST, tasks.NEWEST
    assert listed == ", ".join(f'"{major}.{minor}"' for minor in range(oldest, newest + 1))


def test_uv_knows_that_the_two_onnxruntimes_exclude_each_other() -> None:
    settings = tomllib.loads((ROOT / "runtime" / "pyproject.toml").read_text(encoding="utf-8"))
    assert settings["tool"]["uv"]["conflicts"] == [[{"extra": "cpu"}, {"extra": "gpu"}]]


def test_tests_have_one_patience() -> None:
    """What ends a hang on a fast machine ends the work of a slow one."""
    own = re.compile(r"timeout=[1-9]|\.(wait|join)\([1-9]|monotonic\(\) \+ [1-9]")
    modules = (
        path for path in (ROOT / "tests").rglob("*.py") if "benchmarks" not in path.parts and path != Path(__file__)
    )
    assert [path for path in modules if own.search(path.read_text(encoding="utf-8"))] == []
