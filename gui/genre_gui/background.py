"""Threads that work behind the window, and the one queue by which they report."""

from __future__ import annotations

import os
import platform
import queue
import threading
import time
import traceback
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event as Flag

from genre_gui.events import Broken, Event
from genre_gui.version import __version__

N_CHORES = 3
"""Threads for loading, finding, drawing and tagging: none of them may keep the others waiting."""

MOST_JOBS = 8

THREADS = "genre-gui"
"""What the names of all threads of this program begin with."""

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
        self.jobs = jobs or max(1, min(MOST_JOBS, (os.cpu_count() or 2) - 1))
        self.events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self.stop = Flag()
        self._files = ThreadPoolExecutor(self.jobs, thread_name_prefix=f"{THREADS}-file")
        self._chores = ThreadPoolExecutor(N_CHORES, thread_name_prefix=f"{THREADS}-chore")

    def file(self, work: Callable[[Post], None]) -> Future[None]:
        """Work on a file when its turn comes."""
        return self._files.submit(self._guarded, work)

    def chore(self, work: Callable[[Post], None]) -> Future[None]:
        """Do something else."""
        return self._chores.submit(self._guarded, work)

    def lasting(self, work: Callable[[Post], None]) -> None:
        """Do something that takes as long as the window is open, in a thread of its own."""
        threading.Thread(target=self._guarded, args=(work,), name=f"{THREADS}-watch", daemon=True).start()

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
    threads = [thread for thread in threading.enumerate() if thread.name.startswith(THREADS)]
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
