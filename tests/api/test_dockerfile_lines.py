"""The Dockerfile's lines, run one after the other in an environment of their own: no container engine is needed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx2
import pytest

from tests.api.live import free_port
from tests.api.requests import audio_bytes
from tests.api.test_dockerfile import ROOT, TEXT, arguments
from tests.patience import PATIENCE_SECONDS

PLACE = "/opt/genre"

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the lines are for a POSIX shell")


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """What the build stage makes of the files that it copies, in another folder than `PLACE`."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)  # for a user without rights
        source, place = Path(folder, "source"), Path(folder, "genre")
        first_stage = TEXT.split("\nFROM ")[1]
        for line in arguments("COPY"):
            if "--from" not in line:
                _copy(line.split(), source)
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        for line in arguments("RUN"):
            if line in first_stage:
                command = line.replace(PLACE, str(place))
                subprocess.run(command, shell=True, cwd=source, env={**os.environ, "PATH": path}, check=True)
        shutil.rmtree(source)  # the second stage has none of it
        yield place


def _copy(names: list[str], source: Path) -> None:
    *origins, target = names
    for name in origins:
        origin, copy = ROOT / name, source / target
        if origin.is_dir():
            shutil.copytree(origin, copy, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            copy.mkdir(parents=True, exist_ok=True)
            shutil.copy(origin, copy)


@pytest.fixture
def environment(place: Path) -> dict[str, str]:
    """The variables of the image, but for a free port, which only this machine reaches."""
    line = arguments("ENV")[0].replace(PLACE, str(place)).replace("$PATH", os.environ["PATH"])
    variables = dict(part.split("=", 1) for part in line.split())
    return {**variables, "GENRE_HOST": "127.0.0.1", "GENRE_PORT": str(free_port())}


def user_without_rights(environment: Mapping[str, str]) -> str | None:
    """Another user than root, if this is root and the other can reach the interpreter."""
    if os.geteuid():
        return None
    try:
        tried = subprocess.run(["python", "-c", ""], env=environment, user="nobody", capture_output=True)
    except (OSError, KeyError):
        return None
    return None if tried.returncode else "nobody"


def test_command_and_healthcheck(environment: dict[str, str], tmp_path: Path) -> None:
    command = json.loads(arguments("CMD")[0])
    healthcheck = json.loads(arguments("HEALTHCHECK")[0].partition("CMD ")[2])
    user, cwd = user_without_rights(environment), "/"

    def healthy() -> bool:
        return not subprocess.run(healthcheck, env=environment, cwd=cwd, user=user, capture_output=True).returncode

    assert not healthy()
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, cwd=cwd, user=user, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not healthy():
            assert process.poll() is None, (tmp_path / "log").read_text()
            assert time.monotonic() < deadline, (tmp_path / "log").read_text()
            time.sleep(0.2)
        files = {"file": ("song", audio_bytes(3))}
        answer = httpx2.post(
            f"http://127.0.0.1:{environment['GENRE_PORT']}/api/predict", files=files, timeout=PATIENCE_SECONDS
        )
        assert len(answer.json()["probabilities"]) == 15, "the shipped model"
        process.send_signal(getattr(signal, arguments("STOPSIGNAL")[0]))
        assert process.wait(PATIENCE_SECONDS) in (0, -15)
        assert not healthy()
    finally:
        process.kill()
        process.wait()


def test_image_is_slim(place: Path) -> None:
    names = {path.name.split("-")[0].lower() for path in place.rglob("*.dist-info")}
    assert {"genre_api", "genre_runtime", "onnxruntime"} <= names
    assert not names & {"torch", "torchaudio", "librosa", "matplotlib", "scipy", "onnx"}


@pytest.mark.skipif(
    shutil.which("useradd") is None or not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs useradd and root"
)
def test_user_is_made(tmp_path: Path) -> None:
    [line] = [line for line in arguments("RUN") if line.startswith("useradd ")]
    (tmp_path / "etc").mkdir()
    for name in ("passwd", "group", "shadow", "gshadow"):
        (tmp_path / "etc" / name).touch()
    subprocess.run(line.replace("useradd ", f"useradd --prefix {tmp_path} ", 1), shell=True, check=True)
    [entry] = (tmp_path / "etc" / "passwd").read_text().splitlines()
    name, _, number, *_, shell = entry.split(":")
    assert name == arguments("USER")[0]
    assert int(number) > 0
    assert shell.endswith("nologin")


def test_no_line_is_left_out() -> None:
    known = ("python -m venv ", f"{PLACE}/bin/pip install ", "useradd ")
    assert [line.startswith(start) for line, start in zip(arguments("RUN"), known, strict=True)] == [True] * 3
