"""Spectrograms of the tracks looked at: made when wanted, only for the one wanted last, and a few of them kept.

Runs over the tags of files: what is planned is remembered, so that exactly that is written; all can be taken back.

As with the controller, every method is called on the UI's thread.

The window's state and all that it can do, without any window.

Every method is called on one thread, the UI's; what other threads report waits in a queue until `poll` takes it. So
nothing here needs a lock, and nothing waits.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event as Flag
from typing import TYPE_CHECKING

from genre_gui.backends.base import Backend, Load, LocalBackend, Wish
from genre_gui.backends.errors import ServiceError
from genre_gui.backends.link import Link, LinkState
from genre_gui.text import sentence
from genre_gui.tracks import UNFINISHED, State, Track
from genre_gui.workers import tasks
from genre_gui.workers.background import (
    Background,
    Event,
    Finished,
    Found,
    Heard,
    LinkChanged,
    Loaded,
    Notice,
    NotLoaded,
    Post,
    Started,
    Tagged,
    TagsFinished,
)
from genre_runtime import GenreError, Prediction
from genre_runtime.errors import DeviceUnavailableError

if TYPE_CHECKING:
    from genre_gui.widgets.spectrogram import Sound
    from genre_runtime.library.tags import Mode
    from genre_runtime.model.metadata import ModelMetadata


MOST_KEPT = 8


class Ear:
    """Listens to tracks once more, for the eye."""

    def __init__(self, background: Background) -> None:
        self._background = background
        self._kept: OrderedDict[tuple[int, int], tuple[Sound, ...]] = OrderedDict()
        self._wanted: tuple[int, int] | None = None

    def listen(self, track: Track, metadata: ModelMetadata) -> tuple[Sound, ...] | None:
        """Return a track's spectrograms, or None: then they come as an event."""
        key = (track.number, track.turn)
        if key not in self._kept and key != self._wanted:
            self._wanted = key
            path, whole, stop = track.path, track.whole, self._background.stop
            if not metadata.graphs and track.prediction is not None:  # a service does not tell what it listens to
                excerpts = track.prediction.excerpts
                seconds = max(excerpt.end_seconds - excerpt.start_seconds for excerpt in excerpts)
                metadata = replace(metadata, n_excerpts=len(excerpts), excerpt_seconds=seconds)

            def work(post: Post) -> None:
                if self._wanted == key:  # the user may have gone on to another track
                    tasks.listen(key, path, metadata, whole, stop, post)

            self._background.chore(work)
        return self._kept.get(key)

    def take(self, event: Heard) -> None:
        """Keep what was heard."""
        key = (event.number, event.turn)
        self._kept[key] = event.sounds
        if self._wanted == key:
            self._wanted = None
        while len(self._kept) > MOST_KEPT:
            self._kept.popitem(last=False)


@dataclass(frozen=True)
class Manner:
    """How genres are written.

    Attributes
    ----------
    mode : {"empty", "overwrite", "append"}
    unsure : bool
        Whether answers that are not confident count.
    top : int
        Most genres a file.
    """

    mode: Mode = "empty"
    unsure: bool = False
    top: int = 1


class TagRuns:
    """Plans, writes and takes back.

    Attributes
    ----------
    journal : Path or None
        Where the tags written last are recorded, if any were.
    """

    def __init__(self, background: Background) -> None:
        self.journal: Path | None = None
        self._background = background
        self._run = 0
        self._answers: list[tuple[Path, Prediction]] = []
        self._manner = Manner()

    def plan(self, tracks: Iterable[Track], manner: Manner) -> int:
        """Tell by events what would be written into files; return how many have an answer."""
        answers = [(track.path, track.prediction) for track in tracks]
        self._answers = [(path, found) for path, found in answers if found is not None]
        self._manner = manner
        self._begin(write=False)
        return len(self._answers)

    def write(self) -> None:
        """Write what was planned last, whatever has become of the tracks since."""
        self._begin(write=True)

    def undo(self, journal: Path) -> None:
        """Take back all changes of a journal."""
        self._run += 1
        self._background.chore(lambda post: tasks.take_back(journal, post))

    def matters(self, event: Tagged | TagsFinished) -> bool:
        """Whether an event belongs to the run of last, or says that something was written."""
        return event.run == self._run or (isinstance(event, TagsFinished) and event.write)

    def _begin(self, *, write: bool) -> None:
        self._run += 1
        run, answers, stop, manner = self._run, self._answers, self._background.stop, self._manner

        def work(post: Post) -> None:  # what it imports takes too long for the UI's thread
            try:
                tagging = tasks.tagging(write=write, mode=manner.mode, unsure=manner.unsure, top=manner.top)
            except GenreError as error:  # there is no place for a journal: nothing is written
                post(Notice(sentence(error), bad=True))
                post(TagsFinished(run, write))
                return
            if tagging.journal is not None:
                self.journal = tagging.journal.path
            tasks.tag(answers, tagging, run, stop, post)

        self._background.chore(work)


AHEAD = 5
"""Files handed to the threads for each that can be in work: they never wait for the next tick."""


class Controller:
    """Tracks, model and work.

    Parameters
    ----------
    load : callable
        Makes a backend, in a thread of its own.
    jobs : int, optional
        Files in work at once.
    fixed : bool
        Whether model and device are what the backend has, and cannot be wished for.

    Attributes
    ----------
    tracks : dict of int to Track
    backend : Backend or None
        The model that is ready.
    wish : Wish
        The model and device asked for last.
    loading : bool
    devices : tuple of str
        What the installed ONNX Runtime offers, as far as is known.
    link : Link or None
        How the connection to the service stands, if the backend is one.
    refused : GenreError or None
        Why the wish of last could not be met; if it is the device, nothing is done until there is a new wish.
    tags : TagRuns
    """

    def __init__(self, load: Load = LocalBackend.load, jobs: int | None = None, *, fixed: bool = False) -> None:
        self.fixed = fixed
        self.tracks: dict[int, Track] = {}
        self.backend: Backend | None = None
        self.wish = Wish()
        self.loading = False
        self.refused: GenreError | None = None
        self.devices: tuple[str, ...] = ()
        self.link: Link | None = None
        self._load = load
        self._background = Background(jobs)
        self.tags = TagRuns(self._background)
        self._waiting: OrderedDict[int, None] = OrderedDict()
        self._in_work: dict[int, Flag] = {}
        self._unwatch = Flag()
        self._ear = Ear(self._background)
        self._load_turn = self._watched = 0
        self._met = self.wish
        self._next = 0

    def load(self, wish: Wish) -> None:
        """Load a model; tracks that have not begun wait for it."""
        self._load_turn += 1
        self.wish, self.loading, self.refused = wish, True, None
        turn = self._load_turn

        def work(post: Post) -> None:
            try:
                backend = self._load(wish)
                post(Loaded(turn, backend, () if self.fixed else tasks.offered_devices()))
            except GenreError as error:
                post(NotLoaded(turn, error))

        self._background.chore(work)

    def add(self, names: Iterable[str]) -> None:
        """Look for files in another thread; `poll` puts them into the queue as they are found."""
        wanted = list(names)
        self._background.chore(lambda post: tasks.find(wanted, self._background.stop, post))

    def cancel(self, numbers: Iterable[int] | None = None) -> None:
        """Cancel tracks that are waiting or in work, by default all."""
        for track in self._chosen(numbers):
            if track.state in UNFINISHED:
                self._stop(track)
                track.state = State.CANCELLED
        self._dispatch()

    def retry(self, numbers: Iterable[int], *, whole: bool | None = None) -> None:
        """Classify tracks again that are not in work; `whole` listens to all of them, None as much as before."""
        for track in self._chosen(numbers):
            if track.state not in UNFINISHED:
                track.whole = track.whole if whole is None else whole
                track.state, track.result = State.WAITING, None
                self._waiting[track.number] = None
        self._dispatch()

    def remove(self, numbers: Iterable[int] | None = None) -> None:
        """Take tracks out of the queue, by default all; the files stay."""
        for track in self._chosen(numbers):
            self._stop(track)
            del self.tracks[track.number]
        self._dispatch()

    def listen(self, number: int) -> tuple[Sound, ...] | None:
        """Return a track's spectrograms, or None: then they come as an event."""
        if self.backend is None or number not in self.tracks:
            return None
        return self._ear.listen(self.tracks[number], self.backend.metadata)

    def try_devices(self) -> None:
        """Find out which devices work; the answer comes as an event."""
        backend = self.backend
        if backend is not None:
            self._background.chore(lambda post: tasks.try_devices(backend, post))

    def plan_tags(self, numbers: Iterable[int], manner: Manner) -> int:
        """Tell by events what would be written into the files of tracks; return how many have an answer."""
        return self.tags.plan(self._chosen(numbers), manner)

    def export(self, path: Path, numbers: Iterable[int]) -> None:
        """Write the outcomes of tracks into a file whose suffix names the form."""
        results = [(track.path, track.result) for track in self._chosen(numbers) if track.result is not None]
        self._background.chore(lambda post: tasks.export(path, results, post))

    def poll(self, limit: int) -> list[Event]:
        """Take in reports about at most `limit` tracks or so, and return those that still matter."""
        events: list[Event] = []
        n_tracks = 0
        while n_tracks < limit and not self._background.events.empty():
            event = self._background.events.get()
            n_tracks += len(event.paths) if isinstance(event, Found) else 1
            if self._take(event):
                events.append(event)
        if events:
            self._dispatch()
        return events

    @property
    def n_unfinished(self) -> int:
        """Number of tracks that wait or are in work."""
        return len(self._waiting) + len(self._in_work)

    @property
    def waits_for(self) -> str:
        """What keeps tracks waiting, in words; empty if nothing does."""
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
        for stop in (self._unwatch, *self._in_work.values()):
            stop.set()
        self._background.close()

    def _chosen(self, numbers: Iterable[int] | None) -> list[Track]:
        if numbers is None:
            return list(self.tracks.values())
        return [self.tracks[number] for number in numbers if number in self.tracks]

    def _stop(self, track: Track) -> None:
        track.turn += 1
        self._waiting.pop(track.number, None)
        if stop := self._in_work.pop(track.number, None):
            stop.set()

    def _dispatch(self) -> None:
        """Hand tracks to the threads while a model is ready and nobody is being asked."""
        if self.backend is None or self.waits_for:
            return
        while self._waiting and len(self._in_work) < AHEAD * self._background.jobs:
            track = self.tracks[self._waiting.popitem(last=False)[0]]
            track.turn += 1
            stop = self._in_work[track.number] = Flag()
            self._background.file(tasks.classifying(replace(track), self.backend, stop))

    def _use(self, turn: int, backend: Backend) -> None:
        """Take another backend; tracks that the one before has in work begin anew."""
        self._unwatch.set()
        for number in reversed(list(self._in_work)):
            self._stop(self.tracks[number])
            self.tracks[number].state = State.WAITING
            self._waiting[number] = None
            self._waiting.move_to_end(number, last=False)
        self.backend, self.loading, self._met = backend, False, self.wish
        self.link, self._watched, stop = None, turn, Flag()
        self._unwatch = stop
        self._background.lasting(lambda post: backend.watch(lambda link: post(LinkChanged(turn, link)), stop))

    def _take(self, event: Event) -> bool:
        """Change the state as an event says; return whether it still matters."""
        if isinstance(event, Loaded | NotLoaded) and event.turn != self._load_turn:
            return False
        if isinstance(event, LinkChanged) and event.turn != self._watched:
            return False
        if isinstance(event, Tagged | TagsFinished):
            return self.tags.matters(event)
        if isinstance(event, Started | Finished | Heard) and event.number not in self.tracks:
            return False
        if isinstance(event, Started | Finished | Heard) and event.turn != self.tracks[event.number].turn:
            return False
        match event:
            case Found(paths):
                for path in paths:
                    self.tracks[self._next] = Track(self._next, path)
                    self._waiting[self._next] = None
                    self._next += 1
            case Started(number):
                self.tracks[number].state = State.LISTENING
            case Finished(number, _, result):
                self._in_work.pop(number, None)
                self.tracks[number].finish(result)
            case Loaded(turn, backend, devices):
                self.devices = devices
                self._use(turn, backend)
            case LinkChanged(_, link):
                self.link = link
            case NotLoaded(_, error):
                self.refused, self.loading = error, False
                if self.backend is not None and not isinstance(error, DeviceUnavailableError):
                    self.wish = self._met
            case Heard():
                self._ear.take(event)
        return True
