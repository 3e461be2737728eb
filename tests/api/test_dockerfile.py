"""What the Dockerfile names is there; `test_dockerfile_lines` runs it."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from genre_api import Settings

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "api"
TEXT = (FOLDER / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
LINES = [line.split(maxsplit=1) for line in TEXT.splitlines() if line and not line.startswith("#")]


def arguments(instruction: str) -> list[str]:
    return [rest for name, rest in LINES if name == instruction]


def test_everything_copied_exists_and_is_let_through() -> None:
    allowed = (FOLDER / "Dockerfile.dockerignore").read_text(encoding="utf-8")
    for line in arguments("COPY"):
        if "--from" in line:
            continue
        for source in line.split()[:-1]:
            assert (ROOT / source).exists()
            assert f"!{source.split('/')[0]}" in allowed


def test_image_holds_the_model_and_only_what_serves() -> None:
    assert sorted(re.findall(r"models/\S+\.\w+", " ".join(arguments("COPY")))) == [
        "models/best_model.json",
        "models/best_model.logmel.onnx",
        "models/best_model.onnx",
    ]
    [install] = [line for line in arguments("RUN") if "pip install" in line]
    assert install.split()[-2:] == ['"./runtime[cpu]"', "./api"]


def test_it_runs_the_command_without_root() -> None:
    names = [name for name, _ in LINES]
    scripts = tomllib.loads((FOLDER / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"]
    [command] = arguments("CMD")
    assert re.findall(r'"(.*?)"', command)[0] in scripts
    assert names.index("USER") < names.index("CMD")
    assert arguments("USER")[0] in arguments("RUN")[-1].split()


def test_variables_are_settings_and_the_healthcheck_is_python() -> None:
    variables = re.findall(r"GENRE_(\w+)=", arguments("ENV")[0])
    assert {name.lower() for name in variables} <= set(Settings.model_fields)
    program = re.findall(r'"-c", "(.*)"\]', arguments("HEALTHCHECK")[0])[0]
    compile(program, "healthcheck", "exec")
    assert "/readyz" in program
