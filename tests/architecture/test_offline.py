"""No process of ours asks the network, or leaves traces of ONNX Runtime's telemetry."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

from tests.api.live import live
from tests.patience import PATIENCE_SECONDS
from tests.synthetic import tone, write_audio

ROOT = Path(__file__).parents[2]
HOOK = """
import os, socket

def refuse(*words, **more):
    with open(os.environ["LOOKED_UP"], "a") as file:
        file.write(f"{words}\\n")
    raise socket.gaierror("there is no network in this test")

socket.getaddrinfo = socket.gethostbyname = refuse
"""
IMPORTERS = ("genre_runtime", "genre_training", "genre_export", "tests")
USES = {
    "variants": "import genre_export.quantize",
    "the graph that parity measures": "from genre_export.publish import runner; runner(model)",
    "devices": "from genre_runtime.model.session import available_devices; available_devices()",
    "torch's exporter": "import genre_export.graphs, torch.onnx, onnxruntime",
    "fuzzer": "import tests.fuzz.__main__",
}


@dataclass
class Watched:
    """A folder with a home, a folder for temporary files and a list of the hosts that were looked up."""

    folder: Path

    def __post_init__(self) -> None:
        self.home, self.temporary, self.hosts = (self.folder / name for name in ("home", "tmp", "hosts"))
        for folder in (self.home, self.temporary, self.folder / "hook"):
            folder.mkdir()
        (self.folder / "hook" / "sitecustomize.py").write_text(HOOK)

    @property
    def variables(self) -> dict[str, str]:
        """The environment that leads a process here."""
        return {
            "HOME": str(self.home),
            "TMPDIR": str(self.temporary),
            "LOOKED_UP": str(self.hosts),
            "PYTHONPATH": os.pathsep.join((str(self.folder / "hook"), str(ROOT))),
        }

    def run(
        self, words: Sequence[str | Path], variables: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run Python with some words in this home, without a network where the system allows that."""
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONDONTWRITEBYTECODE": "1",
            **self.variables,
            **(variables or {}),
        }
        return subprocess.run(
            [*_without_network(), sys.executable, *map(str, words)],
            env=environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            cwd=self.folder,
        )

    def traces(self) -> list[str]:
        """What telemetry leaves behind; caches of other libraries are not meant."""
        left = [str(path.relative_to(self.folder)) for path in self.home.rglob("*Microsoft*")]
        left += [str(path.relative_to(self.folder)) for path in self.temporary.rglob(".ses*")]
        return left + (self.hosts.read_text().splitlines() if self.hosts.exists() else [])


def _without_network() -> list[str]:
    """Return the words that run a command in a network namespace of its own, if there are any here."""
    unshare = shutil.which("unshare")
    if unshare is None:
        return []
    for words in ([unshare, "-n"], [unshare, "-rn"]):
        if subprocess.run([*words, "true"], capture_output=True).returncode == 0:
            return words
    return []


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    folder = tmp_path / "watched"
    folder.mkdir()
    return Watched(folder)


@pytest.fixture
def song(tmp_path: Path) -> Path:
    return write_audio(tmp_path / "song.wav", tone(1))


def cli(*words: str | Path) -> list[str | Path]:
    return ["-c", "import sys; from genre_runtime.cli import main; sys.exit(main())", *words]


def test_onnxruntime_itself_leaves_traces(watched: Watched) -> None:
    """The other tests of this module could not fail if it did not."""
    assert watched.run(["-c", "import onnxruntime"]).returncode == 0
    if not watched.traces():
        pytest.skip("this ONNX Runtime has no telemetry: the tests here hold of themselves")


def test_commands_leave_none(watched: Watched, song: Path, model_path: Path) -> None:
    for words in (["info"], ["classify", song], ["classify", song, "--jobs", "2"]):
        result = watched.run(cli(*words, "--model", model_path))
        assert result.returncode == 0, result.stderr
        assert watched.traces() == []


def test_the_service_leaves_none(
    watched: Watched, song: Path, model_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ORT_DISABLE_TELEMETRY", raising=False)
    with live(tmp_path, model_path, watched.variables) as service:
        answer = httpx2.post(
            f"{service.address}/api/predict", files={"file": song.read_bytes()}, timeout=PATIENCE_SECONDS
        )
        assert answer.status_code == 200
        assert watched.traces() == []
        service.terminate()
        service.process.wait(PATIENCE_SECONDS)
    assert watched.traces() == []


@pytest.mark.parametrize("value", ["", "0", "false"])
def test_the_variable_is_not_taken_from_outside(watched: Watched, model_path: Path, value: str) -> None:
    assert watched.run(cli("info", "--model", model_path), {"ORT_DISABLE_TELEMETRY": value}).returncode == 0
    assert watched.traces() == []


@pytest.mark.parametrize("module", IMPORTERS)
def test_onnxruntime_may_be_imported_behind_any_member(watched: Watched, module: str) -> None:
    result = watched.run(["-c", f"import {module}, onnxruntime, subprocess, sys"])
    assert result.returncode == 0, result.stderr
    assert watched.traces() == []


@pytest.mark.parametrize("code", USES.values(), ids=USES)
def test_what_imports_onnxruntime_leaves_none(watched: Watched, model_path: Path, code: str) -> None:
    result = watched.run(["-c", f"from pathlib import Path; model = Path({str(model_path)!r}); {code}"])
    assert result.returncode == 0, result.stderr
    assert watched.traces() == []


def test_package_leaves_none_after_the_environment_was_replaced(watched: Watched, model_path: Path) -> None:
    code = f"""
import os, genre_runtime
os.environ.pop("ORT_DISABLE_TELEMETRY")
genre_runtime.GenreClassifier.load({str(model_path)!r})
"""
    result = watched.run(["-c", code])
    assert result.returncode == 0, result.stderr
    assert watched.traces() == []


def test_children_inherit_it(watched: Watched) -> None:
    code = "import genre_runtime, subprocess, sys; subprocess.run([sys.executable, '-c', 'import onnxruntime'])"
    assert watched.run(["-c", code]).returncode == 0
    assert watched.traces() == []


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_in_the_place_of_the_session_file_hangs_nothing(watched: Watched, song: Path, model_path: Path) -> None:
    os.mkfifo(watched.temporary / ".ses")
    result = watched.run(cli("classify", song, "--model", model_path))
    assert result.returncode == 0, result.stderr


def test_a_link_in_the_place_of_the_session_file_is_not_followed(
    watched: Watched, song: Path, model_path: Path
) -> None:
    target = watched.folder / "precious.txt"
    target.write_text("precious")
    (watched.temporary / ".ses").symlink_to(target)
    result = watched.run(cli("classify", song, "--model", model_path))
    assert result.returncode == 0, result.stderr
    assert target.read_text() == "precious"
