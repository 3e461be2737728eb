"""Inputs of several threads, put through the graph together.

From excerpts to probabilities and embeddings: the graphs of a model at work.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np

from genre_runtime.audio.excerpts import MIN_EXCERPT_SECONDS, Excerpt, FloatArray
from genre_runtime.audio.waveform import is_silent
from genre_runtime.errors import InvalidInputError, InvalidModelError
from genre_runtime.model.metadata import ModelMetadata
from genre_runtime.model.session import OUTPUTS, create_session, one_line
from genre_runtime.prediction import ExcerptPrediction

if TYPE_CHECKING:
    from onnxruntime import InferenceSession


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


MAX_BATCH = 32
"""Most excerpts handed to the graph at once on a GPU; a CPU takes them one by one, which keeps them in its cache."""


class Judge:
    """Judges excerpts by a model's graphs. Safe to use from several threads.

    Attributes
    ----------
    device : str
        The device really used.

    Raises
    ------
    ModelNotFoundError, InvalidModelError, DeviceUnavailableError, MissingDependencyError
    """

    def __init__(self, model_path: Path, metadata: ModelMetadata, device: str, threads: int) -> None:
        self._model_path, self._metadata, self._threads = model_path, metadata, threads
        self._session, self.device = create_session(model_path, metadata, "waveform", device, threads)
        self.max_batch = 1 if self.device == "cpu" else MAX_BATCH
        self.run: Callable[[FloatArray], FloatArray] = self.run_graph
        if self.max_batch > 1:
            self.run = SharedBatches(self.run_graph, self.max_batch)

    def excerpts(self, excerpts: Iterable[Excerpt]) -> list[ExcerptPrediction]:
        """Judge excerpts in order, neighbours of the same length together.

        Raises
        ------
        InvalidInputError
            The graph's answer is no number.
        """
        rate = self._metadata.audio.sample_rate
        results: list[ExcerptPrediction] = []
        for batch in _batches(excerpts, self.max_batch):
            outputs = self.run(np.stack([excerpt.waveform for excerpt in batch]))
            for excerpt, row in zip(batch, outputs, strict=True):
                end = excerpt.start_seconds + excerpt.waveform.size / rate
                silent = is_silent(excerpt.waveform)
                results.append(self._prediction(excerpt.start_seconds, end, row, silent))
        return results

    def log_mel(self, log_mel: FloatArray) -> list[ExcerptPrediction]:
        """Judge a spectrogram (n_mels, n_frames) excerpt after excerpt.

        Raises
        ------
        InvalidInputError
            The graph's answer is no number.
        """
        audio = self._metadata.audio
        n_excerpt = audio.n_frames(round(self._metadata.excerpt_seconds * audio.sample_rate))
        shortest = round(MIN_EXCERPT_SECONDS / audio.frame_seconds)
        results = []
        for start in range(0, max(1, log_mel.shape[1] - shortest + 1), n_excerpt):
            piece = log_mel[:, start : start + n_excerpt].astype(np.float32)
            (row,) = _outputs(self._log_mel_session, {"log_mel": piece[None]})
            end = (start + piece.shape[1]) * audio.frame_seconds
            results.append(self._prediction(start * audio.frame_seconds, end, row, bool(np.ptp(piece) == 0)))
        return results

    def run_graph(self, waveforms: FloatArray) -> FloatArray:
        """Map (batch, n_samples) to (batch, n_labels + n_features): logits, then the embedding."""
        return _outputs(self._session, {"waveform": waveforms})

    def _prediction(self, start: float, end: float, row: FloatArray, silent: bool) -> ExcerptPrediction:
        labels = self._metadata.labels
        logits, embedding = row[: len(labels)], row[len(labels) :]
        if not np.isfinite(logits).all():
            raise InvalidInputError("the model answers with NaN or infinity: the input is far from any audio level")
        exponentials = np.exp(logits.astype(np.float64) - logits.max())
        probabilities = exponentials / exponentials.sum()
        by_label = dict(zip(labels, probabilities.tolist(), strict=True))
        return ExcerptPrediction(start, end, by_label, silent, embedding)

    @cached_property
    def _log_mel_session(self) -> InferenceSession:
        path = self._model_path.with_name(self._metadata.graphs["log_mel"].file)
        # The device that was had, not the one asked for: another one here would be another answer.
        session, _ = create_session(path, self._metadata, "log_mel", self.device, self._threads)
        return session


def _outputs(session: InferenceSession, inputs: dict[str, FloatArray]) -> FloatArray:
    (name, batch), *_ = inputs.items()
    try:
        outputs = session.run(list(OUTPUTS), inputs)
    except Exception as error:  # ONNX Runtime raises its own classes straight below Exception
        raise InvalidModelError(
            f"ONNX Runtime cannot run the model on {name} {batch.shape}: {one_line(error)}; the graph is damaged, "
            "or the device is short of memory: export the model again, or use another device"
        ) from error
    if any(len(output) != len(batch) for output in outputs):
        raise InvalidModelError(
            f"the model answers {name} {batch.shape} with {len(outputs[0])} rows: expected one a clip, export it again"
        )
    return np.concatenate(outputs, axis=1)


def _batches(excerpts: Iterable[Excerpt], max_batch: int) -> Iterator[list[Excerpt]]:
    batch: list[Excerpt] = []
    for excerpt in excerpts:
        if batch and (len(batch) == max_batch or excerpt.waveform.size != batch[0].waveform.size):
            yield batch
            batch = []
        batch.append(excerpt)
    if batch:
        yield batch
