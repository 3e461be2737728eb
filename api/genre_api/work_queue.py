"""A bounded queue in front of a bounded pool of threads that run predictions."""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from threading import Event, Lock
from typing import Any, TypeVar

from genre_api.problems import ServiceError, busy

Answer = TypeVar("Answer")

MAX_RETRY_SECONDS = 60


class ClientGone(Exception):  # noqa: N818
    """The client closed the connection before it was answered."""


class WorkQueue:
    """Runs jobs in threads, and refuses a job at once when the queue is full.

    Parameters
    ----------
    n_workers : int
        Jobs that run at once.
    length : int
        Jobs that may wait.
    per_client : int
        Jobs of one client that wait or run; 0 sets no limit.
    """

    def __init__(self, n_workers: int, length: int, per_client: int = 0) -> None:
        self._pool = ThreadPoolExecutor(n_workers, thread_name_prefix="genre")
        self._n_workers, self._length, self._per_client = n_workers, length, per_client
        self._lock = Lock()
        self._places: Counter[str] = Counter()
        self._stops: set[Event] = set()
        self._usual_seconds = 1.0
        self.n_running = 0

    @property
    def n_waiting(self) -> int:
        """Number of jobs that wait for a thread."""
        return max(0, self._places.total() - self.n_running)

    @property
    def retry_after(self) -> int:
        """Seconds until a place is likely to be free, from the usual duration of a job."""
        seconds = self._usual_seconds * (1 + self.n_waiting) / self._n_workers
        return min(MAX_RETRY_SECONDS, max(1, math.ceil(seconds)))

    async def run(
        self,
        job: Callable[[Event], Answer],
        *,
        client: str,
        gone: Coroutine[Any, Any, None],
        seconds: float,
        at_end: Callable[[], None],
    ) -> Answer:
        """Run a job in a thread and return its result.

        Parameters
        ----------
        job : callable
            Gets an event that is set when the result is no longer needed.
        client : str
            Address of the client.
        gone : coroutine
            Ends when the client closes the connection.
        seconds : float
            Longest time to wait for the result.
        at_end : callable
            Called once in every case, when no thread runs the job (any more).

        Raises
        ------
        ServiceError
            `busy`, `too_many_requests` or `timeout`.
        ClientGone
        """
        try:
            self._take_place(client)
        except ServiceError:
            gone.close()
            at_end()
            raise
        stop = Event()
        self._stops.add(stop)

        def leave(_: Future[Answer]) -> None:
            with self._lock:
                self._places[client] -= 1
                self._places += Counter()  # removes entries of zero
            self._stops.discard(stop)
            at_end()

        future = self._pool.submit(copy_context().run, self._work, job, stop)
        future.add_done_callback(leave)
        answer, watch = asyncio.wrap_future(future), asyncio.create_task(gone)
        either: set[asyncio.Future[Any]] = {answer, watch}
        try:
            done, _ = await asyncio.wait(either, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if answer in done:
                return answer.result()
            if watch in done:
                raise ClientGone
            raise ServiceError(
                503, "timeout", f"no answer within {seconds:g} s: send less, or try again", {"Retry-After": "10"}
            )
        finally:
            stop.set()
            watch.cancel()
            answer.cancel()

    def close(self) -> None:
        """Stop the running jobs and drop the waiting ones."""
        for stop in list(self._stops):
            stop.set()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def check_place(self, client: str) -> None:
        """Refuse a client that has no place in the queue now.

        Parameters
        ----------
        client : str
            Address of the client.

        Raises
        ------
        ServiceError
            `busy` or `too_many_requests`.
        """
        with self._lock:
            self._check_place(client)

    def _take_place(self, client: str) -> None:
        with self._lock:
            self._check_place(client)
            self._places[client] += 1

    def _check_place(self, client: str) -> None:
        if self._per_client and self._places[client] >= self._per_client:
            raise ServiceError(
                429,
                "too_many_requests",
                f"{self._per_client} of your requests are waiting or running already: wait for one of them",
                {"Retry-After": str(self.retry_after)},
            )
        if self._places.total() >= self._n_workers + self._length:
            raise busy(self.retry_after)

    def _work(self, job: Callable[[Event], Answer], stop: Event) -> Answer:
        began = time.monotonic()
        with self._lock:
            self.n_running += 1
        try:
            return job(stop)
        finally:
            with self._lock:
                self.n_running -= 1
                self._usual_seconds += 0.1 * (time.monotonic() - began - self._usual_seconds)
