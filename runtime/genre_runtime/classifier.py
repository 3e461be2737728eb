"""`GenreClassifier`: classifies files, waveforms and spectrograms; `summarise`: from excerpts to the track."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from genre_runtime.audio.decoding import stream_excerpts
from genre_runtime.audio.excerpts import Excerpt, ExcerptStream, TrackLength
from genre_runtime.audio.source import AudioSource, DecodeLimits
from genre_runtime.audio.waveform import excerpts_of_waveform
from genre_runtime.errors import GenreError, InvalidInputError, UnexpectedFailureError
from genre_runtime.model.head import GenreHead, read_head
from genre_runtime.model.installed import find_model
from genre_runtime.model.metadata import ModelMetadata, check_named, read_metadata
from genre_runtime.model.onnx_model import OnnxModel
from genre_runtime.model.session import probe_devices
from genre_runtime.parallel import available_cores, ordered_map
from genre_runtime.prediction import (
    NOT_MUSIC,
    ExcerptPrediction,
    Prediction,
    audible,
    mean_embedding,
)

if TYPE_CHECKING:
    from genre_runtime.decoders.pool import DecoderPool

MAX_THREADS = 1024
MAX_DECIBELS = 1e6
"""Largest absolute value of a spectrogram; the squares of much larger values overflow float32."""

_LISTED_KINDS = {"style": "styles", "mood": "moods", "instrument": "instruments", "voice": "voice"}
"""Attribute of a result that lists the tags of a kind."""

ExcerptCount = int | Literal["all"] | None
"""How many excerpts of a track are analysed: a number, "all", or None for the number in the model's sidecar."""

Progress = Callable[[float, float | None], None]
"""Takes the seconds of a track that were analysed, and its length as far as it is known."""


class GenreClassifier:
    """Classifies audio files, waveforms and log-mel spectrograms. Safe to use from several threads.

    Use `GenreClassifier.load` to create one.

    Attributes
    ----------
    metadata : ModelMetadata
        The sidecar; with a head, its labels, thresholds and figures are those of the head.
    model_metadata : ModelMetadata
        The sidecar as it is.
    head : GenreHead or None
        One's own genres, which replace those of the model.
    model_path : Path
        The waveform graph.
    device : str
        The device that is used.
    device_requested : str
        The device that the caller asked for.
    """

    def __init__(
        self,
        model_path: Path,
        metadata: ModelMetadata,
        device: str,
        threads: int,
        limits: DecodeLimits,
        decoders: DecoderPool | None = None,
        head: GenreHead | None = None,
    ) -> None:
        if head is not None:
            head.check_model(metadata)
        self.model_path = model_path
        self.head = head
        self.model_metadata = metadata
        self.metadata = metadata if head is None else head.described(metadata)
        self.device_requested = device
        self._limits = limits
        self._decoders = decoders
        self._model = OnnxModel(model_path, metadata, device, threads)
        self.device = self._model.device

    @classmethod
    def load(
        cls,
        model_path: Path | str | None = None,
        *,
        device: str = "auto",
        threads: int = 0,
        limits: DecodeLimits | None = None,
        decoders: DecoderPool | None = None,
        head: GenreHead | Path | str | None = None,
    ) -> GenreClassifier:
        """Load a model.

        Parameters
        ----------
        model_path : path, optional
            The `.onnx` file with its sidecar beside it, or what else `find_model` takes; by default the shipped model.
        device : str
            `auto` (CUDA if it works, else the CPU), `cpu`, `cuda`, ...; an unavailable device is an error.
        threads : int
            Threads within one run of the graph, at most `MAX_THREADS`; 0 for every core.
        limits : DecodeLimits, optional
            Limits on what is decoded from one file.
        decoders : DecoderPool, optional
            Processes that decode files which are not trusted: a file that makes a decoder hang, crash or fill the
            memory is then an error of that file alone. By default files are decoded in this process. The caller closes
            the pool.
        head : GenreHead or path, optional
            One's own genres, learnt by `genre learn` with this model.

        Raises
        ------
        ModelNotFoundError, InvalidModelError, InvalidHeadError, InvalidInputError, DeviceUnavailableError,
        MissingDependencyError, DownloadError
        """
        if type(threads) is not int or not 0 <= threads <= MAX_THREADS:
            raise InvalidInputError(f"threads is {threads!r}: expected 1 to {MAX_THREADS}, or 0 for every core")
        check_named(path := find_model(model_path))
        own = head if head is None or isinstance(head, GenreHead) else read_head(head)
        return cls(path, read_metadata(path), device, threads, limits or DecodeLimits(), decoders, own)

    @property
    def labels(self) -> tuple[str, ...]:
        """Genres: of the head if there is one, else in the order of the graph's outputs."""
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
        return self.apply_head(self._analyse(source, excerpts))

    def classify(self, waveform: NDArray[Any], sample_rate: int, *, excerpts: ExcerptCount = None) -> Prediction:
        """Classify a waveform.

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
        return self.apply_head(self._summary(self._model.classify(pieces), TrackLength(duration, is_silent=True), None))

    def classify_log_mel(self, log_mel: NDArray[Any]) -> Prediction:
        """Classify a log-mel spectrogram that was computed with the model's `AudioConfig`.

        Of a model of two branches only the picture branch answers: without tags, and without an embedding.

        Parameters
        ----------
        log_mel : float array, shape (n_mels, n_frames)
            Decibels, relative to any level.

        Raises
        ------
        InvalidInputError
            The array is not such a spectrogram, or there is a head: one's own genres need audio.
        """
        if self.head is not None:
            raise InvalidInputError(
                "a spectrogram has no embedding, which the genres of a head need: give audio, or use no head"
            )
        n_mels = self.metadata.audio.n_mels
        if not isinstance(log_mel, np.ndarray):
            raise InvalidInputError(f"log_mel is a {type(log_mel).__name__}: expected an array ({n_mels}, n_frames)")
        if log_mel.ndim != 2 or log_mel.shape[0] != n_mels or log_mel.shape[1] == 0:
            raise InvalidInputError(f"log_mel has shape {log_mel.shape}: expected ({n_mels}, n_frames)")
        if log_mel.dtype.kind not in "fiu" or not (np.abs(log_mel) <= MAX_DECIBELS).all():  # also False for NaN
            raise InvalidInputError(f"log_mel contains values beyond {MAX_DECIBELS:g} or NaN: expected decibels")
        duration = log_mel.shape[1] * self.metadata.audio.frame_seconds
        return self._summary(self._model.classify_log_mel(log_mel), TrackLength(duration, is_silent=True), None)

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
        return self.apply_head(self._analyse_stream(stream, path))

    def apply_head(self, prediction: Prediction) -> Prediction:
        """Replace the model's genres by those of the head, if there is one.

        Parameters
        ----------
        prediction : Prediction
            The model's answer, with the embedding of each excerpt.

        Raises
        ------
        InvalidInputError
            An excerpt has no embedding, or one of another model.
        """
        if self.head is None:
            return prediction
        excerpts, head = prediction.excerpts, self.head
        if any(e.embedding is None or e.embedding.size != head.weights.shape[1] for e in excerpts):
            raise InvalidInputError("the answer has no embeddings of this model: analyse the file again")
        # As the state file keeps them, so that an answer does not depend on whether the file was analysed before.
        embeddings = np.array([e.embedding for e in excerpts], "<f2").astype(np.float32)
        rows = head.probabilities(embeddings, head.known_probabilities(excerpts, self.metadata.tags)).tolist()
        own = tuple(
            replace(e, probabilities=dict(zip(head.labels, row, strict=True)))
            for e, row in zip(excerpts, rows, strict=True)
        )
        probabilities = _mean(audible(own))
        label, confidence = next(iter(probabilities.items()))
        reason = prediction.reason
        if prediction.is_music:
            reason = _too_low(confidence, head.confidence_threshold)
        return replace(
            prediction,
            label=label,
            confidence=confidence,
            confident=reason is None,
            reason=reason,
            probabilities=probabilities,
            excerpts=own,
            genre_set=_answer_set(probabilities, head.genre_set_threshold) if prediction.genre_set else (),
        )

    def classify_files(
        self, paths: Iterable[Path | str], *, excerpts: ExcerptCount = None, jobs: int = 0
    ) -> Iterator[Prediction | GenreError]:
        """Classify many files, several at a time.

        Parameters
        ----------
        paths : iterable of path
            Consumed as results are taken; may be endless.
        excerpts : int, "all" or None, optional
            As for `classify_file`.
        jobs : int
            Files in work at once; 0 for the number of cores that this process may use. At most twice as many
            wait, which bounds memory.

        Yields
        ------
        Prediction or GenreError
            One for each path, in order; an error does not end the iteration.
        """
        if type(jobs) is not int or jobs < 0:
            raise InvalidInputError(f"jobs is {jobs!r}: expected a positive whole number, or 0 for one a core")

        def classify(path: Path | str, stop: Event) -> Prediction | GenreError:
            return self.classify_or_error(path, excerpts=excerpts, stop=stop)

        yield from ordered_map(classify, paths, jobs or available_cores())

    def classify_or_error(
        self, source: AudioSource, *, excerpts: ExcerptCount = None, stop: Event | None = None
    ) -> Prediction | GenreError:
        """Classify a file as `classify_file` does, but return errors instead of raising them.

        Parameters
        ----------
        source : path, bytes or seekable binary file object
        excerpts : int, "all" or None, optional
            As for `classify_file`.
        stop : Event, optional
            Set from another thread to end the work early; the result is then meaningless.
        """
        outcome = self.analyse_or_error(source, excerpts=excerpts, stop=stop)
        return self.apply_head(outcome) if isinstance(outcome, Prediction) else outcome

    def analyse_or_error(
        self,
        source: AudioSource,
        *,
        excerpts: ExcerptCount = None,
        stop: Event | None = None,
        progress: Progress | None = None,
    ) -> Prediction | GenreError:
        """Return the model's own answer for a file, without the head, or the error.

        Parameters
        ----------
        source : path, bytes or seekable binary file object
        excerpts : int, "all" or None, optional
            As for `classify_file`.
        stop : Event, optional
            As for `classify_or_error`.
        progress : callable, optional
            Called after each excerpt of a whole track, with the seconds analysed and the length that the file claims.
        """
        try:
            return self._analyse(source, excerpts, stop, progress)
        except GenreError as error:
            return error
        except Exception as error:  # one file must not end the caller's loop
            return UnexpectedFailureError(f"unexpected failure: {type(error).__name__}: {error}")

    def probe_devices(self) -> dict[str, str]:
        """Try to run the model on every device; return `works` for each, or why it does not work."""
        return probe_devices(self.model_path, self.model_metadata)

    def open_stream(
        self, source: AudioSource, *, excerpts: ExcerptCount = None, stop: Event | None = None
    ) -> ExcerptStream:
        """Open the excerpts that `classify_file` analyses, at the model's sample rate. The caller closes the stream.

        Parameters
        ----------
        source : path, bytes or seekable binary file object
        excerpts : int, "all" or None, optional
            As for `classify_file`.
        stop : Event, optional
            Set from another thread to end the decoding early.

        Raises
        ------
        AudioNotFoundError, EmptyAudioError, UnreadableAudioError, AudioLimitError, InvalidInputError
        """
        rate = self.metadata.audio.sample_rate
        decode = stream_excerpts if self._decoders is None else self._decoders.stream_excerpts
        return decode(source, rate, limits=self._limits, stop=stop, **self._plan(excerpts))

    def _analyse(
        self,
        source: AudioSource,
        excerpts: ExcerptCount,
        stop: Event | None = None,
        progress: Progress | None = None,
    ) -> Prediction:
        stream = self.open_stream(source, excerpts=excerpts, stop=stop)
        path = Path(source) if isinstance(source, str | os.PathLike) else None
        return self._analyse_stream(stream, path, progress if excerpts == "all" else None)

    def _analyse_stream(self, stream: ExcerptStream, path: Path | None, progress: Progress | None = None) -> Prediction:
        rate = self.metadata.audio.sample_rate
        with closing(stream):
            results = self._model.classify(stream if progress is None else _reporting(stream, rate, progress))
        return self._summary(results, stream.length, path)

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
            metadata=self.model_metadata,
            length=length,
            device=self.device,
            path=path,
        )


def summarise(
    excerpts: Sequence[ExcerptPrediction],
    *,
    metadata: ModelMetadata,
    length: TrackLength,
    device: str,
    path: Path | None,
) -> Prediction:
    """Average the excerpts that are not silent, or all if all are silent, into the track's result.

    Parameters
    ----------
    excerpts : sequence of ExcerptPrediction
        At least one, all with the same labels.
    metadata : ModelMetadata
        The sidecar: thresholds and tags.
    length : TrackLength
        How much of the track could be read.
    device : str
        Where the model ran.
    path : Path or None
        The file, if there is one.
    """
    used = audible(excerpts)
    is_silent = used[0].silent
    probabilities = _mean(used)
    label, confidence = next(iter(probabilities.items()))
    shares = {} if is_silent else _tag_shares(used, metadata)
    music = "silence" if is_silent else _kind_of_sound(shares, metadata)
    reason = NOT_MUSIC.get(music or "")
    if is_silent:
        reason = "the track is silent" if length.is_silent else "the excerpts are silent"
    elif reason is None:
        reason = _too_low(confidence, metadata.confidence_threshold)
    kinds = {tag.name: tag.kind for tag in metadata.tags if shares.get(tag.name, 0) >= tag.threshold}
    named = {name: share for name, share in shares.items() if name in kinds}
    lists: dict[str, Any] = {
        plural: tuple(name for name in named if kinds[name] == kind) for kind, plural in _LISTED_KINDS.items()
    }
    return Prediction(
        label=label,
        confidence=confidence,
        confident=reason is None,
        reason=reason,
        probabilities=probabilities,
        excerpts=tuple(excerpts),
        duration_seconds=length.duration_seconds,
        announced_seconds=length.announced_seconds,
        device=device,
        path=path,
        embedding=mean_embedding(excerpts),
        genre_set=_answer_set(probabilities, metadata.genre_set_threshold) if music in (None, "music") else (),
        music=music,
        tags=named,
        **lists,
    )


def _reporting(excerpts: Iterable[Excerpt], sample_rate: int, progress: Progress) -> Iterator[Excerpt]:
    """Yield excerpts; report each when the next is asked for."""
    for excerpt in excerpts:
        yield excerpt
        progress(excerpt.start_seconds + excerpt.waveform.size / sample_rate, excerpt.track_seconds)


def _mean(excerpts: Sequence[ExcerptPrediction]) -> dict[str, float]:
    """Return the mean probability of each genre, most probable first."""
    labels = list(excerpts[0].probabilities)
    mean: NDArray[np.float64] = np.mean([[e.probabilities[label] for label in labels] for e in excerpts], axis=0)
    return {labels[i]: float(mean[i]) for i in np.argsort(-mean, kind="stable")}


def _too_low(confidence: float, threshold: float) -> str | None:
    """Return why an answer is not confident, None if it is."""
    if confidence >= threshold:
        return None
    return f"the best genre reaches {confidence:.0%}, confident answers start at {threshold:.0%}"


def _tag_shares(excerpts: Sequence[ExcerptPrediction], metadata: ModelMetadata) -> dict[str, float]:
    """Return the mean probability of each tag, most probable first; nothing without tags."""
    rows = [excerpt.tags for excerpt in excerpts if excerpt.tags is not None]
    if not rows:
        return {}
    means: NDArray[np.float64] = np.mean(rows, axis=0, dtype=np.float64)
    return {metadata.tags[i].name: float(means[i]) for i in np.argsort(-means, kind="stable")}


def _kind_of_sound(shares: Mapping[str, float], metadata: ModelMetadata) -> str | None:
    """Return "music", or what else is most probable; None if the model does not know music."""
    musical = [tag for tag in metadata.tags if tag.kind == "music" and tag.name in shares]
    if not musical:
        return None
    others = {tag.name: tag.kind for tag in metadata.tags if tag.kind in NOT_MUSIC}
    best = max(others, key=lambda name: shares[name], default=None)
    if best is None or any(shares[tag.name] >= min(tag.threshold, shares[best]) for tag in musical):
        return "music"
    return others[best]


def _answer_set(probabilities: Mapping[str, float], threshold: float) -> tuple[str, ...]:
    """Return the most probable genre, and the others whose probability is at least the threshold."""
    first, *others = probabilities
    return first, *(genre for genre in others if probabilities[genre] >= threshold)
