"""State and actions of the window, without any widget.

Every method is called on the UI thread. Reports of other threads wait in a queue until `poll` takes them, so that
nothing here needs a lock, and nothing waits.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from threading import Event as Flag
from typing import TYPE_CHECKING

from genre_gui.backends.base import Backend, Link, LinkState, Load, LocalBackend, ModelRequest
from genre_gui.backends.errors import ServiceError
from genre_gui.tracks import UNFINISHED, State, Track
from genre_gui.workers import tasks
from genre_gui.workers.background import (
    Background,
    Event,
    Finished,
    Found,
    LinkChanged,
    Loaded,
    NotLoaded,
    Post,
    SpectrogramReady,
    Started,
    Tagged,
    TagsFinished,
)
from genre_gui.workers.tasks import SpectrogramCache, TagOptions, TagRuns
from genre_runtime import GenreError
from genre_runtime.errors import DeviceUnavailableError

if TYPE_CHECKING:
    from genre_gui.widgets.spectrogram import ExcerptSpectrogram

FILES_PER_JOB = 5
"""Files handed to the threads for each one that runs, so that no thread waits for the next poll."""


class Controller:
    """Tracks, model and work.

    Parameters
    ----------
    load : callable
        Makes a backend; called in another thread.
    jobs : int, optional
        Files classified at the same time.
    fixed : bool
        Whether model and device are those of the backend, and cannot be chosen.

    Attributes
    ----------
    tracks : dict of int to Track
    backend : Backend or None
        The loaded model.
    request : ModelRequest
        The model and device requested last.
    loading : bool
    devices : tuple of str
        Devices of the installed ONNX Runtime, as far as they are known.
    link : Link or None
        State of the connection, if the backend is a service.
    refused : GenreError or None
        Why the last request failed; if it is the device, nothing is classified until there is a new request.
    tags : TagRuns
    """

    def __init__(self, load: Load = LocalBackend.load, jobs: int | None = None, *, fixed: bool = False) -> None:
        self.fixed = fixed
        self.tracks: dict[int, Track] = {}
        self.backend: Backend | None = None
        self.request = ModelRequest()
        self.loading = False
        self.refused: GenreError | None = None
        self.devices: tuple[str, ...] = ()
        self.link: Link | None = None
        self._load = load
        self._background = Background(jobs)
        self.tags = TagRuns(self._background)
        self._waiting: OrderedDict[int, None] = OrderedDict()
        self._running: dict[int, Flag] = {}
        self._unwatch = Flag()
        self._spectrograms = SpectrogramCache(self._background)
        self._load_turn = self._watched = 0
        self._loaded_request = self.request
        self._next = 0

    def load(self, request: ModelRequest) -> None:
        """Load a model; tracks that have not started wait for it.

        Parameters
        ----------
        request : ModelRequest
        """
        self._load_turn += 1
        self.request, self.loading, self.refused = request, True, None
        turn = self._load_turn

        def work(post: Post) -> None:
            try:
                backend = self._load(request)
                post(Loaded(turn, backend, () if self.fixed else tasks.offered_devices()))
            except GenreError as error:
                post(NotLoaded(turn, error))

        self._background.submit(work)

    def add(self, names: Iterable[str]) -> None:
        """Find audio files in another thread; `poll` adds them as they are found.

        Parameters
        ----------
        names : iterable of str
            Files and folders.
        """
        wanted = list(names)
        self._background.submit(lambda post: tasks.find_files(wanted, self._background.stop, post))

    def cancel(self, numbers: Iterable[int] | None = None) -> None:
        """Cancel tracks that wait or are being classified.

        Parameters
        ----------
        numbers : iterable of int, optional
            By default all.
        """
        for track in self._selected(numbers):
            if track.state in UNFINISHED:
                self._stop(track)
                track.state = State.CANCELLED
        self._dispatch()

    def retry(self, numbers: Iterable[int], *, whole: bool | None = None) -> None:
        """Classify finished tracks again.

        Parameters
        ----------
        numbers : iterable of int
        whole : bool, optional
            Analyse the whole tracks; None for as much as before.
        """
        for track in self._selected(numbers):
            if track.state not in UNFINISHED:
                track.whole = track.whole if whole is None else whole
                track.state, track.result = State.WAITING, None
                self._waiting[track.number] = None
        self._dispatch()

    def remove(self, numbers: Iterable[int] | None = None) -> None:
        """Remove tracks from the queue; the files stay.

        Parameters
        ----------
        numbers : iterable of int, optional
            By default all.
        """
        for track in self._selected(numbers):
            self._stop(track)
            del self.tracks[track.number]
        self._dispatch()

    def spectrograms(self, number: int) -> tuple[ExcerptSpectrogram, ...] | None:
        """Return the spectrograms of a track, or None: then they follow as an event.

        Parameters
        ----------
        number : int
        """
        if self.backend is None or number not in self.tracks:
            return None
        return self._spectrograms.get(self.tracks[number], self.backend.metadata)

    def probe_devices(self) -> None:
        """Test every device; the answer follows as an event."""
        backend = self.backend
        if backend is not None:
            self._background.submit(lambda post: tasks.probe_devices(backend, post))

    def plan_tags(self, numbers: Iterable[int], options: TagOptions) -> int:
        """Report by events what would be written into the files of tracks; return how many have an answer.

        Parameters
        ----------
        numbers : iterable of int
        options : TagOptions
        """
        return self.tags.plan(self._selected(numbers), options)

    def export(self, path: Path, numbers: Iterable[int]) -> None:
        """Write the results of tracks into a file.

        Parameters
        ----------
        path : Path
            Its suffix is the format.
        numbers : iterable of int
        """
        results = [(track.path, track.result) for track in self._selected(numbers) if track.result is not None]
        self._background.submit(lambda post: tasks.export(path, results, post))

    def poll(self, limit: int) -> list[Event]:
        """Handle the reports of other threads, and return those that are still current.

        Parameters
        ----------
        limit : int
            About how many tracks are handled at once.
        """
        events: list[Event] = []
        n_tracks = 0
        while n_tracks < limit and not self._background.events.empty():
            event = self._background.events.get()
            n_tracks += len(event.paths) if isinstance(event, Found) else 1
            if self._is_current(event):
                self._handle(event)
                events.append(event)
        if events:
            self._dispatch()
        return events

    @property
    def n_unfinished(self) -> int:
        """Number of tracks that wait or are being classified."""
        return len(self._waiting) + len(self._running)

    @property
    def waits_for(self) -> str:
        """What tracks wait for, as text; empty if they do not wait."""
        if self.loading:
            return "the model is loading"
        if self.link is not None and self.link.state is not LinkState.CONNECTED:
            return "waiting for the service"
        if isinstance(self.refused, DeviceUnavailableError):
            return "waiting for a device"
        if isinstance(self.refused, ServiceError) and self.backend is None:
            return "waiting for the service"
        return "waiting for a model" if self.refused and self.backend is None else ""

    def close(self) -> None:
        """End all work, without waiting for it."""
        for stop in (self._unwatch, *self._running.values()):
            stop.set()
        self._background.close()

    def _selected(self, numbers: Iterable[int] | None) -> list[Track]:
        if numbers is None:
            return list(self.tracks.values())
        return [self.tracks[number] for number in numbers if number in self.tracks]

    def _stop(self, track: Track) -> None:
        track.turn += 1
        self._waiting.pop(track.number, None)
        if stop := self._running.pop(track.number, None):
            stop.set()

    def _dispatch(self) -> None:
        """Hand tracks to the threads while a model is ready."""
        if self.backend is None or self.waits_for:
            return
        while self._waiting and len(self._running) < FILES_PER_JOB * self._background.jobs:
            track = self.tracks[self._waiting.popitem(last=False)[0]]
            track.turn += 1
            stop = self._running[track.number] = Flag()
            self._background.submit_file(tasks.classification(replace(track), self.backend, stop))

    def _use(self, turn: int, backend: Backend) -> None:
        """Replace the backend; tracks that are being classified start again, before all others."""
        self._unwatch.set()
        for number in reversed(list(self._running)):
            self._stop(self.tracks[number])
            self.tracks[number].state = State.WAITING
            self._waiting[number] = None
            self._waiting.move_to_end(number, last=False)
        self.backend, self.loading, self._loaded_request = backend, False, self.request
        self.link, self._watched, stop = None, turn, Flag()
        self._unwatch = stop
        self._background.start_watch(lambda post: backend.watch(lambda link: post(LinkChanged(turn, link)), stop))

    def _is_current(self, event: Event) -> bool:
        """Return whether an event still matters."""
        match event:
            case Loaded(turn) | NotLoaded(turn):
                return turn == self._load_turn
            case LinkChanged(turn):
                return turn == self._watched
            case Tagged() | TagsFinished():
                return self.tags.is_current(event)
            case Started(number, turn) | Finished(number, turn) | SpectrogramReady(number, turn):
                return number in self.tracks and turn == self.tracks[number].turn
        return True

    def _handle(self, event: Event) -> None:
        match event:
            case Found(paths):
                for path in paths:
                    self.tracks[self._next] = Track(self._next, path)
                    self._waiting[self._next] = None
                    self._next += 1
            case Started(number):
                self.tracks[number].state = State.ANALYSING
            case Finished(number, _, result):
                self._running.pop(number, None)
                self.tracks[number].finish(result)
            case Loaded(turn, backend, devices):
                self.devices = devices
                self._use(turn, backend)
            case LinkChanged(_, link):
                self.link = link
            case NotLoaded(_, error):
                self.refused, self.loading = error, False
                if self.backend is not None and not isinstance(error, DeviceUnavailableError):
                    self.request = self._loaded_request
            case SpectrogramReady():
                self._spectrograms.add(event)
