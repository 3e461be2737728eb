"""The thread behind the window; needs no screen."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest

from genre_gui.worker import Outcome, Worker
from genre_runtime import GenreClassifier, GenreError, Prediction
from genre_runtime.errors import AudioNotFoundError, ModelNotFoundError
from tests.gui.conftest import DEADLINE_SECONDS
from tests.synthetic import noise, tone, write_audio


class FakeClassifier:
    """Does with a file what the test says."""

    def __init__(self, act: Callable[[Path], Prediction]) -> None:
        self.classify_file = act

    def load(self) -> GenreClassifier:
        return cast(GenreClassifier, self)


def next_outcome(worker: Worker) -> tuple[Path, Outcome]:
    return worker.outcomes.get(timeout=DEADLINE_SECONDS)


def wait_for_the_end_of_threads() -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while any(thread.name.startswith("genre-gui") for thread in threading.enumerate()):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_outcomes_come_in_the_order_of_the_files(classifier: GenreClassifier, tmp_path: Path) -> None:
    tone_path = write_audio(tmp_path / "tone.wav", tone(30))
    noise_path = write_audio(tmp_path / "noise.wav", noise(0.5))
    missing = tmp_path / "missing.wav"
    paths = [tone_path, missing, noise_path, tone_path]
    worker = Worker(lambda: classifier)
    for path in paths:
        worker.submit(path)
    outcomes = [next_outcome(worker) for _ in paths]
    worker.close()
    assert [path for path, _ in outcomes] == paths
    kinds = [outcome.label if isinstance(outcome, Prediction) else outcome.code for _, outcome in outcomes]
    assert kinds == ["tone", "not_found", "tone", "tone"]
    assert outcomes[0][1] == classifier.classify_file(tone_path)


def test_error_is_an_outcome(classifier: GenreClassifier, tmp_path: Path) -> None:
    worker = Worker(lambda: classifier)
    worker.submit(tmp_path / "missing.wav")
    _, outcome = next_outcome(worker)
    worker.close()
    assert isinstance(outcome, AudioNotFoundError)


def test_model_that_does_not_load_is_an_outcome_of_every_file() -> None:
    def load() -> GenreClassifier:
        raise ModelNotFoundError("best_model.onnx", "`invoke export` writes it")

    worker = Worker(load)
    paths = [Path("a.wav"), Path("b.wav")]
    for path in paths:
        worker.submit(path)
    for path in paths:
        found, outcome = next_outcome(worker)
        assert found == path
        assert isinstance(outcome, ModelNotFoundError)
    worker.close()


@pytest.mark.parametrize("stage", ["load", "classify"])
def test_unexpected_error_is_an_outcome_too(stage: str) -> None:
    def fail(*_: object) -> Prediction:
        raise ZeroDivisionError("a surprise")

    def load() -> GenreClassifier:
        if stage == "load":
            fail()
        return FakeClassifier(fail).load()

    worker = Worker(load)
    worker.submit(Path("a.wav"))
    _, outcome = next_outcome(worker)
    worker.close()
    assert isinstance(outcome, GenreError)
    assert "ZeroDivisionError: a surprise" in str(outcome)
    assert isinstance(outcome.__cause__, ZeroDivisionError)


def test_model_is_loaded_once_and_away_from_the_caller(classifier: GenreClassifier, tmp_path: Path) -> None:
    threads: list[str] = []

    def load() -> GenreClassifier:
        threads.append(threading.current_thread().name)
        return classifier

    worker = Worker(load)
    for _ in range(2):
        worker.submit(write_audio(tmp_path / "tone.wav", tone(1)))
        assert isinstance(next_outcome(worker)[1], Prediction)
    worker.close()
    assert len(threads) == 1
    assert threads != [threading.current_thread().name]


def test_close_does_not_wait_and_drops_what_has_not_begun() -> None:
    begun, released, seen = threading.Event(), threading.Event(), list[Path]()

    def classify(path: Path) -> Prediction:
        seen.append(path)
        begun.set()
        assert released.wait(DEADLINE_SECONDS)
        raise AudioNotFoundError(path)

    worker = Worker(FakeClassifier(classify).load)
    paths = [Path("a.wav"), Path("b.wav"), Path("c.wav")]
    for path in paths:
        worker.submit(path)
    assert begun.wait(DEADLINE_SECONDS)
    worker.close()
    assert worker.outcomes.empty(), "close waited for the file in work"
    released.set()
    wait_for_the_end_of_threads()
    assert seen == paths[:1]
    assert next_outcome(worker)[0] == paths[0]
    assert worker.outcomes.empty()


def test_close_while_the_model_loads() -> None:
    released, loaded = threading.Event(), threading.Event()

    def load() -> GenreClassifier:
        released.wait(DEADLINE_SECONDS)
        loaded.set()
        raise ModelNotFoundError("best_model.onnx", "")

    worker = Worker(load)
    worker.submit(Path("a.wav"))
    worker.close()
    assert not loaded.is_set()
    released.set()
    wait_for_the_end_of_threads()
    assert worker.outcomes.empty()
