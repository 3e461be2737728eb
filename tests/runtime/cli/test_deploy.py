"""The unit and the compose file in `docs/deploy` start a command that exists."""

from __future__ import annotations

import configparser
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from genre_runtime.cli import command_parser

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "docs" / "deploy"


def test_the_unit_starts_the_watch(tmp_path: Path) -> None:
    unit = configparser.RawConfigParser(strict=True)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string((FOLDER / "genre-watch.service").read_text(encoding="utf-8"))
    command = shlex.split(unit["Service"]["ExecStart"].replace("%h", str(tmp_path)))
    assert Path(command[0]).name == "genre"
    options = command_parser().parse_args(command[1:])
    assert (options.verb, options.write) == ("watch", True)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    text = (FOLDER / "genre-watch.service").read_text(encoding="utf-8")
    (tmp_path / "genre-watch.service").write_text(text.replace("%h/.local/bin/genre", sys.executable))
    command = ["systemd-analyze", "verify", str(tmp_path / "genre-watch.service")]
    done = subprocess.run(command, capture_output=True, text=True)
    if "initialize manager" in done.stderr:
        pytest.skip("systemd-analyze does not work here")
    assert (done.returncode, done.stderr) == (0, "")


def test_the_service_of_compose_starts_the_watch() -> None:
    yaml: Any = pytest.importorskip("yaml")
    compose = yaml.safe_load((FOLDER / "compose.watch.yaml").read_text(encoding="utf-8"))
    service = compose["services"]["genre-watch"]
    assert command_parser().parse_args(service["command"][1:]).verb == "watch"
    assert (FOLDER / service["build"]["context"]).resolve() == ROOT
    lines = service["build"]["dockerfile_inline"].splitlines()
    for line in lines:
        if line.startswith("COPY"):
            assert [name for name in line.split()[1:-1] if not (ROOT / name).exists()] == []
    assert {volume.split(":")[-1] for volume in service["volumes"]} == {"/music", "/state"}
    assert set(compose["volumes"]) == {"state"}
