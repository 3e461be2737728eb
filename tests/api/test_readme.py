"""The commands of docs/service.md, run as they stand against a live service."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from genre_api.routes import model as model_module
from tests.api.figures import add_figures
from tests.api.live import live, wait_until_known, write_state
from tests.api.routes.test_index import ENDPOINTS
from tests.synthetic import tone, write_audio

DOCUMENT = Path(__file__).parents[2] / "docs" / "service.md"
ADDRESS = "http://127.0.0.1:8000"
BLOCKS = re.findall(r"^```sh\n(.*?)^```$", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
LINES = [line for block in BLOCKS for line in block.splitlines()]

pytestmark = pytest.mark.skipif(
    shutil.which("curl") is None or sys.platform == "win32", reason="needs curl and a POSIX shell"
)


def test_every_endpoint_has_a_command() -> None:
    lines = [line.replace("$(cat id)", "{job_id}") for line in LINES]
    addresses = [re.sub(r"\?.*", "", word.removeprefix(ADDRESS)) for line in lines for word in shlex.split(line)]
    assert set(ENDPOINTS) <= set(addresses)
    assert model_module.SVG in " ".join(LINES)


def test_documented_commands_work(tmp_path: Path, model_path: Path) -> None:
    write_audio(tmp_path / "song.wav", tone(2))
    add_figures(model_path)
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    state = tmp_path / "music.genre"
    write_state(state, model_path, tmp_path / "song.wav")
    with live(tmp_path, model_path, audio_roots=tmp_path, state=state, jobs=tmp_path / "jobs") as service:
        wait_until_known(service)
        for line in LINES:
            command = line.replace(ADDRESS, service.address)
            result = subprocess.run(
                command, shell=True, cwd=tmp_path, env={**os.environ, "PATH": path}, capture_output=True, text=True
            )
            assert result.returncode == 0, (command, result.stderr)
            if "/api/predict" in line:
                assert '"label":"' in result.stdout
    assert (tmp_path / "confusion.svg").read_text().startswith("<svg")
