"""Runs the graphs of a model on excerpts and spectrograms; on a GPU, threads share runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np

from genre_runtime.audio.excerpts import MIN_EXCERPT_SECONDS, Excerpt, FloatArray
from genre_runtime.audio.waveform import is_silent
from genre_runtime.calibration import softmax
from genre_runtime.errors import InvalidInputError, InvalidModelError, counted
from genre_runtime.model.metadata import ModelMetadata
from genre_runtime.model.session import create_session, one_line, output_names
from genre_runtime.prediction import ExcerptPrediction

if TYPE_CHECKING:
    from onnxruntime import InferenceSession


@dataclass(eq=False)
class _Request:
    waveforms: FloatArray
    logits: FloatArray | None = None
    errors: list[Exception] = field(default_factory=list)


class SharedBatches:
    """Runs the graph on the inputs of all waiting threads at once.

    A thread that calls during a run joins the next run, so batches grow with the load and no call waits for a batch to
    fill. On a GPU this pays: a run takes about as long for one clip as for sixteen. On a CPU it does not: sixteen clips
    of 10 s take 1.7 times as long together as one after the other, since they no longer fit its cache.

    Parameters
    ----------
    run : callable
        The graph: maps (batch, n_samples) to (batch, n_outputs).
    max_batch : int
        Largest number of clips in a shared run; one call alone may have more.
    """

    def __init__(self, run: Callable[[FloatArray], FloatArray], max_batch: int) -> None:
        self._run = run
        self._max_batch = max_batch
        self._waiting: list[_Request] = []
        self._list, self._graph = Lock(), Lock()

    def __call__(self, waveforms: FloatArray) -> FloatArray:
        """Run the graph.

        Parameters
        ----------
        waveforms : float32 array, shape (batch, n_samples)

        Returns
        -------
        float32 array, shape (batch, n_outputs)

        Raises
        ------
        Exception
            What `run` raised, in every thread that shared the run.
        """
        request = _Request(waveforms)
        with self._list:
            self._waiting.append(request)
        with self._graph:
            if request in self._waiting:  # otherwise another thread's run included it
                self._run_together(self._companions(request))
        if request.errors:
            raise request.errors[0]
        assert request.logits is not None
        return request.logits

    def _companions(self, request: _Request) -> list[_Request]:
        """Remove from the list a request and those that fit into the same run, and return them."""
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
        except Exception as error:  # the classes of ONNX Runtime inherit Exception itself
            for request in requests:
                request.errors.append(error)
            return
        ends = np.cumsum([len(request.waveforms) for request in requests])[:-1]
        for request, rows in zip(requests, np.split(logits, ends), strict=True):
            request.logits = rows


MAX_BATCH = 32
"""Largest number of excerpts in a run on a GPU. On a CPU they run one by one, since one fits into its cache."""


class OnnxModel:
    """The graphs of a model in ONNX Runtime. Safe to use from several threads.

    Parameters
    ----------
    model_path : Path
        The waveform graph.
    metadata : ModelMetadata
        Its sidecar.
    device : str
        One of `DEVICES`.
    threads : int
        Threads within one operator; 0 lets ONNX Runtime decide.

    Attributes
    ----------
    device : str
        The device that is used.

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

    def classify(self, excerpts: Iterable[Excerpt]) -> list[ExcerptPrediction]:
        """Classify excerpts in order; on a GPU, neighbours of the same length run together.

        Parameters
        ----------
        excerpts : iterable of Excerpt
            Consumed as the graph runs.

        Raises
        ------
        InvalidInputError
            The graph's output is NaN or infinite.
        """
        rate, n_tags = self._metadata.audio.sample_rate, len(self._metadata.tags)
        results: list[ExcerptPrediction] = []
        for batch in _batches(excerpts, self.max_batch):
            outputs = self.run(np.stack([excerpt.waveform for excerpt in batch]))
            for excerpt, row in zip(batch, outputs, strict=True):
                end = excerpt.start_seconds + excerpt.waveform.size / rate
                silent = is_silent(excerpt.waveform)
                results.append(self._prediction(excerpt.start_seconds, end, row, n_tags, silent=silent))
        return results

    def classify_log_mel(self, log_mel: FloatArray) -> list[ExcerptPrediction]:
        """Classify a spectrogram, cut into excerpts.

        Of a model of two branches only the picture branch answers. Its embedding is left out, since it is not
        comparable with that of both branches.

        Parameters
        ----------
        log_mel : float array, shape (n_mels, n_frames)
            Decibels.

        Raises
        ------
        InvalidInputError
            The graph's output is NaN or infinite.
        """
        audio = self._metadata.audio
        n_excerpt = audio.n_frames(round(self._metadata.excerpt_seconds * audio.sample_rate))
        shortest = round(MIN_EXCERPT_SECONDS / audio.frame_seconds)
        results = []
        for start in range(0, max(1, log_mel.shape[1] - shortest + 1), n_excerpt):
            piece = log_mel[:, start : start + n_excerpt].astype(np.float32)
            (row,) = _outputs(self._log_mel_session, self._metadata, "log_mel", piece[None])
            end = (start + piece.shape[1]) * audio.frame_seconds
            result = self._prediction(start * audio.frame_seconds, end, row, 0, silent=bool(np.ptp(piece) == 0))
            results.append(result if self._metadata.fine_audio is None else replace(result, embedding=None))
        return results

    def run_graph(self, waveforms: FloatArray) -> FloatArray:
        """Run the waveform graph.

        Parameters
        ----------
        waveforms : float32 array, shape (batch, n_samples)

        Returns
        -------
        float32 array, shape (batch, n_labels + n_tags + n_features)
            Logits, logits of the tags, then the embedding.
        """
        return _outputs(self._session, self._metadata, "waveform", waveforms)

    def _prediction(self, start: float, end: float, row: FloatArray, n_tags: int, *, silent: bool) -> ExcerptPrediction:
        labels = self._metadata.labels
        logits, tags, embedding = np.split(row, np.cumsum((len(labels), n_tags)))
        if not np.isfinite(logits).all() or not np.isfinite(tags).all():
            raise InvalidInputError("the model's output is NaN or infinite: the input is far from any audio level")
        probabilities = softmax(logits.astype(np.float64))
        by_label = dict(zip(labels, probabilities.tolist(), strict=True))
        shares = (0.5 + 0.5 * np.tanh(tags / 2)).astype(np.float32)  # the sigmoid, which does not overflow this way
        return ExcerptPrediction(start, end, by_label, silent, embedding, shares if n_tags else None)

    @cached_property
    def _log_mel_session(self) -> InferenceSession:
        path = self._model_path.with_name(self._metadata.graphs["log_mel"].file)
        # The device of the waveform graph, not the requested one: on another device the results would differ.
        session, _ = create_session(path, self._metadata, "log_mel", self.device, self._threads)
        return session


def _outputs(session: InferenceSession, metadata: ModelMetadata, kind: str, batch: FloatArray) -> FloatArray:
    try:
        outputs = session.run(list(output_names(metadata, kind)), {kind: batch})
    except Exception as error:  # the classes of ONNX Runtime inherit Exception itself
        raise InvalidModelError(
            f"ONNX Runtime cannot run the model on {kind} {batch.shape}: {one_line(error)}; the graph is damaged, "
            "or the device is short of memory: export the model again, or use another device"
        ) from error
    if any(len(output) != len(batch) for output in outputs):
        raise InvalidModelError(
            f"the model answers {kind} {batch.shape} with {counted(len(outputs[0]), 'row')}: expected one for each "
            "clip; export the model again"
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
