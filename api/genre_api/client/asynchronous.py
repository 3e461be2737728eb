"""The client for asyncio."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from itertools import count
from typing import BinaryIO, Self, TypeVar

import httpx2

from genre_api.client import calls
from genre_api.client.calls import PATIENCE_SECONDS, RETRIES, TIMEOUT_SECONDS, ClientError, OverloadedError, Source
from genre_api.schemas import Embedding, Genres, Health, Input, Job, Metrics, Similar
from genre_runtime import FileResult, Prediction

Result = TypeVar("Result")


class AsyncClient:
    """A client for asyncio, with the methods of `Client`.

    Parameters
    ----------
    url : str
        Address of the service, such as `http://127.0.0.1:8000`.
    key : str, optional
        API key of the service.
    timeout : float
        Longest time without a byte from the service, in seconds.
    retries : int
        Most further attempts of a request that the service has no place for, or cannot be connected to.
    transport : httpx2.AsyncBaseTransport, optional
        Sends the requests instead of the network.

    Raises
    ------
    ValueError
        The address or the key is invalid.
    """

    def __init__(
        self,
        url: str,
        key: str | None = None,
        *,
        timeout: float = TIMEOUT_SECONDS,
        retries: int = RETRIES,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self._http = httpx2.AsyncClient(**calls.settings_of(url, key, timeout), transport=transport)
        self._retries = retries

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def predict(self, source: Source, *, excerpts: int | None = None, whole: bool = False) -> Prediction:
        """Classify one file, as `Client.predict` does.

        Parameters
        ----------
        source : path, bytes, seekable binary file object or ServerFile
        excerpts : int, optional
        whole : bool
        """
        return await self._send(calls.predict(source, excerpts, whole))

    async def predict_batch(
        self, sources: Sequence[Source], *, excerpts: int | None = None, whole: bool = False
    ) -> list[FileResult]:
        """Classify several files in one request, as `Client.predict_batch` does.

        Parameters
        ----------
        sources : sequence of path, bytes or seekable binary file object
        excerpts : int, optional
        whole : bool
        """
        return await self._send(calls.predict_batch(sources, excerpts, whole))

    async def embedding(
        self, source: Source, *, excerpts: int | None = None, whole: bool = False, per_excerpt: bool = False
    ) -> Embedding:
        """Return the embedding of one file.

        Parameters
        ----------
        source : path, bytes, seekable binary file object or ServerFile
        excerpts : int, optional
        whole, per_excerpt : bool
        """
        return await self._send(calls.embedding(source, excerpts, whole, per_excerpt))

    async def similar(
        self, source: Source, *, top: int = 10, excerpts: int | None = None, whole: bool = False
    ) -> Similar:
        """Return the known tracks that sound most like one file.

        Parameters
        ----------
        source : path, bytes, seekable binary file object or ServerFile
        top : int
        excerpts : int, optional
        whole : bool
        """
        return await self._send(calls.similar(source, top, excerpts, whole))

    async def genres(self) -> Genres:
        """Return the genres of the model."""
        return await self._send(calls.GENRES)

    async def input(self) -> Input:
        """Return what the model is given: its excerpts, and the constants of its log-mel spectrogram."""
        return await self._send(calls.INPUT)

    async def metrics(self) -> Metrics:
        """Return the results of the training."""
        return await self._send(calls.METRICS)

    async def health(self) -> Health:
        """Return the state of the service, which may be `degraded`."""
        return await self._send(calls.HEALTH)

    async def submit(self, paths: str | Sequence[str], *, excerpts: int | None = None, whole: bool = False) -> Job:
        """Submit a long job and return it, as `Client.submit` does.

        Parameters
        ----------
        paths : str or sequence of str
        excerpts : int, optional
        whole : bool
        """
        return await self._send(calls.submit(paths, excerpts, whole))

    async def jobs(self) -> list[Job]:
        """Return the jobs that the service keeps, the oldest first."""
        return await self._send(calls.JOBS)

    async def job(self, job_id: str) -> Job:
        """Return the state of a job.

        Parameters
        ----------
        job_id : str
        """
        return await self._send(calls.job(job_id))

    async def cancel(self, job_id: str) -> Job | None:
        """Cancel a job that waits or runs, and return it; remove one that has ended, and return None.

        Parameters
        ----------
        job_id : str
        """
        return await self._send(calls.cancel(job_id))

    async def wait(
        self, job_id: str, progress: Callable[[Job], None] | None = None, *, patience: float = PATIENCE_SECONDS
    ) -> Job:
        """Wait until a job ends, as `Client.wait` does.

        Parameters
        ----------
        job_id : str
        progress : callable, optional
        patience : float
        """
        address, last, until = calls.job_address(job_id, "/events"), "", time.monotonic() + patience
        while True:
            try:
                async with self._http.sse(address, headers={"Last-Event-ID": last} if last else {}) as source:
                    if source.response.status_code == 204:
                        return await self.job(job_id)
                    if not source.response.is_success:
                        await source.response.aread()
                        raise calls.problem_of(source.response)
                    async for event in source:
                        job, last, until = calls.job_of_event(event), event.id, time.monotonic() + patience
                        if progress is not None:
                            progress(job)
                        if job.state in calls.ENDED:
                            return job
            except (httpx2.HTTPError, OverloadedError) as error:
                if time.monotonic() > until:
                    raise self._unreachable(error) from error
            await asyncio.sleep(calls.RECONNECT_SECONDS)

    async def results(self, job_id: str, after: int = 0) -> AsyncIterator[FileResult]:
        """Yield the results that a job has so far.

        Parameters
        ----------
        job_id : str
        after : int
        """
        address = calls.job_address(job_id, "/results")
        for attempt in count():
            try:
                async with self._http.stream("GET", address, params={"after": after}) as response:
                    if not response.is_success:
                        await response.aread()
                        raise calls.problem_of(response)
                    async for line in response.aiter_lines():
                        yield calls.result_of_line(line)
                    return
            except (httpx2.HTTPError, OverloadedError) as error:
                pause = self._pause_before_retry(error, attempt)
            await asyncio.sleep(pause)

    async def _send(self, call: calls.Call[Result]) -> Result:
        attempt = 0
        with call.opened() as files:
            while True:
                options = call.options(files)
                if files and not call.form:
                    content = files[0][1]
                    options["content"] = content if isinstance(content, bytes) else _blocks(content)
                try:
                    return call.result(await self._http.request(call.method, call.path, **options))
                except (httpx2.HTTPError, OverloadedError) as error:
                    pause = self._pause_before_retry(error, attempt)
                await asyncio.sleep(pause)
                attempt += 1

    def _pause_before_retry(self, error: Exception, attempt: int) -> float:
        pause = calls.pause_before_retry(error, attempt, self._retries)
        if pause is None:
            raise self._unreachable(error) from error
        return pause

    def _unreachable(self, error: Exception) -> ClientError:
        return error if isinstance(error, ClientError) else calls.unreachable(str(self._http.base_url), error)


async def _blocks(file: BinaryIO) -> AsyncIterator[bytes]:
    while block := await asyncio.to_thread(file.read, calls.BLOCK_BYTES):
        yield block
