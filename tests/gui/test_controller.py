"""The queue, its threads and its events; needs no screen."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import pytest

from genre_gui.backends.base import Backend, ModelRequest
from genre_gui.tracks import Result, State
from genre_gui.workers.background import Broken, Found, Notice, NotLoaded, Progressed, Started, wait_for_threads
from genre_runtime import GenreError, Prediction
from genre_runtime.errors import AudioNotFoundError, DeviceUnavailableError, ModelNotFoundError
from tests.gui.conftest import OpenController, finished, named, states, wait, wait_for
from tests.gui.fake_backend import FakeBackend, prediction
from tests.patience import PATIENCE_SECONDS
from tests.synthetic import noise, tone, write_audio


class Gate:
    """Holds every file until the test opens it, or until it is stopped."""

    def __init__(self) -> None:
        self.begun, self.opened = threading.Semaphore(0), Event()
        self.stopped: list[str] = []

    def __call__(self, path: Path, stop: Event) -> Result:
        self.begun.release()
        while not self.opened.wait(0.005):
            if stop.is_set():
                self.stopped.append(path.name)
                break
        return prediction(path)

    def wait_for(self, count: int) -> None:
        for _ in range(count):
            assert self.begun.acquire(timeout=PATIENCE_SECONDS)


def test_files_and_folders_become_tracks_with_outcomes(open_controller: OpenController, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    write_audio(folder / "tone.wav", tone(30))
    write_audio(folder / "noise.wav", noise(1))
    (folder / "notes.txt").write_text("no music")
    (folder / "broken.mp3").write_text("These are words and no music.")
    controller = open_controller()
    controller.add([str(folder), str(tmp_path / "missing.wav")])
    wait(controller, finished(controller, 4))
    assert named(controller, "tone.wav").state == State.DONE
    assert named(controller, "broken.mp3").state == State.FAILED
    assert "not an audio file" in str(named(controller, "broken.mp3").result)
    assert isinstance(named(controller, "missing.wav").result, AudioNotFoundError)
    assert isinstance(named(controller, "noise.wav").result, Prediction)


def test_folder_without_music_is_said_in_words(open_controller: OpenController, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no music")
    controller = open_controller()
    controller.add([str(tmp_path)])
    assert wait_for(controller, Notice).message == "There is no audio file in that folder, but 1 other file."
    assert controller.tracks == {}


def test_poll_takes_a_bounded_number_of_tracks(open_controller: OpenController, tmp_path: Path) -> None:
    for number in range(250):
        (tmp_path / f"{number:03}.wav").touch()
    controller = open_controller(lambda _: FakeBackend(), loaded=False)
    controller.add([str(tmp_path)])
    sizes = []
    while len(controller.tracks) < 250:
        sizes += [len(event.paths) for event in controller.poll(1) if isinstance(event, Found)]
    assert sizes == [100, 100, 50]


def test_nothing_is_classified_before_the_model_is_there(open_controller: OpenController, tmp_path: Path) -> None:
    loading, fake = Event(), FakeBackend()

    def load(_: ModelRequest) -> Backend:
        assert loading.wait(PATIENCE_SECONDS)
        return fake

    controller = open_controller(load)
    controller.add([str(tmp_path / "a.wav")])
    wait(controller, lambda: len(controller.tracks) == 1)
    assert controller.loading
    assert states(controller) == [State.WAITING]
    loading.set()
    wait(controller, finished(controller, 1))
    assert states(controller) == [State.DONE]
    assert controller.backend is fake


def test_tracks_are_classified_in_the_order_of_the_table(open_controller: OpenController, tmp_path: Path) -> None:
    fake = FakeBackend()
    controller = open_controller(lambda _: fake, jobs=1)
    controller.add([str(tmp_path / f"{name}.wav") for name in "hgfedcba"])
    wait(controller, finished(controller, 8))
    assert [path.stem for path, _ in fake.asked] == list("hgfedcba")


def test_another_model_begins_with_the_tracks_in_work_in_their_order(
    open_controller: OpenController, tmp_path: Path
) -> None:
    gate, second = Gate(), FakeBackend()
    backends = iter([FakeBackend(gate), second])
    controller = open_controller(lambda _: next(backends), jobs=1)
    controller.add([str(tmp_path / f"{name}.wav") for name in "hgfedcba"])
    wait(controller, lambda: State.ANALYSING in states(controller))
    controller.load(ModelRequest(device="cpu"))
    wait(controller, finished(controller, 8))
    assert [path.stem for path, _ in second.asked] == list("hgfedcba")


def test_cancel_ends_what_is_in_work_and_what_waits(open_controller: OpenController, tmp_path: Path) -> None:
    gate = Gate()
    controller = open_controller(lambda _: FakeBackend(gate), jobs=1)
    controller.add([str(tmp_path / f"{name}.wav") for name in "abcde"])
    wait(controller, lambda: State.ANALYSING in states(controller))
    gate.wait_for(1)
    controller.cancel()
    assert states(controller) == [State.CANCELLED] * 5
    assert controller.n_unfinished == 0
    wait(controller, lambda: gate.stopped == ["a.wav"])
    controller.poll(100)
    assert states(controller) == [State.CANCELLED] * 5, "an answer that came too late counts"


def test_one_track_is_cancelled_and_tried_again(open_controller: OpenController, tmp_path: Path) -> None:
    gate = Gate()
    controller = open_controller(lambda _: FakeBackend(gate), jobs=2)
    controller.add([str(tmp_path / "a.wav"), str(tmp_path / "b.wav")])
    wait(controller, lambda: states(controller) == [State.ANALYSING] * 2)
    controller.cancel([0])
    gate.opened.set()
    wait(controller, lambda: controller.n_unfinished == 0)
    assert states(controller) == [State.CANCELLED, State.DONE]
    controller.retry([0, 1])
    wait(controller, finished(controller, 2))
    assert states(controller) == [State.DONE, State.DONE]


def test_cancelled_whole_track_keeps_the_answer_from_excerpts(open_controller: OpenController, tmp_path: Path) -> None:
    gate = Gate()
    controller = open_controller(lambda _: FakeBackend(gate))
    controller.add([str(tmp_path / "a.wav")])
    gate.opened.set()
    wait(controller, finished(controller, 1))
    before = controller.tracks[0].result
    gate.opened.clear()
    for _ in range(2):
        controller.retry([0], whole=True)
        wait(controller, lambda: states(controller) == [State.ANALYSING])
        controller.cancel()
        track = controller.tracks[0]
        assert (track.state, track.result, track.whole) == (State.DONE, before, False)
    controller.retry([0])
    controller.cancel()
    assert states(controller) == [State.CANCELLED], "the user asked for another answer"


def test_whole_track_is_analysed_on_request(open_controller: OpenController, tmp_path: Path) -> None:
    path = write_audio(tmp_path / "tone.wav", tone(65))
    controller = open_controller()
    controller.add([str(path)])
    wait(controller, finished(controller, 1))
    few = controller.tracks[0].prediction
    controller.retry([0], whole=True)
    wait(controller, finished(controller, 1))
    all_of_it = controller.tracks[0].prediction
    assert few is not None
    assert all_of_it is not None
    assert (len(few.excerpts), len(all_of_it.excerpts)) == (3, 7)


def test_whole_track_reports_how_far_it_is_analysed(
    open_controller: OpenController, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("genre_gui.workers.tasks.PROGRESS_SECONDS", 0.0)
    path = write_audio(tmp_path / "tone.wav", tone(65))
    controller = open_controller()
    controller.add([str(path)])
    excerpts = wait(controller, finished(controller, 1))
    controller.retry([0], whole=True)
    events = wait(controller, finished(controller, 1))
    reports = [(event.seconds, event.track_seconds) for event in events if isinstance(event, Progressed)]
    assert not any(isinstance(event, Progressed) for event in excerpts)
    assert reports == [(seconds, 65.0) for seconds in (10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 65.0)]
    assert controller.tracks[0].cells().state in ("done", "not sure")


def test_progress_is_shown_until_the_track_is_cancelled(
    open_controller: OpenController, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("genre_gui.workers.tasks.PROGRESS_SECONDS", 0.0)
    gate = Gate()
    backend = FakeBackend(gate)
    controller = open_controller(lambda _: backend)
    controller.add([str(write_audio(tmp_path / "tone.wav", tone(1)))])
    wait_for(controller, Started)
    gate.wait_for(1)
    assert backend.progress is not None
    backend.progress(1800.0, 3600.0)
    wait_for(controller, Progressed)
    assert controller.tracks[0].cells().state == "analysing 50%"
    backend.progress(3601.0, 3600.0)  # longer than it claims
    wait_for(controller, Progressed)
    assert controller.tracks[0].cells().state == "analysing 99%"
    backend.progress(1800.0, None)
    wait_for(controller, Progressed)
    assert controller.tracks[0].cells().state == "analysing 30:00"
    controller.cancel()
    assert controller.tracks[0].cells().state == "cancelled"
    controller.retry([0])
    wait_for(controller, Started)
    assert controller.tracks[0].cells().state == "analysing"
    gate.opened.set()


def test_removed_tracks_are_gone_and_their_answers_too(open_controller: OpenController, tmp_path: Path) -> None:
    gate = Gate()
    controller = open_controller(lambda _: FakeBackend(gate), jobs=1)
    controller.add([str(tmp_path / f"{name}.wav") for name in "abc"])
    wait(controller, lambda: State.ANALYSING in states(controller))
    controller.remove([0, 1])
    gate.opened.set()
    wait(controller, finished(controller, 1))
    assert [track.path.name for track in controller.tracks.values()] == ["c.wav"]
    controller.remove()
    assert controller.tracks == {}


def test_close_does_not_wait(open_controller: OpenController, tmp_path: Path) -> None:
    gate = Gate()
    controller = open_controller(lambda _: FakeBackend(gate), jobs=2)
    controller.add([str(tmp_path / f"{name}.wav") for name in "abcdef"])
    wait(controller, lambda: states(controller).count(State.ANALYSING) == 2)
    gate.wait_for(2)
    controller.close()
    assert not gate.opened.is_set()
    assert wait_for_threads(PATIENCE_SECONDS) == []
    assert sorted(gate.stopped) == ["a.wav", "b.wav"], "a file was begun after the end"


def test_surprise_is_the_tracks_error_and_a_report(open_controller: OpenController, tmp_path: Path) -> None:
    def fail(path: Path, _: Event) -> Result:
        raise ZeroDivisionError("a surprise")

    controller = open_controller(lambda _: FakeBackend(fail))
    controller.add([str(tmp_path / "a.wav")])
    report = wait_for(controller, Broken).report
    assert states(controller) == [State.FAILED]
    assert "ZeroDivisionError: a surprise" in report
    assert "genre-gui 0." in report


def test_device_that_cannot_be_had_stops_the_work_until_there_is_a_new_wish(
    open_controller: OpenController, tmp_path: Path
) -> None:
    def load(request: ModelRequest) -> Backend:
        if request.device == "cuda":
            raise DeviceUnavailableError("cuda", ("cpu",), "not built for it")
        return FakeBackend()

    controller = open_controller(load)
    wait(controller, lambda: controller.backend is not None)
    controller.load(ModelRequest(device="cuda"))
    events = wait(controller, lambda: not controller.loading)
    assert [type(event) for event in events] == [NotLoaded]
    controller.add([str(tmp_path / "a.wav")])
    wait(controller, lambda: len(controller.tracks) == 1)
    assert states(controller) == [State.WAITING], "the CPU did the work though nobody said so"
    controller.load(ModelRequest(device="cpu"))
    wait(controller, finished(controller, 1))
    assert states(controller) == [State.DONE]


def test_wrong_model_leaves_the_one_in_use(open_controller: OpenController, tmp_path: Path) -> None:
    good = FakeBackend()

    def load(request: ModelRequest) -> Backend:
        if request.model is not None:
            raise ModelNotFoundError(request.model, "name another one")
        return good

    controller = open_controller(load)
    wait(controller, lambda: controller.backend is not None)
    controller.load(ModelRequest(tmp_path / "other.onnx"))
    wait(controller, lambda: not controller.loading)
    assert isinstance(controller.refused, ModelNotFoundError)
    assert controller.backend is good
    assert controller.request == ModelRequest(), "a model that was never had would be asked for the next time"
    controller.add([str(tmp_path / "a.wav")])
    wait(controller, finished(controller, 1))


def test_only_the_last_model_wished_for_counts(open_controller: OpenController) -> None:
    first, second, hold = FakeBackend(), FakeBackend(), Event()

    def load(request: ModelRequest) -> Backend:
        if request.device == "cpu":
            return second
        assert hold.wait(PATIENCE_SECONDS)
        return first

    controller = open_controller(load)
    controller.load(ModelRequest(device="cpu"))
    wait(controller, lambda: not controller.loading)
    hold.set()
    controller.close()
    assert wait_for_threads(PATIENCE_SECONDS) == []
    controller.poll(100)
    assert controller.backend is second


def test_spectrograms_come_as_an_event_and_are_kept(open_controller: OpenController, tmp_path: Path) -> None:
    controller = open_controller()
    controller.add([str(write_audio(tmp_path / "tone.wav", tone(35)))])
    wait(controller, finished(controller, 1))
    assert controller.spectrograms(0) is None
    wait(controller, lambda: controller.spectrograms(0) is not None)
    spectrograms = controller.spectrograms(0)
    assert spectrograms is not None
    answer = controller.tracks[0].prediction
    assert answer is not None
    assert [one.start_seconds for one in spectrograms] == [excerpt.start_seconds for excerpt in answer.excerpts]
    assert spectrograms[0].log_mel.shape[0] == 128


@pytest.mark.parametrize("name", ["out.csv", "out.json", "out.jsonl"])
def test_results_are_exported(open_controller: OpenController, tmp_path: Path, name: str) -> None:
    def act(path: Path, _: Event) -> Result:
        return AudioNotFoundError(path) if path.name == "b.wav" else prediction(path)

    controller = open_controller(lambda _: FakeBackend(act))
    controller.add([str(tmp_path / "a.wav"), str(tmp_path / "b.wav")])
    wait(controller, finished(controller, 2))
    controller.export(tmp_path / name, [0, 1])
    wait(controller, (tmp_path / name).exists)
    text = (tmp_path / name).read_text()
    assert "tone" in text
    assert "no file at" in text


def test_export_that_fails_is_said_in_words(open_controller: OpenController, tmp_path: Path) -> None:
    controller = open_controller()
    controller.export(tmp_path / "no folder" / "out.csv", [])
    notice = wait_for(controller, Notice)
    assert notice.bad
    assert "could not be written" in notice.message
    controller.export(tmp_path / "out.xls", [])
    notice = wait_for(controller, Notice)
    assert notice.bad
    assert "ends in .csv, .json or .jsonl" in notice.message
    assert list(tmp_path.iterdir()) == []


def test_error_of_a_backend_is_an_outcome(open_controller: OpenController, tmp_path: Path) -> None:
    controller = open_controller(lambda _: FakeBackend(lambda *_: GenreError("the service is away")))
    controller.add([str(tmp_path / "a.wav")])
    wait(controller, finished(controller, 1))
    assert str(controller.tracks[0].result) == "the service is away"


def test_close_ends_a_search_that_finds_nothing(
    open_controller: OpenController, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = Event()

    def endless(folder: Path, **_: object) -> Iterator[tuple[str, list[str], list[str]]]:
        while True:
            yield str(folder), [], ["notes.txt"]
            begun.set()

    monkeypatch.setattr("genre_runtime.library.scan.os.walk", endless)
    controller = open_controller()
    controller.add([str(tmp_path)])
    assert begun.wait(PATIENCE_SECONDS)
    controller.close()
    assert wait_for_threads(PATIENCE_SECONDS) == []
