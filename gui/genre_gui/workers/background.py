"""Threads behind the window, the events by which they report, and what keeps them from slowing the UI thread.

Garbage collection runs on the UI thread only: a font, picture or variable of Tk deletes itself in Tk when it is
collected, and from another thread that call waits for the main loop, for ever if the loop ends meanwhile.

Every call of Tk releases Python's lock and acquires it again, and a thread that is busy in Python keeps the lock for
`sys.getswitchinterval()`. With the default of 5 ms, drawing a hundred rows beside one such thread took a third of a
second; with `SWITCH_SECONDS` it takes 20 ms.
"""

from __future__ import annotations

import gc
import platform
import queue
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event as Flag
from typing import TYPE_CHECKING, ClassVar, Literal

from genre_gui import THREAD_PREFIX, __version__
from genre_runtime import available_cores

if TYPE_CHECKING:
    from genre_gui.backends.base import Backend, Link
    from genre_gui.tracks import Result, Track
    from genre_gui.widgets.spectrogram import ExcerptSpectrogram
    from genre_runtime import GenreError, Prediction
    from genre_runtime.library.learning.audit import Audit
    from genre_runtime.library.learning.examples import GenreNames
    from genre_runtime.library.learning.heads import Lesson
    from genre_runtime.library.tags import Change
    from genre_runtime.library.tags.restore import Undone

LearningKind = Literal["learn", "audit"]


@dataclass(frozen=True)
class Event:
    """Report of another thread to the UI thread."""


@dataclass(frozen=True)
class Found(Event):
    """Audio files were found."""

    paths: tuple[Path, ...]


@dataclass(frozen=True)
class Restored(Event):
    """Tracks of the queue of an earlier window; their numbers are still to be given."""

    tracks: tuple[Track, ...]
    last: bool = False
    failed: bool = False


@dataclass(frozen=True)
class Recalled(Event):
    """Stored answers: number and turn of each track, its result (None if there is none), and the model's own answer."""

    answers: tuple[tuple[int, int, Result | None, Prediction | None], ...]


@dataclass(frozen=True)
class NamesRead(Event):
    """Artist, title and album of tracks, by number; tracks without tags are left out."""

    names: dict[int, tuple[str, str, str]]


@dataclass(frozen=True)
class Started(Event):
    """The classification of a track has started."""

    number: int
    turn: int


@dataclass(frozen=True)
class Progressed(Event):
    """A part of a whole track is analysed; `track_seconds` is the length that the file claims."""

    number: int
    turn: int
    seconds: float
    track_seconds: float | None


@dataclass(frozen=True)
class Finished(Event):
    """The classification of a track has finished."""

    number: int
    turn: int
    result: Result
    analysis: Prediction | None = None
    """The model's own answer, if it has embeddings."""


@dataclass(frozen=True)
class Loaded(Event):
    """A model is loaded; `devices` are those of the installed ONNX Runtime."""

    turn: int
    backend: Backend
    devices: tuple[str, ...] = ()


@dataclass(frozen=True)
class NotLoaded(Event):
    """A model could not be loaded."""

    turn: int
    error: GenreError


@dataclass(frozen=True)
class LinkChanged(Event):
    """The state of the connection to the service has changed."""

    turn: int
    link: Link


@dataclass(frozen=True)
class DevicesTested(Event):
    """Every device was tested: `works`, or why it does not."""

    answers: dict[str, str]


@dataclass(frozen=True)
class SpectrogramReady(Event):
    """The spectrograms of a track are computed; empty if it cannot be read."""

    number: int
    turn: int
    excerpts: tuple[ExcerptSpectrogram, ...]


@dataclass(frozen=True)
class Tagged(Event):
    """The tags of a file were written, or would be changed in this way."""

    run: int
    path: Path
    outcome: Change | GenreError


@dataclass(frozen=True)
class TagsFinished(Event):
    """A run over the tags of all files has ended."""

    run: int
    write: bool


@dataclass(frozen=True)
class TagsUndone(Event):
    """Written tags were restored."""

    outcomes: tuple[Undone, ...]


@dataclass(frozen=True)
class LearningStep(Event):
    """A run over the collection is busy; `share` of the step is done, if that is known."""

    kind: LearningKind
    run: int
    message: str
    share: float | None = None


@dataclass(frozen=True)
class Learnt(Event):
    """Genres were learnt from the tags of tracks."""

    kind: ClassVar[LearningKind] = "learn"
    run: int
    lesson: Lesson
    names: GenreNames


@dataclass(frozen=True)
class Audited(Event):
    """The tags of tracks were compared with what they sound like."""

    kind: ClassVar[LearningKind] = "audit"
    run: int
    audit: Audit


@dataclass(frozen=True)
class LearningFailed(Event):
    """A run over the collection could not be finished; `message` says why."""

    kind: LearningKind
    run: int
    message: str


@dataclass(frozen=True)
class HeadSaved(Event):
    """The user's own genres were written into a file."""

    path: Path


@dataclass(frozen=True)
class Compared(Event):
    """A track was compared with the others: their similarity to it by number, the most similar first."""

    number: int
    similarities: dict[int, float]


@dataclass(frozen=True)
class Notice(Event):
    """A message to the user; `bad` for an error."""

    message: str
    bad: bool = False


@dataclass(frozen=True)
class Broken(Event):
    """An unexpected exception; `report` is text to copy."""

    report: str


Post = Callable[[Event], None]


def n_tracks_of(event: Event) -> int:
    """Return how many tracks an event is about; 1 for any other event.

    Parameters
    ----------
    event : Event
    """
    match event:
        case Found(many) | NamesRead(many) | Recalled(many):
            return max(1, len(many))
        case Restored(tracks):
            return 1 + len(tracks) // 10  # no thread waits for them
    return 1


N_TASK_THREADS = 3
"""Threads for loading, finding files, spectrograms and tags, so that none of these waits for another one."""

MAX_JOBS = 8
SWITCH_SECONDS = 0.0005


class Background:
    """Thread pools: for the classification of files, for reading what is known of many tracks, for all other tasks.

    Parameters
    ----------
    jobs : int, optional
        Files classified at the same time; by default one for each available core, at most `MAX_JOBS`.

    Attributes
    ----------
    events : queue of Event
        The UI thread takes from it without waiting.
    stop : threading.Event
        Set when the window closes, to end all work early.
    """

    def __init__(self, jobs: int | None = None) -> None:
        self.jobs = jobs or min(MAX_JOBS, available_cores())
        self.events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self.stop = Flag()
        self._files = ThreadPoolExecutor(self.jobs, thread_name_prefix=f"{THREAD_PREFIX}-file")
        self._reading = ThreadPoolExecutor(1, thread_name_prefix=f"{THREAD_PREFIX}-read")
        self._tasks = ThreadPoolExecutor(N_TASK_THREADS, thread_name_prefix=f"{THREAD_PREFIX}-task")

    def submit_file(self, work: Callable[[Post], None]) -> Future[None]:
        """Schedule the classification of a file.

        Parameters
        ----------
        work : callable
            Called with the function that posts events.
        """
        return self._files.submit(self._guarded, work)

    def submit_reading(self, work: Callable[[Post], None]) -> Future[None]:
        """Schedule a task that reads what is known of many tracks; these run one after the other.

        Parameters
        ----------
        work : callable
            Called with the function that posts events.
        """
        return self._reading.submit(self._guarded, work)

    def submit(self, work: Callable[[Post], None]) -> Future[None]:
        """Schedule another task.

        Parameters
        ----------
        work : callable
            Called with the function that posts events.
        """
        return self._tasks.submit(self._guarded, work)

    def start_watch(self, work: Callable[[Post], None]) -> None:
        """Start a task that takes as long as the window is open, in its own thread.

        Parameters
        ----------
        work : callable
            Called with the function that posts events.
        """
        threading.Thread(target=self._guarded, args=(work,), name=f"{THREAD_PREFIX}-watch", daemon=True).start()

    def close(self) -> None:
        """Drop the work that has not started, tell the rest to stop, and return at once."""
        self.stop.set()
        for pool in (self._files, self._reading, self._tasks):
            pool.shutdown(wait=False, cancel_futures=True)

    def _guarded(self, work: Callable[[Post], None]) -> None:
        try:
            work(self.events.put)
        except Exception as error:  # otherwise the window would wait for ever
            self.events.put(Broken(fault_report(error)))


def wait_for_threads(seconds: float) -> list[str]:
    """Wait for the threads of this program to end; return the names of those that are still running.

    Parameters
    ----------
    seconds : float
        Longest wait for all of them.
    """
    deadline = time.monotonic() + seconds
    threads = [thread for thread in threading.enumerate() if thread.name.startswith(THREAD_PREFIX)]
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return [thread.name for thread in threads if thread.is_alive()]


def fault_report(error: BaseException) -> str:
    """Return versions and traceback of an unexpected exception, as text for a bug report.

    Parameters
    ----------
    error : BaseException
    """
    lines = [
        f"genre-gui {__version__}, Python {platform.python_version()}, {platform.platform()}",
        *(line.rstrip("\n") for line in traceback.format_exception(error)),
    ]
    return "\n".join(lines) + "\n"


@contextmanager
def ui_thread() -> Iterator[None]:
    """Make this thread the UI thread: others give way to it soon, and leave garbage collection to it.

    `collect_if_due` collects from time to time, and the end of the block once more.
    """
    automatic, interval = gc.isenabled(), sys.getswitchinterval()
    gc.disable()
    sys.setswitchinterval(SWITCH_SECONDS)
    try:
        yield
    finally:
        sys.setswitchinterval(interval)
        gc.unfreeze()
        gc.collect()
        if automatic:
            gc.enable()


def collect_if_due() -> None:
    """Collect garbage if Python's own thresholds are exceeded."""
    counts, thresholds = gc.get_count(), gc.get_threshold()
    for generation in (2, 1, 0):
        if 0 < thresholds[generation] < counts[generation]:
            gc.collect(generation)
            if generation == 2:
                gc.freeze()  # the survivors are tracks and answers, which are freed without being collected
            return
