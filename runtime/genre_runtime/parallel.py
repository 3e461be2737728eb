"""Work on many items at a time, results in order."""

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
"""Quota and period in microseconds, or "max": how much processor time a container may use (Linux, cgroup v2)."""

Item = TypeVar("Item")
Result = TypeVar("Result")


def available_cores() -> int:
    """Return how many cores this process may use: its affinity, and the quota of its container, rounded up.

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

    Items are taken as results are, at most twice as many as `jobs` ahead, so there may be endlessly many. Closing the
    iterator sets `stop`, by which work that is under way should end early, and waits for it.
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
        finally:  # whoever takes no more results does not wait for all that is under way
            stop.set()
            for future in waiting:
                future.cancel()
