"""State and actions of the window, without any widget.

Every method is called on the UI thread. Reports of other threads wait in a queue until `poll` takes them, so that
nothing here needs a lock, and nothing waits.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Event as Flag
from typing import TYPE_CHECKING

from genre_gui.backends.base import Backend, Link, LinkState, Load, LocalBackend, ModelRequest
from genre_gui.backends.errors import ServiceError
from genre_gui.language import tr
from genre_gui.tracks import UNFINISHED, State, Track, unsuccessful
from genre_gui.workers import tasks
from genre_gui.workers.background import (
    Audited,
    Background,
    Event,
    Finished,
    Found,
    LearningFailed,
    LearningKind,
    LearningStep,
    Learnt,
    LinkChanged,
    Loaded,
    NamesRead,
    NotLoaded,
    Post,
    Progressed,
    Recalled,
    Restored,
    SpectrogramReady,
    Started,
    Tagged,
    TagsFinished,
    n_tracks_of,
)
from genre_gui.workers.learning import LearningRuns, compare, save_head
from genre_gui.workers.queue import QueueFile, read_queue, recall, take_recalled
from genre_gui.workers.tagging import TagOptions, TagRuns
from genre_gui.workers.tasks import SpectrogramCache
from genre_runtime import GenreError
from genre_runtime.errors import DeviceUnavailableError

if TYPE_CHECKING:
    from genre_gui.widgets.spectrogram import ExcerptSpectrogram
    from genre_runtime import GenreHead

RECALLED_AT_ONCE = 100
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
    queue : Path, optional
        File that keeps the queue from one window to the next.

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
    learning : mapping of {"learn", "audit"} to LearningRuns
    restored : bool
        Whether the queue of the last window has been read.
    """

    def __init__(
        self, load: Load = LocalBackend.load, jobs: int | None = None, *, fixed: bool = False, queue: Path | None = None
    ) -> None:
        self.fixed = fixed
        self._queue = None if queue is None else QueueFile(queue)
        self.restored = queue is None
        self._paths: set[Path] = set()
        self._to_recall: list[int] = []
        self.tracks: dict[int, Track] = {}
        self.backend: Backend | None = None
        self.request = ModelRequest()
        self.loading = False
        self.refused: GenreError | None = None
        self.devices: tuple[str, ...] = ()
        self.link: Link | None = None
        self._load = load
        self._background = Background(jobs)
        self.tags = TagRuns(self._background, lambda: self.backend)
        kinds: tuple[LearningKind, ...] = ("learn", "audit")
        self.learning = {kind: LearningRuns(self._background, kind) for kind in kinds}
        self._waiting: OrderedDict[int, None] = OrderedDict()
        self._running: dict[int, Flag] = {}
        self._unwatch = Flag()
        self._spectrograms = SpectrogramCache(self._background)
        self._load_turn = self._watched = 0
        self._loaded_request = self.request
        self._next = 0
        if queue is not None:
            self._background.submit_reading(lambda post: read_queue(queue, self._background.stop, post))

    def save_queue(self) -> str | None:
        """Write the queue into its file, unless it was not read completely; return a warning if that failed."""
        return self._queue.plan(self.tracks.values())() if self._queue and self.restored else None

    def keep_queue(self) -> None:
        """Write the queue in another thread if it has changed: a crash then loses little."""
        if self._queue and self.restored and self._queue.has_changed(self.tracks.values()):
            self._background.submit_reading(self._queue.later(self.tracks.values()))

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
                track.cancel()
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
                track.begin_again(whole=whole)
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
            self._paths.discard(track.path)
        self._dispatch()

    def put_back(self, tracks: Iterable[Track]) -> None:
        """Add removed tracks again, at their old places.

        Parameters
        ----------
        tracks : iterable of Track
        """
        every = {track.number: track for track in (*self.tracks.values(), *tracks)}
        self.tracks.clear()
        self.tracks.update(sorted(every.items()))
        for track in tracks:
            self._paths.add(track.path)
            if track.state in UNFINISHED:
                track.state = State.WAITING
                self._waiting[track.number] = None
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
        answers = [(track.path, track.prediction) for track in self._selected(numbers)]
        return self.tags.plan([(path, found) for path, found in answers if found is not None], options)

    def start_learning(self, kind: LearningKind) -> None:
        """Learn from the tags of all tracks, or check them, as soon as all are analysed; `poll` returns the result.

        Parameters
        ----------
        kind : {"learn", "audit"}
        """
        self.learning[kind].wanted = True

    def save_head(self, head: GenreHead, path: Path) -> None:
        """Write the user's own genres into a file; `HeadSaved` follows as an event.

        Parameters
        ----------
        head : GenreHead
        path : Path
        """
        self._background.submit(lambda post: save_head(head, path, post))

    def compare(self, number: int) -> bool:
        """Report by an event how similar all tracks are to one; return False if that one is not analysed.

        Parameters
        ----------
        number : int
        """
        alike = [(t.number, t.analysis) for t in self._analysed() if t.analysis and not t.analysis.is_silent]
        if number not in dict(alike):
            return False
        self._background.submit(lambda post: compare(number, alike, post))
        return True

    @property
    def no_embeddings(self) -> str:
        """Why tracks cannot be compared, as a sentence; empty if they can."""
        return tr(self.backend.no_embeddings) if self.backend is not None else ""

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
            n_tracks += n_tracks_of(event)
            if self._is_current(event):
                self._handle(event)
                events.append(event)
        if events:
            self._dispatch()
        self._start_learning()
        return events

    @property
    def n_unfinished(self) -> int:
        """Number of tracks that wait or are being classified."""
        return len(self._waiting) + len(self._running)

    @property
    def waits_for(self) -> str:
        """What tracks wait for, as text; empty if they do not wait."""
        if self.loading:
            return tr("the model is loading")
        if self.link is not None and self.link.state is not LinkState.CONNECTED:
            return tr("waiting for the service")
        if isinstance(self.refused, DeviceUnavailableError):
            return tr("waiting for a device")
        if isinstance(self.refused, ServiceError) and self.backend is None:
            return tr("waiting for the service")
        return tr("waiting for a model") if self.refused and self.backend is None else ""

    def close(self) -> None:
        """End all work, without waiting for it."""
        for stop in (self._unwatch, *self._running.values()):
            stop.set()
        self._background.close()

    def _add(self, tracks: Iterable[Track]) -> None:
        for track in tracks:
            track.number = self._next
            self.tracks[track.number] = track
            self._paths.add(track.path)
            if track.state is State.WAITING:
                self._waiting[track.number] = None
            self._next += 1

    def _recall(self) -> None:
        """Look up the answers of restored tracks, as soon as there is a model that keeps them."""
        backend, numbers = self.backend, self._to_recall
        if backend is None or not numbers:
            return
        self._to_recall = []
        if backend.no_embeddings:  # a service: what the rows show is all there is
            return
        for start in range(0, len(numbers), RECALLED_AT_ONCE):
            copies = [replace(track) for track in self._selected(numbers[start : start + RECALLED_AT_ONCE])]
            self._background.submit_reading(partial(recall, copies, backend, self._background.stop))

    def _read_names(self, files: list[tuple[int, Path]]) -> None:
        self._background.submit_reading(lambda post: tasks.read_names(files, self._background.stop, post))

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
        other_genres = self.request.head != self._loaded_request.head
        self.backend, self.loading, self._loaded_request = backend, False, self.request
        self._answer_anew(backend, other_genres=other_genres)
        self.link, self._watched, stop = None, turn, Flag()
        self._unwatch = stop
        self._background.start_watch(lambda post: backend.watch(lambda link: post(LinkChanged(turn, link)), stop))

    def _answer_anew(self, backend: Backend, *, other_genres: bool) -> None:
        """Answer for finished tracks by the genres in use, from their analysis, or else by analysing them again."""
        ready = self._analysed()
        for track in ready:
            track.turn += 1
        copies = [replace(track) for track in ready]
        if copies:
            self._background.submit(lambda post: tasks.answer_anew(copies, backend, self._background.stop, post))
        if other_genres:
            numbers = {track.number for track in ready}
            self.retry([n for n, track in self.tracks.items() if track.prediction is not None and n not in numbers])

    def _analysed(self) -> list[Track]:
        """Return the finished tracks with an analysis of the model in use."""
        model = _digest(self.backend)
        return [
            track
            for track in self.tracks.values()
            if track.analysis is not None and track.model == model and track.state not in UNFINISHED
        ]

    def _start_learning(self) -> None:
        if self.backend is None or self.n_unfinished or self.waits_for:
            return
        for runs in self.learning.values():
            if runs.wanted:
                analyses = [(track.path, track.analysis) for track in self._analysed()]
                runs.start([(path, found) for path, found in analyses if found], self.backend.model_metadata)

    def _is_current(self, event: Event) -> bool:
        """Return whether an event still matters."""
        match event:
            case Loaded(turn) | NotLoaded(turn):
                return turn == self._load_turn
            case LinkChanged(turn):
                return turn == self._watched
            case Tagged() | TagsFinished():
                return self.tags.is_current(event)
            case LearningStep() | Learnt() | Audited() | LearningFailed():
                return self.learning[event.kind].is_current(event.run)
            case Started() | Progressed() | Finished() | SpectrogramReady():
                return event.number in self.tracks and event.turn == self.tracks[event.number].turn
        return True

    def _handle(self, event: Event) -> None:
        backend = self.backend
        match event:
            case Found(paths):
                added = [Track(-1, path) for path in dict.fromkeys(paths) if path not in self._paths]
                self.retry(unsuccessful(self.tracks.values(), set(paths) & self._paths))
                self._add(added)
                self._read_names([(track.number, track.path) for track in added])
            case Restored(tracks, last, failed):
                self.restored = self.restored or last
                self._queue = None if failed else self._queue  # it is not written over
                added = [track for track in tracks if track.path not in self._paths]
                self._add(added)
                self._to_recall += [track.number for track in added if track.result is not None]
                self._recall()
            case Recalled(answers):
                self.retry(take_recalled(self.tracks, answers, _digest(backend)))
            case NamesRead(names):
                for number in names.keys() & self.tracks.keys():
                    track = self.tracks[number]
                    track.artist, track.title, track.album = names[number]
            case Started(number):
                self.tracks[number].state, self.tracks[number].analysed = State.ANALYSING, None
            case Progressed(number, _, seconds, track_seconds):
                self.tracks[number].analysed = seconds, track_seconds
            case Finished(number, _, result, analysis):
                self._running.pop(number, None)
                track = self.tracks[number]
                track.analysis, track.model = analysis, _digest(backend)
                track.finish(result)
            case Loaded(turn, backend, devices):
                self.devices = devices
                self._use(turn, backend)
                self._recall()
            case LinkChanged(_, link):
                self.link = link
            case NotLoaded(_, error):
                self.refused, self.loading = error, False
                if self.backend is not None and not isinstance(error, DeviceUnavailableError):
                    self.request = self._loaded_request
            case SpectrogramReady():
                self._spectrograms.add(event)


def _digest(backend: Backend | None) -> str:
    """Return the sha256 of a model; empty if there is none or it is that of a service."""
    graph = None if backend is None else backend.model_metadata.graphs.get("waveform")
    return "" if graph is None else graph.sha256
