"""A bounded queue in front of a bounded pool of threads, in which files are decoded and the model runs."""

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
    """The client closed the connection before it had its answer."""


class WorkQueue:
    """Runs jobs in threads; beyond its length it refuses at once.

    Parameters
    ----------
    n_workers : int
        Jobs in work at once.
    length : int
        Jobs that may wait.
    per_client : int
        Jobs of one client, waiting or in work; 0 sets no bound.
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
        """Jobs that no thread has begun."""
        return max(0, self._places.total() - self.n_running)

    @property
    def retry_after(self) -> int:
        """Seconds after which a place is likely to be free."""
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
            Is given an event that is set when nobody wants the result any longer.
        client : str
            Who asks.
        gone : coroutine
            Ends when the client is gone.
        seconds : float
            Longest time to wait for the result.
        at_end : callable
            Called in any case, when no thread works at the job (any more).

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
                self._places += Counter()  # forgets those at zero
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
        """Stop what is in work within a block, and drop what waits."""
        for stop in list(self._stops):
            stop.set()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def check_place(self, client: str) -> None:
        """Refuse a client for whom there is no place now, before anything is done for it.

        Raises
        ------
        ServiceError
            `busy` or `too_many_requests`.
        """
        with self._lock:
            self._refuse_or_pass(client)

    def _take_place(self, client: str) -> None:
        with self._lock:
            self._refuse_or_pass(client)
            self._places[client] += 1

    def _refuse_or_pass(self, client: str) -> None:
        if self._per_client and self._places[client] >= self._per_client:
            raise ServiceError(
                429,
                "too_many_requests",
                f"{self._per_client} of your requests are in work already: wait for one of them",
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
