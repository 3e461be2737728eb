"""`invoke app`: the service, the window, and that nothing is left of either however they end."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from genre_gui.backends.base import ModelRequest
from genre_gui.backends.client import Client
from genre_gui.backends.errors import AwayError, ServiceError
from genre_gui.backends.service import OwnService, environment
from genre_gui.settings import Settings
from genre_runtime.errors import DeviceUnavailableError, ModelNotFoundError
from tests.gui import x11
from tests.gui.conftest import OpenWindow, drive, finished
from tests.gui.process_tree import Process, left_of, tree
from tests.gui.test_cli import own_settings
from tests.gui.test_window import text
from tests.patience import PATIENCE_SECONDS
from tests.synthetic import tone, write_audio

pytest.importorskip("genre_api", reason="the service is not installed")

ROOT = Path(__file__).parents[3]
BIN = Path(sys.executable).parent
TITLE = "Music genres"
LAUNCHER = "genre_gui.backends.launcher"
linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks at /proc and sends signals")


class App:
    """A running `invoke app`: its own process and the service."""

    def __init__(self, command: list[str], folder: Path, model: Path) -> None:
        self.log = folder / "app.log"
        environment = {**os.environ, **own_settings(folder), "GENRE_MODEL": str(model), "GENRE_WORKERS": "1"}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdout=log, stderr=log, start_new_session=True
            )
        self.seen: dict[int, Process] = {}

    def has(self, part: str) -> Process | None:
        """Return the process in whose command a word stands."""
        self.seen |= {process.pid: process for process in tree(self.process.pid)}
        return next((p for p in self.seen.values() if p.alive and any(part in word for word in p.command[:3])), None)

    def wait_for(self, condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not condition():
            assert self.process.poll() is None, f"it ended by itself: {self.log.read_text()}"
            assert time.monotonic() < deadline, f"it did not get there: {self.log.read_text()}"
            time.sleep(0.05)

    @property
    def port(self) -> int:
        """The port that the service was told to take."""
        service = self.has(LAUNCHER)
        assert service is not None
        return int(service.command[service.command.index("--port") + 1])

    def ready(self) -> bool:
        """Whether the window is there and the service answers."""
        if self.has(LAUNCHER) is None or x11.find(TITLE) is None:
            return False
        with suppress(AwayError):
            return Client(f"http://127.0.0.1:{self.port}").get("/readyz").status == 200
        return False


@pytest.fixture
def app(display: None, tmp_path: Path, model_path: Path) -> Iterator[App]:
    import tasks

    if not tasks.is_set_up():
        pytest.skip("the environment is not the one of invoke setup")
    running = App([str(BIN / "invoke"), "app"], tmp_path, model_path)
    yield running
    running.has("")
    for process in running.seen.values():
        if process.alive:
            os.kill(process.pid, signal.SIGKILL)
    running.process.wait(PATIENCE_SECONDS)


def close_button(app: App) -> None:
    x11.ask_to_close(TITLE)


def to_the_group(number: signal.Signals) -> Callable[[App], None]:
    """As a terminal does: to every process that was started in it."""
    return lambda app: os.killpg(app.process.pid, number)


def to_the_window(number: signal.Signals) -> Callable[[App], None]:
    return lambda app: os.kill(app.process.pid, number)


def to_the_service(app: App) -> None:
    service = app.has(LAUNCHER)
    assert service is not None
    os.kill(service.pid, signal.SIGKILL)
    left = left_of([process for process in app.seen.values() if process.pid != app.process.pid], PATIENCE_SECONDS)
    assert left == [], "processes of the service outlive it"
    assert app.process.poll() is None, "the window went with the service"
    x11.ask_to_close(TITLE)


@linux
@pytest.mark.parametrize(
    ("end", "status"),
    [
        pytest.param(close_button, 0, id="close button"),
        pytest.param(to_the_group(signal.SIGINT), 130, id="Ctrl-C"),
        pytest.param(to_the_window(signal.SIGTERM), 143, id="SIGTERM"),
        pytest.param(to_the_group(signal.SIGHUP), 129, id="terminal closed"),
        pytest.param(to_the_window(signal.SIGSEGV), -11, id="crash"),
        pytest.param(to_the_window(signal.SIGKILL), -9, id="SIGKILL"),
        pytest.param(to_the_service, 0, id="service killed"),
    ],
)
def test_nothing_is_left(app: App, end: Callable[[App], None], status: int) -> None:
    app.wait_for(app.ready)
    port, processes = app.port, list(app.seen.values())
    named = {Path(word).name for process in processes for word in process.command[:3]}
    assert named >= {"genre-app", LAUNCHER}
    end(app)
    assert app.process.wait(PATIENCE_SECONDS) == status
    assert left_of(processes, PATIENCE_SECONDS) == []
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS)
    assert app.log.read_text() == ""


@linux
def test_closed_before_the_service_is_ready(app: App) -> None:
    app.wait_for(lambda: app.has(LAUNCHER) and x11.find(TITLE) is not None)
    close_button(app)
    assert app.process.wait(PATIENCE_SECONDS) == 0
    assert left_of(list(app.seen.values()), PATIENCE_SECONDS) == []
    assert app.log.read_text() == ""


@linux
@pytest.mark.usefixtures("display")
def test_closed_while_the_service_is_at_work(tmp_path: Path, model_path: Path) -> None:
    songs = [str(write_audio(tmp_path / f"{number}.wav", tone(60))) for number in range(40)]
    app = App([str(BIN / "genre-app"), *songs], tmp_path, model_path)
    app.wait_for(app.ready)
    time.sleep(0.3)
    close_button(app)
    assert app.process.wait(PATIENCE_SECONDS) == 0
    assert left_of(list(app.seen.values()), PATIENCE_SECONDS) == []
    assert app.log.read_text() == ""


@pytest.fixture
def own_service(monkeypatch: pytest.MonkeyPatch, model_path: Path) -> Iterator[OwnService]:
    monkeypatch.setenv("GENRE_MODEL", str(model_path))
    monkeypatch.setenv("GENRE_WORKERS", "1")
    service = OwnService()
    yield service
    service.close()


def test_taken_port_is_said_and_another_one_used(
    open_window: OpenWindow, own_service: OwnService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        monkeypatch.setattr("genre_gui.backends.service.PREFERRED_PORT", port)
        window = open_window(own_service.load, Settings(theme="light", device="cpu"))
        drive(window, lambda: f"(port {port} is in use)" in text(window.header.link))
        window.add([str(write_audio(tmp_path / "song.wav", tone(1)))])
        drive(window, finished(window.controller, 1))
        assert window.controller.tracks[0].prediction is not None


def test_the_only_port_is_taken(open_window: OpenWindow) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        service = OwnService(port)
        window = open_window(service.load, Settings(theme="light", device="cpu"))
        drive(window, lambda: f"Port {port} cannot be used" in text(window.banner.message))
        assert text(window.banner.answers[0]) == "Try again"
    window.banner.answers[0].invoke()
    drive(window, lambda: text(window.header.link).endswith(f"connected to 127.0.0.1:{port}"))
    service.close()


def test_missing_model_is_said_and_another_one_can_be_opened(
    open_window: OpenWindow, own_service: OwnService, model_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(theme="light", device="cpu", model=str(tmp_path / "none.onnx"))
    window = open_window(own_service.load, settings)
    drive(window, lambda: "No model file at" in text(window.banner.message))
    monkeypatch.setattr("genre_gui.widgets.dialogs.model_file", lambda _: model_path)
    window.banner.answers[0].invoke()
    drive(window, lambda: "connected to" in text(window.header.link))


def test_dying_service_is_said_and_started_again(
    open_window: OpenWindow, own_service: OwnService, tmp_path: Path
) -> None:
    window = open_window(own_service.load, Settings(theme="light", device="cpu"))
    drive(window, lambda: "connected to" in text(window.header.link))
    (process,) = own_service._started
    process._process.terminate()
    drive(window, lambda: "The service has ended (status" in text(window.banner.message))
    window.add([str(write_audio(tmp_path / f"{name}.wav", tone(1))) for name in "ab"])
    drive(
        window, lambda: "waiting for the service" in text(window.tracks.message) and len(window.controller.tracks) == 2
    )
    window.banner.answers[0].invoke()
    drive(window, finished(window.controller, 2))
    assert all(track.prediction is not None for track in window.controller.tracks.values())
    assert "connected to" in text(window.header.link)


def test_a_service_that_cannot_start_says_why(own_service: OwnService, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENRE_QUEUE_LENGTH", "many")
    with pytest.raises(ServiceError, match="GENRE_QUEUE_LENGTH") as caught:
        own_service.load(ModelRequest(device="cpu"))
    assert "the service has ended (status 2" in str(caught.value)
    monkeypatch.delenv("GENRE_QUEUE_LENGTH")
    with pytest.raises(DeviceUnavailableError, match="not built for it"):
        own_service.load(ModelRequest(device="openvino"))
    monkeypatch.setenv("GENRE_MODEL", "/none.onnx")
    with pytest.raises(ModelNotFoundError):
        own_service.load(ModelRequest(device="cpu"))
    assert own_service._started == []


def test_the_model_before_stays_in_use_until_the_next_is_ready(own_service: OwnService, model_path: Path) -> None:
    first = own_service.load(ModelRequest(device="cpu"))
    with pytest.raises(DeviceUnavailableError):
        own_service.load(ModelRequest(device="openvino"))
    assert first.device == "cpu"
    (process,) = own_service._started
    assert process.ended() is None
    own_service.load(ModelRequest(model_path, "cpu"))
    assert process._process.poll() is not None
    assert process.ended() is None, "it was meant to end"


def test_what_the_person_has_set_goes_to_the_service_but_not_what_would_shut_the_window_out(tmp_path: Path) -> None:
    given = {"GENRE_MAX_BODY_BYTES": "7", "GENRE_HOST": "0.0.0.0", "GENRE_ALLOWED_HOSTS": "example.org", "PATH": "x"}
    made = environment(given, tmp_path / "a.onnx", "cpu")
    assert made["GENRE_MAX_BODY_BYTES"] == "7"
    assert made["GENRE_HOST"] == "127.0.0.1"
    assert made["GENRE_ALLOWED_HOSTS"] == ""
    assert made["GENRE_MODEL"] == str(tmp_path / "a.onnx")
    assert made["PATH"] == "x"
