"""Threads share runs of the graph."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from genre_runtime import GenreClassifier, Prediction
from genre_runtime.model.onnx_model import SharedBatches
from tests.patience import PATIENCE_SECONDS
from tests.synthetic import noise, tone, write_audio


class Graph:
    """Answers each clip with its own mean; the first run waits for an event."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.started, self.go_on = threading.Event(), threading.Event()

    def __call__(self, waveforms: Any) -> Any:
        self.sizes.append(len(waveforms))
        self.started.set()
        assert self.go_on.wait(PATIENCE_SECONDS)
        if (waveforms < 0).any():
            raise RuntimeError("the device is gone")
        return waveforms.mean(axis=1, keepdims=True)


def clips(*values: float, n_samples: int = 4) -> Any:
    return np.repeat(np.array(values, np.float32)[:, None], n_samples, axis=1)


def run_behind_another(inputs: list[Any], max_batch: int) -> tuple[Graph, list[Any]]:
    """Run a first clip, pass in the inputs meanwhile, and return the result of each input."""
    graph = Graph()
    batches = SharedBatches(graph, max_batch)

    def call(waveforms: Any) -> Any:
        try:
            return batches(waveforms)
        except RuntimeError as error:
            return error

    with ThreadPoolExecutor(len(inputs) + 1) as pool:
        first = pool.submit(call, clips(9.0))
        assert graph.started.wait(PATIENCE_SECONDS)
        others = [pool.submit(call, waveforms) for waveforms in inputs]
        while len(batches._waiting) < len(inputs):
            threading.Event().wait(0.001)
        graph.go_on.set()
        np.testing.assert_array_equal(first.result(), [[9.0]])
        return graph, [other.result() for other in others]


def test_who_waits_goes_together_and_gets_its_own_answer() -> None:
    graph, answers = run_behind_another([clips(1, 2), clips(3), clips(4, 5, 6)], max_batch=16)
    assert graph.sizes == [1, 6]
    assert [answer.ravel().tolist() for answer in answers] == [[1, 2], [3], [4, 5, 6]]


def test_no_batch_is_larger_than_allowed_unless_one_call_is() -> None:
    graph, answers = run_behind_another([clips(*range(4)), clips(*range(3)), clips(*range(2))], max_batch=3)
    assert sorted(graph.sizes) == [1, 2, 3, 4]
    assert [len(answer) for answer in answers] == [4, 3, 2]


def test_clips_of_different_lengths_go_separately() -> None:
    graph, answers = run_behind_another([clips(1), clips(2, n_samples=7), clips(3)], max_batch=16)
    assert sorted(graph.sizes) == [1, 1, 2]
    assert [answer.item() for answer in answers] == [1, 2, 3]


def test_an_error_is_raised_in_every_thread_of_the_run_and_in_no_other() -> None:
    _, answers = run_behind_another([clips(-1), clips(2), clips(3, n_samples=7)], max_batch=16)
    assert [str(answer) for answer in answers[:2]] == ["the device is gone"] * 2
    assert answers[2].item() == 3


def test_files_classified_in_shared_batches_have_the_same_answers(
    classifier: GenreClassifier, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [write_audio(tmp_path / f"{i}.wav", tone(12) if i % 2 else noise(31, seed=i)) for i in range(6)]
    alone = list(classifier.classify_files(paths, jobs=1))
    model = classifier._model
    monkeypatch.setattr(model, "max_batch", 8)
    monkeypatch.setattr(model, "run", SharedBatches(model.run_graph, 8))
    together = list(classifier.classify_files(paths, jobs=4))
    for one, other in zip(alone, together, strict=True):
        assert isinstance(one, Prediction)
        assert isinstance(other, Prediction)
        assert one.probabilities == pytest.approx(other.probabilities, abs=1e-6)
