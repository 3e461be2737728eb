"""The window's classifier over HTTP: against the service itself, and against servers that misbehave."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from genre_gui.backends.base import LinkState, LocalBackend, ModelRequest
from genre_gui.backends.client import Client
from genre_gui.backends.errors import (
    AddressError,
    AwayError,
    KeyRefusedError,
    NoServiceError,
    NotReadyError,
    ServiceError,
    load_failure,
)
from genre_gui.backends.remote import RemoteBackend, connecting
from genre_gui.pages.model import describe
from genre_gui.tracks import State
from genre_gui.workers.background import wait_for_threads
from genre_runtime import AudioConfig, GenreError, Prediction
from genre_runtime.errors import (
    AudioNotFoundError,
    DeviceUnavailableError,
    EmptyAudioError,
    InvalidModelError,
    UnreadableAudioError,
)
from tests.gui.conftest import OpenController, OpenWindow, drive, finished, named, wait
from tests.gui.odd_service import PREDICTION, READY, Reply, odd_service, problem
from tests.gui.test_window import text
from tests.synthetic import TAGS, cut_short, noise, tone, write_audio, write_model

pytest.importorskip("genre_api", reason="the service is not installed")

from tests.api.live import free_port, live
from tests.patience import PATIENCE_SECONDS

NEVER = threading.Event()


def fine(_: bytes) -> Reply:
    return 200, PREDICTION, {}


@pytest.fixture
def song(tmp_path: Path) -> Path:
    return write_audio(tmp_path / "song.wav", tone(25) + noise(25))


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> int:
    """The port that every service of the test listens on, one after the other."""
    chosen = free_port()
    monkeypatch.setattr("tests.api.live.free_port", lambda: chosen)
    return chosen


def classify(address: str, path: Path, *, whole: bool = False) -> Prediction | GenreError:
    return RemoteBackend(Client(address)).classify(path, whole=whole, stop=NEVER)


def test_window_service_and_command_give_the_same_probabilities(
    open_controller: OpenController, model_path: Path, song: Path, tmp_path: Path
) -> None:
    local = open_controller(lambda _: LocalBackend.load(ModelRequest(model_path, "cpu")))
    local.add([str(song)])
    wait(local, finished(local, 1))
    with live(tmp_path, model_path) as service:
        remote = open_controller(connecting(service.address))
        remote.add([str(song)])
        wait(remote, finished(remote, 1))
        answer = Client(service.address).upload("/api/predict", song, lambda: False).values()
        whole = classify(service.address, song, whole=True)
    genre = Path(sys.executable).with_name("genre")
    command = [str(part) for part in (genre, "classify", "--format", "jsonl", "--model", model_path, song)]
    line = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    windows = [named(controller, "song.wav").prediction for controller in (local, remote)]
    answers = [prediction.to_dict() for prediction in windows if prediction is not None]
    answers += [answer, json.loads(line)]
    assert len(answers) == 4
    for other in answers[1:]:
        for name in ("label", "confidence", "confident", "reason", "probabilities", "excerpts", "duration_seconds"):
            assert other[name] == answers[0][name], name
    assert isinstance(whole, Prediction)
    assert len(whole.excerpts) == 3
    assert len(answers[0]["excerpts"]) == 3


def test_how_much_was_readable_comes_through_the_service(model_path: Path, tmp_path: Path) -> None:
    part = cut_short(write_audio(tmp_path / "part.wav", tone(30)), share=0.1)
    with live(tmp_path, model_path) as service:
        answer = classify(service.address, part)
    assert isinstance(answer, Prediction)
    assert answer.remark == "only 3.0 of 30.0 s could be read"


def test_tags_come_through_the_service(tmp_path: Path) -> None:
    model, song = write_model(tmp_path, tags=TAGS), write_audio(tmp_path / "song.wav", tone(3))
    local = LocalBackend.load(ModelRequest(model, "cpu")).classify(song, whole=False, stop=NEVER)
    with live(tmp_path, model) as service:
        remote = classify(service.address, song)
    assert isinstance(local, Prediction)
    assert isinstance(remote, Prediction)
    assert remote.to_dict() == local.to_dict()
    assert (remote.music, remote.styles, remote.genre_set) == ("music", ("house",), ("tone", "noise"))


@pytest.mark.parametrize("wrong", [{"styles": ["a\nb"]}, {"moods": "sad"}, {"tags": {"": 0.5}}, {"music": "a song"}])
def test_tags_that_are_not_names_are_refused(song: Path, wrong: dict[str, Any]) -> None:
    with odd_service(lambda _: (200, {**PREDICTION, **wrong}, {})) as address:
        answer = classify(address, song)
    assert isinstance(answer, ServiceError)
    assert "its answer is not a prediction" in str(answer)


@pytest.mark.parametrize("announced", ["30", -1, float("inf"), True, [30]])
def test_an_announced_length_that_is_none_is_refused(song: Path, announced: object) -> None:
    with odd_service(lambda _: (200, {**PREDICTION, "announced_seconds": announced}, {})) as address:
        answer = classify(address, song)
    assert isinstance(answer, ServiceError)
    assert "its answer is not a prediction" in str(answer)


def test_what_the_service_tells_of_its_model_is_shown(
    open_window: OpenWindow, model_path: Path, tmp_path: Path
) -> None:
    with live(tmp_path, model_path) as service:
        window = open_window(connecting(service.address), fixed=True)
        drive(window, lambda: f"connected to 127.0.0.1:{service.port}" in text(window.header.link))
        assert text(window.header.model) == "best_model.onnx on CPU"
        assert not window.header.device.winfo_ismapped(), "a device could be chosen that the service does not take"
        window.show_page("Model")
        window.update()
        assert [number.cget("text") for number, _ in window.model.numbers] == [
            "70.0%",
            "",
            "85.0%",
            "0.700",
            "3",
        ]
        assert "noise, quiet, tone" in window.model.facts.cget("text")
        assert "Input:  3 excerpts of 10 s at 32,000 Hz" in window.model.facts.cget("text")
        assert not window.model.open.winfo_ismapped()


def test_window_waits_for_a_service_and_goes_on_when_it_is_back(
    open_window: OpenWindow, model_path: Path, tmp_path: Path, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("genre_gui.pages.connection.RETRY_MILLISECONDS", 100)
    window = open_window(connecting(f"http://127.0.0.1:{port}"), fixed=True)
    drive(window, lambda: "not connected" in text(window.header.link))
    assert "trying again" in text(window.header.link)
    window.add([str(write_audio(tmp_path / "first.wav", tone(1)))])
    drive(
        window, lambda: len(window.controller.tracks) == 1 and "waiting for the service" in text(window.tracks.message)
    )
    with live(tmp_path, model_path):
        drive(window, finished(window.controller, 1))
        assert named(window.controller, "first.wav").state == State.DONE
    drive(window, lambda: "lost" in text(window.header.link))
    window.add([str(write_audio(tmp_path / "second.wav", tone(1)))])
    drive(
        window, lambda: len(window.controller.tracks) == 2 and "waiting for the service" in text(window.tracks.message)
    )
    with live(tmp_path, model_path):
        drive(window, finished(window.controller, 2))
        drive(window, lambda: text(window.header.link).endswith(f"connected to 127.0.0.1:{port}"))
    assert named(window.controller, "second.wav").state == State.DONE


@pytest.mark.usefixtures("port")
def test_another_model_after_the_service_was_away_is_seen(
    open_window: OpenWindow, model_path: Path, tmp_path: Path
) -> None:
    other = model_path.rename(model_path.with_name("other.onnx"))
    sidecar = model_path.with_suffix(".json")
    values = json.loads(sidecar.read_text())
    values["graphs"]["waveform"]["file"] = "other.onnx"
    other.with_suffix(".json").write_text(json.dumps(values))
    model_path.write_bytes(other.read_bytes())
    with live(tmp_path, model_path) as service:
        window = open_window(connecting(service.address), fixed=True)
        drive(window, lambda: text(window.header.model).startswith("best_model.onnx"))
    drive(window, lambda: "lost" in text(window.header.link))
    with live(tmp_path, other):
        drive(window, lambda: text(window.header.model).startswith("other.onnx"))


def test_a_key_is_asked_for_sent_and_refused_in_words(
    open_window: OpenWindow, model_path: Path, song: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with live(tmp_path, model_path, api_key="a long secret") as service:
        with pytest.raises(KeyRefusedError, match="requires an API key: set GENRE_API_KEY"):
            connecting(service.address)(ModelRequest())
        monkeypatch.setenv("GENRE_API_KEY", "another secret")
        window = open_window(connecting(service.address), fixed=True)
        drive(window, lambda: "does not accept the key in GENRE_API_KEY" in text(window.banner.message))
        assert "another secret" not in text(window.banner.message)
        monkeypatch.setenv("GENRE_API_KEY", "a long secret")
        backend = connecting(service.address)(ModelRequest())
        assert isinstance(backend.classify(song, whole=False, stop=NEVER), Prediction)


def test_too_large_a_file_is_a_row_with_words(model_path: Path, song: Path, tmp_path: Path) -> None:
    with live(tmp_path, model_path, max_body_bytes=1000, max_decode_seconds=20) as service:
        refused = classify(service.address, song)
        assert isinstance(refused, ServiceError)
        assert "is too large for the service (the body has more than 1000 bytes" in str(refused)
    with live(tmp_path, model_path, max_decode_seconds=20) as service:
        limited = classify(service.address, song)
    assert isinstance(limited, GenreError)
    assert limited.code == "audio_limit"
    assert "more than 20 s" in str(limited)


def test_files_that_are_no_audio_say_the_same_as_without_a_service(model_path: Path, tmp_path: Path) -> None:
    text_file, empty = tmp_path / "notes.mp3", tmp_path / "empty.mp3"
    text_file.write_text("These are words and no music.")
    empty.touch()
    local = LocalBackend.load(ModelRequest(model_path, "cpu"))
    with live(tmp_path, model_path) as service:
        for path, kind in (
            (text_file, UnreadableAudioError),
            (empty, EmptyAudioError),
            (tmp_path / "missing.mp3", AudioNotFoundError),
            (tmp_path, UnreadableAudioError),
        ):
            found, expected = classify(service.address, path), local.classify(path, whole=False, stop=NEVER)
            assert isinstance(found, kind)
            assert str(found) == str(expected)


def test_a_busy_service_is_asked_again(song: Path) -> None:
    answers = [problem(503, "busy", "every place is taken", Retry_After="0"), problem(429, "too_many_requests"), None]

    def predict(_: bytes) -> Reply:
        return answers.pop(0) or fine(b"")

    with odd_service(predict) as address:
        assert isinstance(classify(address, song), Prediction)
    assert answers == []


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (problem(503, "timeout", "60 s are over"), "ran out of time (60 s are over)"),
        (problem(500, "internal"), "failed to classify this file (status 500): see its log under 0a1b"),
        (problem(403, "cross_site", "no\nforms\x1b[31m"), "refused this file (status 403: no forms�[31m)"),
        ((500, {}, {}), "failed to classify this file (status 500)"),
        ((200, {"label": "rock"}, {}), "its answer is not a prediction"),
        ((200, {}, {}), "its answer is not a prediction"),
        *(
            ((200, {**PREDICTION, name: value}, {}), "its answer is not a prediction")
            for name, value in (
                ("confidence", "high"),
                ("confidence", 1.5),
                ("confident", "yes"),
                ("label", "two\nlines"),
                ("label", None),
                ("label", "x" * 1000),
                ("probabilities", {}),
                ("probabilities", {"tone": None}),
                ("probabilities", ["tone"]),
                ("excerpts", []),
                ("excerpts", 7),
                ("excerpts", [{"start_seconds": 0, "end_seconds": 1e300, "probabilities": {"tone": 1.0}}]),
                ("excerpts", [{"start_seconds": 0, "end_seconds": 1, "probabilities": {"tone": 1.0}, "more": 1}]),
                ("duration_seconds", float("nan")),
                ("duration_seconds", -1),
                ("duration_seconds", 10**400),
                ("device", 3),
                ("reason", ["because"]),
            )
        ),
        (problem(413, "audio_limit", "too long"), "too long"),
    ],
)
def test_refusals_in_words(song: Path, reply: Reply, words: str) -> None:
    with odd_service(lambda _: reply) as address:
        result = classify(address, song)
    assert isinstance(result, GenreError)
    assert words in str(result)
    assert "\n" not in str(result)


def test_cancelling_ends_an_upload_at_once(open_controller: OpenController, tmp_path: Path) -> None:
    begun, released = threading.Semaphore(0), threading.Event()

    def hold(_: bytes) -> Reply:
        begun.release()
        released.wait(PATIENCE_SECONDS)
        return fine(b"")

    with odd_service(hold) as address:
        controller = open_controller(connecting(address))
        controller.add([str(write_audio(tmp_path / f"{name}.wav", tone(1))) for name in "ab"])
        wait(controller, lambda: len(controller.tracks) == 2)
        for _ in range(2):
            wait(controller, lambda: begun.acquire(blocking=False))
        controller.cancel([0])
        controller.retry([0])
        wait(controller, lambda: begun.acquire(blocking=False))  # the thread is free although nobody has answered
        controller.close()
        assert wait_for_threads(PATIENCE_SECONDS) == []
        assert not released.is_set()
        released.set()


def test_a_connection_that_breaks_at_a_file_is_no_endless_loop(song: Path) -> None:
    def hang_up(_: bytes) -> Reply:
        raise ConnectionAbortedError

    with odd_service(hang_up) as address:
        backend = RemoteBackend(Client(address))
        stop = threading.Event()
        watching = threading.Thread(target=backend.watch, args=(lambda _: None, stop))
        watching.start()
        result = backend.classify(song, whole=False, stop=NEVER)
        stop.set()
        watching.join()
    assert str(result) == "the connection to the service broke 3 times during this file"


@pytest.mark.parametrize(
    ("pages", "kind", "words"),
    [
        ({}, NoServiceError, "is not a genre service (status 404 at /readyz)"),
        ({"/readyz": {"status": "fine"}}, NoServiceError, "is not a genre service"),
        ({**READY, "/api/genres": {"genres": []}}, NoServiceError, "has no list of genres"),
        ({**READY, "/api/genres": {"genres": [1]}}, NoServiceError, "has no list of genres"),
        ({name: page for name, page in READY.items() if name != "/api/health"}, NoServiceError, "404 at /api/health"),
        ({name: page for name, page in READY.items() if name != "/api/input"}, NoServiceError, "404 at /api/input"),
        *(
            ({**READY, "/api/input": {**READY["/api/input"], **odd}}, NoServiceError, "does not tell the input")
            for odd in (
                {"audio": None},
                {"n_excerpts": -1},
                {"excerpt_seconds": "10"},
                {"audio": {**READY["/api/input"]["audio"], "n_fft": 10**12}},
                {"audio": {**READY["/api/input"]["audio"], "hop_length": 1}},
            )
        ),
    ],
)
def test_something_else_at_the_address(pages: dict[str, Any], kind: type[ServiceError], words: str) -> None:
    with odd_service(fine, pages) as address, pytest.raises(kind) as caught:
        connecting(address)(ModelRequest())
    assert words in str(caught.value)


def test_damaged_figures_of_a_model_are_left_out() -> None:
    pages = {**READY, "/api/metrics/confusion": {"matrix": [[1], ["x"]]}, "/api/metrics/history": {"history": 7}}
    with odd_service(fine, pages) as address:
        backend = connecting(address)(ModelRequest())
    assert backend.metadata.labels == ("noise", "quiet", "tone")


@pytest.mark.parametrize(
    ("told", "threshold"),
    [
        ({"confidence_threshold": 0.65}, 0.65),
        ({}, 0.0),
        *(({"confidence_threshold": x}, 0.0) for x in ("1", True, 2.0)),
    ],
)
def test_threshold_of_a_service(told: dict[str, Any], threshold: float) -> None:
    genres = {**READY["/api/genres"], **told}
    with odd_service(fine, {**READY, "/api/genres": genres}) as address:
        metadata = connecting(address)(ModelRequest()).metadata
    assert metadata.confidence_threshold == threshold
    assert ("Confident from:  65%" in describe(metadata)) == bool(threshold)


def test_input_of_a_service() -> None:
    told: dict[str, Any] = {
        "excerpt_seconds": 5.0,
        "n_excerpts": 2,
        "audio": asdict(AudioConfig(n_mels=40, sample_rate=22_050)),
    }
    with odd_service(fine, {**READY, "/api/input": told}) as address:
        metadata = connecting(address)(ModelRequest()).metadata
    assert metadata.audio == AudioConfig.from_dict(told["audio"])
    assert "Input:  2 excerpts of 5 s at 22,050 Hz, 40 mel bands" in describe(metadata)


def test_nobody_there_and_no_http() -> None:
    with pytest.raises(AwayError, match="cannot be reached"):
        connecting(f"http://127.0.0.1:{free_port()}")(ModelRequest())
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(b"220 mail.example.org ESMTP\r\n")
                connection.recv(1000)

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(NoServiceError, match="does not speak HTTP"):
            connecting(f"http://127.0.0.1:{server.getsockname()[1]}")(ModelRequest())
        thread.join()


@pytest.mark.parametrize("go_on", [b"", b"HTTP/1.1 100 Continue\r\n\r\n"])
def test_an_answer_before_the_end_of_the_upload_is_read(tmp_path: Path, go_on: bytes) -> None:
    large = tmp_path / "large.wav"
    large.write_bytes(bytes(64 * 2**20))
    n_read = 0
    with socket.create_server(("127.0.0.1", 0)) as server:

        def refuse() -> None:
            nonlocal n_read
            connection, _ = server.accept()
            with connection:
                while b"\r\n\r\n" not in connection.recv(2**16):
                    pass
                connection.sendall(go_on)
                if go_on:
                    n_read += len(connection.recv(2**16))
                connection.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\n{}")
                while block := connection.recv(2**20):
                    n_read += len(block)

        thread = threading.Thread(target=refuse)
        thread.start()
        answer = Client(f"http://127.0.0.1:{server.getsockname()[1]}").upload("/api/predict", large, lambda: False)
        thread.join(PATIENCE_SECONDS)
    assert answer.status == 413
    assert n_read < 2**25, "it was sent to its end although it was refused"
    assert n_read > 0 or not go_on


def test_without_a_model_the_service_is_not_ready(tmp_path: Path) -> None:
    with live(tmp_path, tmp_path / "none.onnx") as service, pytest.raises(NotReadyError, match="model_not_found"):
        connecting(service.address)(ModelRequest())


@pytest.mark.parametrize(
    ("code", "kind"), [("device_unavailable", DeviceUnavailableError), ("invalid_model", InvalidModelError)]
)
@pytest.mark.parametrize("told", ["the graph is damaged", None, 7])
def test_load_error_of_a_service_is_reported_as_by_the_runtime(code: str, kind: type[GenreError], told: object) -> None:
    status, values, headers = problem(503, "not_ready", f"not ready: {code}")
    with odd_service(fine, {"/readyz": (status, {**values, "load_error": told}, headers)}) as address:
        with pytest.raises(NotReadyError, match=code) as caught:
            connecting(address)(ModelRequest())
        failure = load_failure(caught.value, "cuda")
    assert isinstance(failure, kind)
    expected = told if isinstance(told, str) else f"the service could not load the model ({code})"
    assert str(failure) == expected


@pytest.mark.parametrize("url", ["127.0.0.1:8000", "ftp://a", "http://", "http://a:99999", "file:///etc/passwd", ""])
def test_no_address(url: str) -> None:
    with pytest.raises(AddressError, match=r"expected for example http://127\.0\.0\.1:8000"):
        connecting(url)


def test_link_tells_each_change_once(song: Path) -> None:
    told: list[LinkState] = []
    stop, changed = threading.Event(), threading.Event()

    def tell(link: Any) -> None:
        told.append(link.state)
        changed.set()

    with odd_service(fine) as address:
        backend = RemoteBackend(Client(address))
        watching = threading.Thread(target=backend.watch, args=(tell, stop))
        watching.start()
        assert changed.wait(PATIENCE_SECONDS)
        changed.clear()
    assert changed.wait(PATIENCE_SECONDS)
    stop.set()
    watching.join(PATIENCE_SECONDS)
    assert told == [LinkState.CONNECTED, LinkState.LOST]
