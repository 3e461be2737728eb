"""Inputs of several threads, put through the graph together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]


@dataclass(eq=False)
class _Request:
    waveforms: FloatArray
    logits: FloatArray | None = None
    errors: list[Exception] = field(default_factory=list)


class SharedBatches:
    """Runs the graph on the inputs of all threads that wait for it.

    Whoever comes while the graph is at work waits, and goes with the next run: batches grow by themselves when there is
    more to do than the device keeps up with, and nobody waits for a batch to fill. This pays where a run costs
    much the same for one clip as for sixteen, on a GPU. On a CPU it does not: sixteen clips of 10 s take 1.7 times as
    long together as one after the other, since they no longer fit its cache.

    Parameters
    ----------
    run : callable
        Maps (batch, n_samples) to logits (batch, n_labels).
    max_batch : int
        Most clips a run takes; a single call may bring more by itself.
    """

    def __init__(self, run: Callable[[FloatArray], FloatArray], max_batch: int) -> None:
        self._run = run
        self._max_batch = max_batch
        self._waiting: list[_Request] = []
        self._list, self._graph = Lock(), Lock()

    def __call__(self, waveforms: FloatArray) -> FloatArray:
        """Map (batch, n_samples) to logits (batch, n_labels); an error of `run` reaches every thread it concerns."""
        request = _Request(waveforms)
        with self._list:
            self._waiting.append(request)
        with self._graph:
            if request in self._waiting:  # else another thread has taken it along
                self._run_together(self._companions(request))
        if request.errors:
            raise request.errors[0]
        assert request.logits is not None
        return request.logits

    def _companions(self, request: _Request) -> list[_Request]:
        """Take a request and those that can go with it off the list."""
        with self._list:
            together, n_clips = [request], len(request.waveforms)
            for other in self._waiting:
                fits = n_clips + len(other.waveforms) <= self._max_batch
                if other is not request and fits and other.waveforms.shape[1] == request.waveforms.shape[1]:
                    together.append(other)
                    n_clips += len(other.waveforms)
            self._waiting = [other for other in self._waiting if other not in together]
        return together

    def _run_together(self, requests: list[_Request]) -> None:
        try:
            logits = self._run(np.concatenate([request.waveforms for request in requests]))
        except Exception as error:  # ONNX Runtime raises its own classes straight below Exception
            for request in requests:
                request.errors.append(error)
            return
        ends = np.cumsum([len(request.waveforms) for request in requests])[:-1]
        for request, rows in zip(requests, np.split(logits, ends), strict=True):
            request.logits = rows
