"""Tasks in other threads, which post their results as events, and what the UI thread keeps between them."""

from __future__ import annotations

import io
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

from genre_gui.language import plural, tr
from genre_gui.text import one_line, sentence
from genre_gui.workers.background import (
    Background,
    DevicesTested,
    Finished,
    Found,
    NamesRead,
    Notice,
    Post,
    Progressed,
    SpectrogramReady,
    Started,
)
from genre_runtime import GenreError, Prediction
from genre_runtime.errors import MissingDependencyError
from genre_runtime.library.scan import Finder

if TYPE_CHECKING:
    from genre_gui.backends.base import Backend
    from genre_gui.backends.stored import Progress
    from genre_gui.tracks import Result, Track
    from genre_gui.widgets.spectrogram import ExcerptSpectrogram
    from genre_runtime import ModelMetadata

CHUNK = 100
"""Files in one event: as many rows as the window adds without a delay."""

EXPORT_SUFFIXES = (".csv", ".json", ".jsonl")

MAX_SPECTROGRAMS = 8

PROGRESS_SECONDS = 0.25
"""Least time between two reports how far a whole track is analysed."""


def find_files(names: Sequence[str], stop: Event, post: Post) -> None:
    """Find audio files.

    Parameters
    ----------
    names : sequence of str
        Files, and folders to search.
    stop : threading.Event
    post : callable
    """
    finder, count = Finder(stop), 0
    found = finder.find(names)
    while (chunk := tuple(islice(found, CHUNK))) and not stop.is_set():
        count += len(chunk)
        post(Found(chunk))
    for error in finder.unreadable:
        message = tr(
            "The folder {name} cannot be read: {error}.", name=one_line(str(error.filename)), error=error.strerror
        )
        post(Notice(message, bad=True))
    if not count and names and not finder.unreadable and not stop.is_set():
        message = tr("There is no audio file in that folder.")
        if finder.n_others:
            message = plural(
                "There is no audio file in that folder, but {n} other file.",
                "There is no audio file in that folder, but {n} other files.",
                finder.n_others,
            )
        post(Notice(message))


def read_names(files: Sequence[tuple[int, Path]], stop: Event, post: Post) -> None:
    """Read artist, title and album from the tags of tracks.

    Parameters
    ----------
    files : sequence of (int, Path)
        Number and file of each track.
    stop : threading.Event
    post : callable
    """
    from genre_runtime.library.tags.names import read_names as names_of

    found = {}
    try:
        for number, path in files:
            if stop.is_set():
                return
            names = names_of(path)
            artist = names.artist or names.album_artist
            if artist or names.title or names.album:
                found[number] = (one_line(artist), one_line(names.title), one_line(names.album))
    except MissingDependencyError:  # then the columns stay empty
        return
    if found:
        post(NamesRead(found))


def classification(track: Track, backend: Backend, stop: Event) -> Callable[[Post], None]:
    """Return the task that classifies a track.

    Parameters
    ----------
    track : Track
        Read in another thread: pass a copy of a track that changes meanwhile.
    backend : Backend
    stop : threading.Event
    """

    def work(post: Post) -> None:
        if stop.is_set():
            return
        post(Started(track.number, track.turn))
        analysis = None
        try:
            result = backend.classify(track.path, whole=track.whole, stop=stop, progress=_progress(track, post))
            if isinstance(result, Prediction) and not backend.no_embeddings:
                analysis = result
                result = backend.answer(analysis)
        except Exception:
            fault = GenreError(tr("unexpected error of this program: see the report, then try again"))
            post(Finished(track.number, track.turn, fault))
            raise
        post(Finished(track.number, track.turn, result, analysis))

    return work


def _progress(track: Track, post: Post) -> Progress:
    """Return a function that reports how far a track is analysed, not more often than rows need it."""
    due = 0.0

    def report(seconds: float, track_seconds: float | None) -> None:
        nonlocal due
        if time.monotonic() >= due:
            due = time.monotonic() + PROGRESS_SECONDS
            post(Progressed(track.number, track.turn, seconds, track_seconds))

    return report


def answer_anew(tracks: Sequence[Track], backend: Backend, stop: Event, post: Post) -> None:
    """Answer for analysed tracks by the genres that are in use now.

    Parameters
    ----------
    tracks : sequence of Track
        Copies, all with an analysis of the backend's model.
    backend : Backend
    stop : threading.Event
    post : callable
    """
    for track in tracks:
        if stop.is_set():
            return
        assert track.analysis is not None
        post(Finished(track.number, track.turn, backend.answer(track.analysis), track.analysis))


def compute_spectrograms(
    key: tuple[int, int], path: Path, metadata: ModelMetadata, whole: bool, stop: Event, post: Post
) -> None:
    """Compute the spectrograms of a track; none if it cannot be read, which its row reports.

    Parameters
    ----------
    key : tuple of int
        Number and turn of the track.
    path : Path
    metadata : ModelMetadata
    whole : bool
        The whole track instead of the model's number of excerpts.
    stop : threading.Event
    post : callable
    """
    from genre_gui.widgets.spectrogram import excerpt_spectrograms

    try:
        post(SpectrogramReady(*key, excerpt_spectrograms(path, metadata, whole=whole, stop=stop)))
    except GenreError:
        post(SpectrogramReady(*key, ()))


def offered_devices() -> tuple[str, ...]:
    """Return the devices of the installed ONNX Runtime; empty if it is not installed."""
    from genre_runtime import available_devices

    try:
        return available_devices()
    except MissingDependencyError:
        return ()


def probe_devices(backend: Backend, post: Post) -> None:
    """Test every device.

    Parameters
    ----------
    backend : Backend
    post : callable
    """
    try:
        post(DevicesTested(backend.devices()))
    except GenreError as error:
        post(Notice(sentence(error), bad=True))


def export(path: Path, results: Sequence[tuple[Path, Result]], post: Post) -> None:
    """Write results into a file, completely or not at all.

    Parameters
    ----------
    path : Path
        Its suffix, one of `EXPORT_SUFFIXES`, is the format.
    results : sequence of (Path, Prediction or GenreError)
    post : callable
    """
    from genre_runtime import FileResult, write_whole
    from genre_runtime.library.results.write import opened_writer

    name, suffix = one_line(path.name), path.suffix.lower()
    if suffix not in EXPORT_SUFFIXES:
        message = tr("{name} was not written: expected a name that ends in .csv, .json or .jsonl.", name=name)
        post(Notice(message, bad=True))
        return
    text = io.StringIO()
    labels = {label for _, result in results if isinstance(result, Prediction) for label in result.probabilities}
    writer = opened_writer(suffix[1:], text, labels)
    for track_path, result in results:
        writer.write(FileResult(track_path, result))
    writer.close()
    try:
        write_whole(path, [text.getvalue()])
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        post(Notice(tr("{name} could not be written: {error}.", name=name, error=str(reason or error)), bad=True))
        return
    post(Notice(plural("{n} result written to {name}.", "{n} results written to {name}.", len(results), name=name)))


class SpectrogramCache:
    """Spectrograms of the tracks shown last; computed on request, only for the track requested last.

    Parameters
    ----------
    background : Background
    """

    def __init__(self, background: Background) -> None:
        self._background = background
        self._kept: OrderedDict[tuple[int, int], tuple[ExcerptSpectrogram, ...]] = OrderedDict()
        self._requested: tuple[int, int] | None = None

    def get(self, track: Track, metadata: ModelMetadata) -> tuple[ExcerptSpectrogram, ...] | None:
        """Return the spectrograms of a track, or None: then they follow as an event.

        Parameters
        ----------
        track : Track
        metadata : ModelMetadata
        """
        key = (track.number, track.turn)
        if key not in self._kept and key != self._requested:
            self._requested = key
            path, whole, stop = track.path, track.whole, self._background.stop
            if not metadata.graphs and track.prediction is not None:  # a service does not publish its excerpts
                excerpts = track.prediction.excerpts
                seconds = max(excerpt.end_seconds - excerpt.start_seconds for excerpt in excerpts)
                metadata = replace(metadata, n_excerpts=len(excerpts), excerpt_seconds=seconds)

            def work(post: Post) -> None:
                if self._requested == key:  # otherwise the user has gone on to another track
                    compute_spectrograms(key, path, metadata, whole, stop, post)

            self._background.submit(work)
        return self._kept.get(key)

    def add(self, event: SpectrogramReady) -> None:
        """Keep new spectrograms, and drop the oldest ones.

        Parameters
        ----------
        event : SpectrogramReady
        """
        key = (event.number, event.turn)
        self._kept[key] = event.excerpts
        if self._requested == key:
            self._requested = None
        while len(self._kept) > MAX_SPECTROGRAMS:
            self._kept.popitem(last=False)
