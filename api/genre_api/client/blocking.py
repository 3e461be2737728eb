"""The client that blocks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from typing import BinaryIO, Self, TypeVar

import httpx2

from genre_api.client import calls
from genre_api.client.calls import PATIENCE_SECONDS, RETRIES, TIMEOUT_SECONDS, ClientError, OverloadedError, Source
from genre_api.schemas import Embedding, Genres, Health, Input, Job, Metrics, Similar
from genre_runtime import FileResult, Prediction

Result = TypeVar("Result")


class Client:
    """A client that blocks; can be used by several threads.

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
    transport : httpx2.BaseTransport, optional
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
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        self._http = httpx2.Client(**calls.settings_of(url, key, timeout), transport=transport)
        self._retries = retries

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def predict(self, source: Source, *, excerpts: int | None = None, whole: bool = False) -> Prediction:
        """Classify one file.

        Parameters
        ----------
        source : path, bytes, seekable binary file object or ServerFile
            The audio; a `.npy` file is a spectrogram.
        excerpts : int, optional
            Number of excerpts; by default the model's.
        whole : bool
            Analyse the whole track instead.

        Raises
        ------
        ClientError
        OSError
            The file cannot be read.
        """
        return self._send(calls.predict(source, excerpts, whole))

    def predict_batch(
        self, sources: Sequence[Source], *, excerpts: int | None = None, whole: bool = False
    ) -> list[FileResult]:
        """Classify several files in one request; a file that fails has an error in its place.

        Parameters
        ----------
        sources : sequence of path, bytes or seekable binary file object
            At most `GENRE_MAX_BATCH`.
        excerpts : int, optional
            Number of excerpts; by default the model's.
        whole : bool
            Analyse the whole tracks instead.

        Raises
        ------
        ClientError
        OSError
            A file cannot be read.
        """
        return self._send(calls.predict_batch(sources, excerpts, whole))

    def embedding(
        self, source: Source, *, excerpts: int | None = None, whole: bool = False, per_excerpt: bool = False
    ) -> Embedding:
        """Return the embedding of one file.

        Parameters
        ----------
        source : path, bytes, seekable binary file object or ServerFile
            The audio.
        excerpts : int, optional
            Number of excerpts; by default the model's.
        whole : bool
            Analyse the whole track instead.
        per_excerpt : bool
            Add the embedding of each excerpt.

        Raises
        ------
        ClientError
        OSError
            The file cannot be read.
        """
        return self._send(calls.embedding(source, excerpts, whole, per_excerpt))

    def similar(self, source: Source, *, top: int = 10, excerpts: int | None = None, whole: bool = False) -> Similar:
        """Return the known tracks that sound most like one file.

        Parameters
        ----------
        source : path, bytes, seekable binary file object or ServerFile
            The audio.
        top : int
            Number of tracks, 1 to 100.
        excerpts : int, optional
            Number of excerpts; by default the model's.
        whole : bool
            Analyse the whole track instead.

        Raises
        ------
        ClientError
        OSError
            The file cannot be read.
        """
        return self._send(calls.similar(source, top, excerpts, whole))

    def genres(self) -> Genres:
        """Return the genres of the model."""
        return self._send(calls.GENRES)

    def input(self) -> Input:
        """Return what the model is given: its excerpts, and the constants of its log-mel spectrogram."""
        return self._send(calls.INPUT)

    def metrics(self) -> Metrics:
        """Return the results of the training."""
        return self._send(calls.METRICS)

    def health(self) -> Health:
        """Return the state of the service, which may be `degraded`."""
        return self._send(calls.HEALTH)

    def submit(self, paths: str | Sequence[str], *, excerpts: int | None = None, whole: bool = False) -> Job:
        """Submit a long job and return it.

        Parameters
        ----------
        paths : str or sequence of str
            Files and folders on the server, absolute or relative to a folder of `GENRE_AUDIO_ROOTS`.
        excerpts : int, optional
            Number of excerpts; by default the model's.
        whole : bool
            Analyse the whole tracks instead.

        Raises
        ------
        ClientError
        """
        return self._send(calls.submit(paths, excerpts, whole))

    def jobs(self) -> list[Job]:
        """Return the jobs that the service keeps, the oldest first."""
        return self._send(calls.JOBS)

    def job(self, job_id: str) -> Job:
        """Return the state of a job.

        Parameters
        ----------
        job_id : str

        Raises
        ------
        ClientError
        """
        return self._send(calls.job(job_id))

    def cancel(self, job_id: str) -> Job | None:
        """Cancel a job that waits or runs, and return it; remove one that has ended, and return None.

        Parameters
        ----------
        job_id : str

        Raises
        ------
        ClientError
        """
        return self._send(calls.cancel(job_id))

    def wait(
        self, job_id: str, progress: Callable[[Job], None] | None = None, *, patience: float = PATIENCE_SECONDS
    ) -> Job:
        """Wait until a job ends, and return it; connect again if the service restarts.

        Parameters
        ----------
        job_id : str
        progress : callable, optional
            Called with the job whenever it has changed.
        patience : float
            Longest time in which the service may be away, in seconds.

        Raises
        ------
        ClientError
        """
        address, last, until = calls.job_address(job_id, "/events"), "", time.monotonic() + patience
        while True:
            try:
                with self._http.sse(address, headers={"Last-Event-ID": last} if last else {}) as source:
                    if source.response.status_code == 204:
                        return self.job(job_id)
                    if not source.response.is_success:
                        source.response.read()
                        raise calls.problem_of(source.response)
                    for event in source:
                        job, last, until = calls.job_of_event(event), event.id, time.monotonic() + patience
                        if progress is not None:
                            progress(job)
                        if job.state in calls.ENDED:
                            return job
            except (httpx2.HTTPError, OverloadedError) as error:
                if time.monotonic() > until:
                    raise self._unreachable(error) from error
            time.sleep(calls.RECONNECT_SECONDS)

    def results(self, job_id: str, after: int = 0) -> Iterator[FileResult]:
        """Yield the results that a job has so far.

        Parameters
        ----------
        job_id : str
        after : int
            Number of results to leave out, at the beginning.

        Raises
        ------
        ClientError
        """
        address = calls.job_address(job_id, "/results")
        for attempt in count():
            try:
                with self._http.stream("GET", address, params={"after": after}) as response:
                    if not response.is_success:
                        response.read()
                        raise calls.problem_of(response)
                    for line in response.iter_lines():
                        yield calls.result_of_line(line)
                    return
            except (httpx2.HTTPError, OverloadedError) as error:
                pause = self._pause_before_retry(error, attempt)
            time.sleep(pause)

    def _send(self, call: calls.Call[Result]) -> Result:
        attempt = 0
        with call.opened() as files:
            while True:
                options = call.options(files)
                if files and not call.form:
                    content = files[0][1]
                    options["content"] = content if isinstance(content, bytes) else _blocks(content)
                try:
                    return call.result(self._http.request(call.method, call.path, **options))
                except (httpx2.HTTPError, OverloadedError) as error:
                    pause = self._pause_before_retry(error, attempt)
                time.sleep(pause)
                attempt += 1

    def _pause_before_retry(self, error: Exception, attempt: int) -> float:
        pause = calls.pause_before_retry(error, attempt, self._retries)
        if pause is None:
            raise self._unreachable(error) from error
        return pause

    def _unreachable(self, error: Exception) -> ClientError:
        return error if isinstance(error, ClientError) else calls.unreachable(str(self._http.base_url), error)


def _blocks(file: BinaryIO) -> Iterator[bytes]:
    while block := file.read(calls.BLOCK_BYTES):
        yield block
