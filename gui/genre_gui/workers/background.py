"""What the threads behind the window report to it.

Threads that work behind the window, and the one queue by which they report.

What keeps other threads from holding up the UI's: who collects garbage, and how long Python waits for its turn.

A font, picture or variable of Tk deletes itself in Tk when it is collected, and Python collects in whatever thread
happens to allocate. In any other thread than the UI's each of them waits for the main loop: a second if none runs, for
ever if it ends meanwhile, so that a thread behind the window would outlive it.

Every call of Tk gives Python's lock away and asks for it again, and a thread that is busy in Python keeps it for
`sys.getswitchinterval()`, 5 ms: a hundred rows beside one such thread took a third of a second, and 20 ms with the
interval below.
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
from typing import TYPE_CHECKING

from genre_gui import THREAD_PREFIX, __version__
from genre_runtime.parallel import available_cores

if TYPE_CHECKING:
    from genre_gui.backends.base import Backend
    from genre_gui.backends.link import Link
    from genre_gui.tracks import Result
    from genre_gui.widgets.spectrogram import Sound
    from genre_runtime import GenreError
    from genre_runtime.library.tags import Change
    from genre_runtime.library.tags.restore import Undone


@dataclass(frozen=True)
class Found:
    """Files to classify were found."""

    paths: tuple[Path, ...]


@dataclass(frozen=True)
class Started:
    """A track is being listened to."""

    number: int
    turn: int


@dataclass(frozen=True)
class Finished:
    """A track has its outcome."""

    number: int
    turn: int
    result: Result


@dataclass(frozen=True)
class Loaded:
    """A model is ready, and ONNX Runtime offers these devices."""

    turn: int
    backend: Backend
    devices: tuple[str, ...] = ()


@dataclass(frozen=True)
class NotLoaded:
    """A model could not be loaded."""

    turn: int
    error: GenreError


@dataclass(frozen=True)
class LinkChanged:
    """The connection to the service stands otherwise than before."""

    turn: int
    link: Link


@dataclass(frozen=True)
class DevicesTried:
    """For each device `works`, or why it does not."""

    answers: dict[str, str]


@dataclass(frozen=True)
class Heard:
    """The spectrograms of a track are there."""

    number: int
    turn: int
    sounds: tuple[Sound, ...]


@dataclass(frozen=True)
class Tagged:
    """What would become, or became, of the tags of one file."""

    run: int
    path: Path
    outcome: Change | GenreError


@dataclass(frozen=True)
class TagsFinished:
    """All files were looked at; `journal` is where the changes are recorded if any was made."""

    run: int
    write: bool
    journal: Path | None = None


@dataclass(frozen=True)
class TagsUndone:
    """Changes were taken back."""

    outcomes: tuple[Undone, ...]


@dataclass(frozen=True)
class Notice:
    """Something to be said in words; `bad` if it went wrong."""

    words: str
    bad: bool = False


@dataclass(frozen=True)
class Broken:
    """A fault of this program; `report` is text to copy."""

    report: str


Event = (
    Found
    | Started
    | Finished
    | Loaded
    | NotLoaded
    | LinkChanged
    | DevicesTried
    | Heard
    | Tagged
    | TagsFinished
    | TagsUndone
    | Notice
    | Broken
)


N_CHORES = 3
"""Threads for loading, finding, drawing and tagging: none of them may keep the others waiting."""

MOST_JOBS = 8

Post = Callable[[Event], None]


class Background:
    """Two pools of threads, one for files and one for everything else.

    Parameters
    ----------
    jobs : int, optional
        Files in work at once; by default one a core but one, which is the window's.

    Attributes
    ----------
    events : queue of Event
        What has happened; the UI thread takes from it without waiting.
    stop : threading.Event
        Set when the window closes: all work should end early.
    """

    def __init__(self, jobs: int | None = None) -> None:
        self.jobs = jobs or min(MOST_JOBS, available_cores())
        self.events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self.stop = Flag()
        self._files = ThreadPoolExecutor(self.jobs, thread_name_prefix=f"{THREAD_PREFIX}-file")
        self._chores = ThreadPoolExecutor(N_CHORES, thread_name_prefix=f"{THREAD_PREFIX}-chore")

    def file(self, work: Callable[[Post], None]) -> Future[None]:
        """Work on a file when its turn comes."""
        return self._files.submit(self._guarded, work)

    def chore(self, work: Callable[[Post], None]) -> Future[None]:
        """Do something else."""
        return self._chores.submit(self._guarded, work)

    def lasting(self, work: Callable[[Post], None]) -> None:
        """Do something that takes as long as the window is open, in a thread of its own."""
        threading.Thread(target=self._guarded, args=(work,), name=f"{THREAD_PREFIX}-watch", daemon=True).start()

    def close(self) -> None:
        """Drop what has not begun, tell the rest to stop, and return at once."""
        self.stop.set()
        for pool in (self._files, self._chores):
            pool.shutdown(wait=False, cancel_futures=True)

    def _guarded(self, work: Callable[[Post], None]) -> None:
        try:
            work(self.events.put)
        except Exception as error:  # without a word the window would wait for ever
            self.events.put(Broken(report(error)))


def outliving(seconds: float) -> list[str]:
    """Wait for this program's threads to end; return the names of those that are still at work then."""
    deadline = time.monotonic() + seconds
    threads = [thread for thread in threading.enumerate() if thread.name.startswith(THREAD_PREFIX)]
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return [thread.name for thread in threads if thread.is_alive()]


def report(error: BaseException) -> str:
    """Return what whoever mends this program has to know."""
    lines = [
        f"genre-gui {__version__}, Python {platform.python_version()}, {platform.platform()}",
        *(line.rstrip("\n") for line in traceback.format_exception(error)),
    ]
    return "\n".join(lines) + "\n"


SWITCH_SECONDS = 0.0005


@contextmanager
def undisturbed() -> Iterator[None]:
    """For the time of a window, have this thread's turn come soon, and leave collecting to it.

    `collect_if_due` collects now and then, and the end of the block once more.
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


def settle() -> None:
    """Leave all that exists now alone until the end: looking through it would stop the window for too long."""
    gc.freeze()


def collect_if_due() -> None:
    """Collect if Python would have: as many objects were made as its thresholds say."""
    counts, thresholds = gc.get_count(), gc.get_threshold()
    for generation in (2, 1, 0):
        if 0 < thresholds[generation] < counts[generation]:
            gc.collect(generation)
            if generation == 2:  # what is alive now are tracks and answers: they die without being collected
                settle()
            return
