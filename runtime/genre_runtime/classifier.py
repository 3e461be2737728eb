"""The classifier: audio in, genres out."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from genre_runtime.audio.decoding import stream_excerpts
from genre_runtime.audio.excerpts import ExcerptStream, TrackLength
from genre_runtime.audio.source import AudioSource, DecodeLimits
from genre_runtime.audio.waveform import excerpts_of_waveform
from genre_runtime.errors import GenreError, InvalidInputError, UnexpectedFailureError
from genre_runtime.model.metadata import ModelMetadata, check_named, default_model_path, read_metadata
from genre_runtime.model.onnx_model import Judge
from genre_runtime.parallel import available_cores, ordered_map
from genre_runtime.prediction import ExcerptPrediction, Prediction, summarise

if TYPE_CHECKING:
    from genre_runtime.decoders.pool import DecoderPool

MAX_THREADS = 1024
MAX_DECIBELS = 1e6
"""Of either sign: no spectrogram is in decibels beyond, and the squares of much more overflow float32."""


ExcerptCount = int | Literal["all"] | None
"""How many excerpts of a track are analysed: a number, "all", or None for the number in the model's sidecar."""


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
        self,
        model_path: Path,
        metadata: ModelMetadata,
        device: str,
        threads: int,
        limits: DecodeLimits,
        decoders: DecoderPool | None = None,
    ) -> None:
        self.model_path = model_path
        self.metadata = metadata
        self.device_requested = device
        self._limits = limits
        self._decoders = decoders
        self._judge = Judge(model_path, metadata, device, threads)
        self.device = self._judge.device

    @classmethod
    def load(
        cls,
        model_path: Path | str | None = None,
        *,
        device: str = "auto",
        threads: int = 0,
        limits: DecodeLimits | None = None,
        decoders: DecoderPool | None = None,
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
            Threads within one call of the graph, at most `MAX_THREADS`; 0 takes every core.
        limits : DecodeLimits, optional
            Bounds on what is decoded from one file.
        decoders : DecoderPool, optional
            Processes in which files are decoded, for files from strangers: one that hangs, crashes or fills the memory
            is then that file's error. By default files are decoded in this process. The pool is not closed here.

        Raises
        ------
        ModelNotFoundError, InvalidModelError, DeviceUnavailableError, MissingDependencyError, InvalidInputError
        """
        if type(threads) is not int or not 0 <= threads <= MAX_THREADS:
            raise InvalidInputError(f"threads is {threads!r}: expected 1 to {MAX_THREADS}, or 0 for every core")
        path = default_model_path() if model_path is None else Path(model_path)
        check_named(path)
        return cls(path, read_metadata(path), device, threads, limits or DecodeLimits(), decoders)

    @property
    def labels(self) -> tuple[str, ...]:
        """Genres, in the order of the graph's outputs."""
        return self.metadata.labels

    def classify_file(self, source: AudioSource, *, excerpts: ExcerptCount = None) -> Prediction:
        """Classify an audio file.

        Parameters
        ----------
        source : path, bytes or seekable binary file object
        excerpts : int, "all" or None, optional
            Number of excerpts to analyse; "all" for the whole track, which is read in bounded memory; None for the
            number in the model's sidecar.

        Raises
        ------
        AudioNotFoundError, EmptyAudioError, UnreadableAudioError, AudioLimitError, InvalidInputError
        """
        return self._classify_file(source, excerpts, None)

    def classify(self, waveform: NDArray[Any], sample_rate: int, *, excerpts: ExcerptCount = None) -> Prediction:
        """Classify samples in memory.

        Parameters
        ----------
        waveform : float array, shape (n_samples,) or (n_samples, n_channels), in [-1, 1]
        sample_rate : int
            Hz.
        excerpts : int, "all" or None, optional
            Number of excerpts to analyse; "all" for the whole track; None for the number in the model's sidecar.

        Raises
        ------
        InvalidInputError, EmptyAudioError
        """
        pieces, duration = excerpts_of_waveform(
            waveform, sample_rate, self.metadata.audio.sample_rate, **self._plan(excerpts)
        )
        return self._summary(self._judge.excerpts(pieces), TrackLength(duration, is_silent=True), None)

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
        if not isinstance(log_mel, np.ndarray):
            raise InvalidInputError(f"log_mel is a {type(log_mel).__name__}: expected an array ({n_mels}, n_frames)")
        if log_mel.ndim != 2 or log_mel.shape[0] != n_mels or log_mel.shape[1] == 0:
            raise InvalidInputError(f"log_mel has shape {log_mel.shape}: expected ({n_mels}, n_frames)")
        if log_mel.dtype.kind not in "fiu" or not (np.abs(log_mel) <= MAX_DECIBELS).all():  # NaN is not either
            raise InvalidInputError(f"log_mel holds values beyond {MAX_DECIBELS:g} or no numbers: expected decibels")
        duration = log_mel.shape[1] * self.metadata.audio.frame_seconds
        return self._summary(self._judge.log_mel(log_mel), TrackLength(duration, is_silent=True), None)

    def classify_stream(self, stream: ExcerptStream, path: Path | None = None) -> Prediction:
        """Classify the excerpts of a stream, and close it.

        Parameters
        ----------
        stream : ExcerptStream
            Excerpts at the model's sample rate. An error that it raises ends the work.
        path : Path, optional
            Path of the track in the result.

        Raises
        ------
        InvalidInputError, GenreError
        """
        with closing(stream):
            results = self._judge.excerpts(stream)
        return self._summary(results, stream.length, path)

    def classify_files(
        self, paths: Iterable[Path | str], *, excerpts: ExcerptCount = None, jobs: int = 0
    ) -> Iterator[Prediction | GenreError]:
        """Classify many files, several at a time.

        Parameters
        ----------
        paths : iterable of path
            Consumed as results are taken, so it may be endless.
        excerpts : int, "all" or None, optional
            As for `classify_file`.
        jobs : int
            Files in work at once; 0 for the number of cores that this process may use. At most twice as many
            wait, which bounds memory.

        Yields
        ------
        Prediction or GenreError
            One a path, in order; an error never ends the run.
        """
        if type(jobs) is not int or jobs < 0:
            raise InvalidInputError(f"jobs is {jobs!r}: expected a positive whole number, or 0 for one a core")

        def classify(path: Path | str, stop: Event) -> Prediction | GenreError:
            return self.classify_or_error(path, excerpts=excerpts, stop=stop)

        yield from ordered_map(classify, paths, jobs or available_cores())

    def classify_or_error(
        self, source: AudioSource, *, excerpts: ExcerptCount = None, stop: Event | None = None
    ) -> Prediction | GenreError:
        """Classify a file as `classify_file` does, and return what is wrong instead of raising it.

        `stop`, set from another thread, ends the work early; the answer is then worth nothing.
        """
        try:
            return self._classify_file(source, excerpts, stop)
        except GenreError as error:
            return error
        except Exception as error:  # a decoder's surprise is that file's error, not the run's end
            return UnexpectedFailureError(f"unexpected failure: {type(error).__name__}: {error}")

    def _classify_file(self, source: AudioSource, excerpts: ExcerptCount, stop: Event | None) -> Prediction:
        rate = self.metadata.audio.sample_rate
        decode = stream_excerpts if self._decoders is None else self._decoders.stream_excerpts
        stream = decode(source, rate, limits=self._limits, stop=stop, **self._plan(excerpts))
        return self.classify_stream(stream, Path(source) if isinstance(source, str | os.PathLike) else None)

    def _plan(self, excerpts: ExcerptCount) -> dict[str, Any]:
        if excerpts not in (None, "all") and (type(excerpts) is not int or excerpts < 1):
            raise InvalidInputError(
                f"excerpts is {excerpts!r}: expected a positive integer, 'all' for the whole track, "
                "or None for the model's own number"
            )
        count = self.metadata.n_excerpts if excerpts is None else excerpts
        return {"excerpt_seconds": self.metadata.excerpt_seconds, "n_excerpts": None if count == "all" else count}

    def _summary(self, results: list[ExcerptPrediction], length: TrackLength, path: Path | None) -> Prediction:
        return summarise(
            results,
            threshold=self.metadata.confidence_threshold,
            length=length,
            device=self.device,
            path=path,
        )
