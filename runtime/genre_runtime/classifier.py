"""The classifier: audio in, genres out."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from genre_runtime.batching import SharedBatches
from genre_runtime.decoding import stream_excerpts
from genre_runtime.errors import GenreError, InvalidInputError, ModelNotFoundError, UnreadableAudioError
from genre_runtime.excerpts import MIN_EXCERPT_SECONDS, Excerpt
from genre_runtime.inputs import AudioSource
from genre_runtime.limits import DecodeLimits
from genre_runtime.metadata import ModelMetadata, read_metadata
from genre_runtime.prediction import ExcerptPrediction, Prediction, summarise
from genre_runtime.session import create_session
from genre_runtime.waveforms import excerpts_of_waveform

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

FloatArray = NDArray[np.float32]

SILENCE_PEAK = 1e-3
"""An excerpt whose loudest sample stays below this (-60 dB of full scale) is silent."""

MAX_BATCH = 32
"""Most excerpts handed to the graph at once on a GPU; a CPU takes them one by one, which keeps them in its cache."""

MODEL_NAME = "best_model.onnx"
MODEL_VARIABLE = "GENRE_MODEL"


class _FromModel:
    """Type of `FROM_MODEL`."""

    def __repr__(self) -> str:
        return "FROM_MODEL"


FROM_MODEL = _FromModel()
"""Default number of excerpts: what the model's sidecar says."""

ExcerptCount = int | None | _FromModel


def default_model_path() -> Path:
    """Return the model to use when none is named: `$GENRE_MODEL`, the repository's, or the wheel's.

    Raises
    ------
    ModelNotFoundError
    """
    if named := os.environ.get(MODEL_VARIABLE):
        return Path(named)
    package = Path(__file__).parent
    repository = package.parent.parent / "models" / MODEL_NAME
    if (package.parent / "pyproject.toml").is_file() and repository.is_file():
        return repository
    packaged = package / "model" / MODEL_NAME
    if packaged.is_file():
        return packaged
    raise ModelNotFoundError(packaged, f"run `invoke export`, or name one by ${MODEL_VARIABLE} or --model")


class GenreClassifier:
    """Classifies audio files, waveforms and log-mel spectrograms. Safe to use from several threads.

    Made by `GenreClassifier.load`.

    Attributes
    ----------
    metadata : ModelMetadata
    model_path : Path
    device : str
        The device really used.
    device_requested : str
    """

    def __init__(
        self, model_path: Path, metadata: ModelMetadata, device: str, threads: int, limits: DecodeLimits
    ) -> None:
        self.model_path = model_path
        self.metadata = metadata
        self.device_requested = device
        self._threads = threads
        self._limits = limits
        self._session, self.device = create_session(model_path, metadata, "waveform", device, threads)
        self._max_batch = 1 if self.device == "cpu" else MAX_BATCH
        self._logits_of: Callable[[FloatArray], FloatArray] = self._run_graph
        if self._max_batch > 1:
            self._logits_of = SharedBatches(self._run_graph, self._max_batch)

    @classmethod
    def load(
        cls,
        model_path: Path | str | None = None,
        *,
        device: str = "auto",
        threads: int = 0,
        limits: DecodeLimits | None = None,
    ) -> GenreClassifier:
        """Load a model.

        Parameters
        ----------
        model_path : path, optional
            The `.onnx` file; its sidecar `.json` lies beside it. By default the shipped model.
        device : str
            `auto` (CUDA if it works, else CPU), `cpu`, `cuda`, ...: a device named but not obtained is an
            error.
        threads : int
            Threads within one call of the graph; 0 takes every core.
        limits : DecodeLimits, optional
            Bounds on what is decoded from one file.

        Raises
        ------
        ModelNotFoundError, InvalidModelError, DeviceUnavailableError, MissingDependencyError
        """
        path = default_model_path() if model_path is None else Path(model_path)
        return cls(path, read_metadata(path), device, threads, limits or DecodeLimits())

    @property
    def labels(self) -> tuple[str, ...]:
        """Genres, in the order of the graph's outputs."""
        return self.metadata.labels

    def classify_file(self, source: AudioSource, *, excerpts: ExcerptCount = FROM_MODEL) -> Prediction:
        """Classify an audio file.

        Parameters
        ----------
        source : path, bytes or seekable binary file object
        excerpts : int or None, optional
            Number of excerpts to listen to, or None for the whole track, which is read in bounded memory.

        Raises
        ------
        AudioNotFoundError, EmptyAudioError, UnreadableAudioError, AudioLimitError, InvalidInputError
        """
        return self._classify_file(source, excerpts, None)

    def classify(self, waveform: NDArray[Any], sample_rate: int, *, excerpts: ExcerptCount = FROM_MODEL) -> Prediction:
        """Classify samples in memory.

        Parameters
        ----------
        waveform : float array, shape (n_samples,) or (n_samples, n_channels), in [-1, 1]
        sample_rate : int
            Hz.
        excerpts : int or None, optional
            Number of excerpts to listen to, or None for the whole track.

        Raises
        ------
        InvalidInputError, EmptyAudioError
        """
        pieces, duration = excerpts_of_waveform(
            waveform, sample_rate, self.metadata.audio.sample_rate, **self._plan(excerpts)
        )
        return self._summary(self._predict(pieces), duration, None)

    def classify_log_mel(self, log_mel: NDArray[Any]) -> Prediction:
        """Classify a log-mel spectrogram made as the model's `AudioConfig` says.

        Parameters
        ----------
        log_mel : float array, shape (n_mels, n_frames)
            Decibels; the reference level does not matter.

        Raises
        ------
        InvalidInputError
        """
        n_mels = self.metadata.audio.n_mels
        if log_mel.ndim != 2 or log_mel.shape[0] != n_mels or log_mel.shape[1] == 0:
            raise InvalidInputError(f"log_mel has shape {log_mel.shape}: expected ({n_mels}, n_frames)")
        if log_mel.dtype.kind not in "fiu" or not np.isfinite(log_mel).all():
            raise InvalidInputError("log_mel holds values that are no finite numbers: expected decibels")
        config = self.metadata.audio
        n_excerpt = config.n_frames(round(self.metadata.excerpt_seconds * config.sample_rate))
        shortest = round(MIN_EXCERPT_SECONDS / config.frame_seconds)
        starts = range(0, max(1, log_mel.shape[1] - shortest + 1), n_excerpt)
        results = []
        for start in starts:
            piece = log_mel[:, start : start + n_excerpt].astype(np.float32)
            logits = self._log_mel_session.run(["logits"], {"log_mel": piece[None]})[0]
            end = (start + piece.shape[1]) * config.frame_seconds
            silent = bool(np.ptp(piece) == 0)
            results.append(self._excerpt(start * config.frame_seconds, end, np.asarray(logits)[0], silent))
        return self._summary(results, log_mel.shape[1] * config.frame_seconds, None)

    def classify_files(
        self, paths: Iterable[Path | str], *, excerpts: ExcerptCount = FROM_MODEL, jobs: int = 0
    ) -> Iterator[Prediction | GenreError]:
        """Classify many files, several at a time.

        Parameters
        ----------
        paths : iterable of path
            Consumed as results are taken, so it may be endless.
        excerpts : int or None, optional
        jobs : int
            Files in work at once; 0 takes one a core. At most twice as many wait, which bounds memory.

        Yields
        ------
        Prediction or GenreError
            One a path, in order; an error never ends the run.
        """
        if jobs < 0:
            raise InvalidInputError(f"jobs is {jobs}: expected a positive number, or 0 for one a core")
        jobs = jobs or os.cpu_count() or 1
        stop = Event()
        with ThreadPoolExecutor(jobs, thread_name_prefix="genre") as pool:
            waiting: deque[Future[Prediction | GenreError]] = deque()
            try:
                for path in paths:
                    waiting.append(pool.submit(self._classify_or_error, path, excerpts, stop))
                    if len(waiting) >= 2 * jobs:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:  # whoever takes no more results does not wait for the files in work either
                stop.set()
                for future in waiting:
                    future.cancel()

    def _classify_or_error(self, path: Path | str, excerpts: ExcerptCount, stop: Event) -> Prediction | GenreError:
        try:
            return self._classify_file(path, excerpts, stop)
        except GenreError as error:
            return error
        except Exception as error:  # a decoder's surprise is that file's error, not the run's end
            return UnreadableAudioError(f"unexpected failure: {type(error).__name__}: {error}")

    def _classify_file(self, source: AudioSource, excerpts: ExcerptCount, stop: Event | None) -> Prediction:
        rate = self.metadata.audio.sample_rate
        stream = stream_excerpts(source, rate, limits=self._limits, stop=stop, **self._plan(excerpts))
        results = self._predict(stream)
        path = Path(source) if isinstance(source, str | os.PathLike) else None
        return self._summary(results, stream.duration_seconds, path)

    def _plan(self, excerpts: ExcerptCount) -> dict[str, Any]:
        count = self.metadata.n_excerpts if isinstance(excerpts, _FromModel) else excerpts
        return {"excerpt_seconds": self.metadata.excerpt_seconds, "n_excerpts": count}

    def _predict(self, excerpts: Iterable[Excerpt]) -> list[ExcerptPrediction]:
        """Run the graph over excerpts, neighbours of the same length together."""
        rate = self.metadata.audio.sample_rate
        results: list[ExcerptPrediction] = []
        for batch in _batches(excerpts, self._max_batch):
            logits = self._logits_of(np.stack([excerpt.waveform for excerpt in batch]))
            for excerpt, row in zip(batch, logits, strict=True):
                end = excerpt.start_seconds + excerpt.waveform.size / rate
                silent = bool(np.abs(excerpt.waveform).max() < SILENCE_PEAK)
                results.append(self._excerpt(excerpt.start_seconds, end, row, silent))
        return results

    def _run_graph(self, waveforms: FloatArray) -> FloatArray:
        logits: FloatArray = np.asarray(self._session.run(["logits"], {"waveform": waveforms})[0])
        return logits

    def _excerpt(self, start: float, end: float, logits: FloatArray, silent: bool) -> ExcerptPrediction:
        if not np.isfinite(logits).all():
            raise InvalidInputError("the model answers with NaN or infinity: the input is far from any audio level")
        exponentials = np.exp(logits.astype(np.float64) - logits.max())
        probabilities = exponentials / exponentials.sum()
        by_label = dict(zip(self.labels, probabilities.tolist(), strict=True))
        return ExcerptPrediction(start, end, by_label, silent)

    def _summary(self, results: list[ExcerptPrediction], duration: float, path: Path | None) -> Prediction:
        return summarise(
            results,
            threshold=self.metadata.confidence_threshold,
            duration_seconds=duration,
            device=self.device,
            path=path,
        )

    @cached_property
    def _log_mel_session(self) -> InferenceSession:
        path = self.model_path.with_name(self.metadata.graphs["log_mel"].file)
        session, _ = create_session(path, self.metadata, "log_mel", self.device_requested, self._threads)
        return session


def _batches(excerpts: Iterable[Excerpt], max_batch: int) -> Iterator[list[Excerpt]]:
    batch: list[Excerpt] = []
    for excerpt in excerpts:
        if batch and (len(batch) == max_batch or excerpt.waveform.size != batch[0].waveform.size):
            yield batch
            batch = []
        batch.append(excerpt)
    if batch:
        yield batch
