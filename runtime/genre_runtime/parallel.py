"""How many cores this process may use, and work on many items at a time."""

from __future__ import annotations

import os
import sys
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import TypeVar

CGROUP_QUOTA = Path("/sys/fs/cgroup/cpu.max")
"""Processor time of a container (Linux, cgroup v2): quota and period in microseconds, or "max"."""

Item = TypeVar("Item")
Result = TypeVar("Result")


def available_cores() -> int:
    """Return how many cores this process may use, by its affinity and the quota of its container.

    Returns
    -------
    int
        At least 1.
    """
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    try:
        quota, period = CGROUP_QUOTA.read_text().split()
        cores = min(cores, -(-int(quota) // int(period)))
    except (OSError, ValueError, ZeroDivisionError):  # another system, an older cgroup, or "max": no quota
        pass
    return max(cores, 1)


def ordered_map(
    function: Callable[[Item, Event], Result], items: Iterable[Item], jobs: int
) -> Generator[Result, None, None]:
    """Yield `function(item, stop)` for each item, in order, `jobs` at a time.

    Closing the iterator sets `stop` and waits for the calls that have begun.

    Parameters
    ----------
    function : callable
        Called with an item and an event; should return early once the event is set.
    items : iterable
        May be endless: at most `2 * jobs` items are taken before the first result is.
    jobs : int
        Number of threads, at least 1.
    """
    stop = Event()
    with ThreadPoolExecutor(jobs, thread_name_prefix="genre") as pool:
        waiting: deque[Future[Result]] = deque()
        try:
            for item in items:
                waiting.append(pool.submit(function, item, stop))
                if len(waiting) >= 2 * jobs:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:  # a caller who stops early does not wait for all calls in the queue
            stop.set()
            for future in waiting:
                future.cancel()
