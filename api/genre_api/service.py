"""What the endpoints of one application share: classifier, queue, limits and metrics."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from concurrent.futures import CancelledError
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Annotated, TypeVar

import numpy as np
from fastapi import Depends, Request

from genre_api.inference import sendable
from genre_api.jobs import Jobs
from genre_api.observability import Meters
from genre_api.problems import ServiceError, unavailable
from genre_api.request_body import BodyBudget
from genre_api.settings import Settings
from genre_api.work_queue import WorkQueue
from genre_runtime import DecoderPool, GenreClassifier, GenreError
from genre_runtime.errors import DecoderUnavailableError
from genre_runtime.library.similarity import KnownTracks

Answer = TypeVar("Answer")

READING_PAUSE = 10
"""Time between two readings of the state file, as a multiple of the time that one takes."""

_log = logging.getLogger(__name__)


class TrackSearch:
    """The tracks of a state file, read in a thread of its own: at start, and when a request finds the file changed.

    Requests are answered from the former tracks in the meantime.

    Parameters
    ----------
    path : Path
        The state file.
    roots : sequence of str
        Folders that clients may know files of.
    """

    def __init__(self, path: Path, roots: Sequence[str]) -> None:
        self.known: KnownTracks | None = None
        self._path, self._roots = path, roots
        self._lock, self._stop = Lock(), Event()
        self._thread: Thread | None = None
        self._stamp: list[tuple[int, int]] | None = None
        self._failed = False
        self._not_before = 0.0

    def current(self, classifier: GenreClassifier) -> KnownTracks:
        """Return the known tracks, and read the file again if it has changed. Waits for the disk only.

        Parameters
        ----------
        classifier : GenreClassifier
            With the model of the state file.

        Raises
        ------
        ServiceError
            503 before the file was read.
        """
        self.refresh(classifier)
        if self.known is not None:
            return self.known
        if self._failed:
            detail = "the known tracks cannot be read: the log of the service says why"
            raise ServiceError(503, "unavailable", detail, {"Retry-After": "30"})
        detail = "the known tracks are still being read: try again in 5 s"
        raise ServiceError(503, "unavailable", detail, {"Retry-After": "5"})

    def refresh(self, classifier: GenreClassifier) -> None:
        """Start to read the file unless it is being read, or has not changed since.

        Parameters
        ----------
        classifier : GenreClassifier
            With the model of the state file.
        """
        with self._lock:
            busy = self._thread is not None and self._thread.is_alive()
            stamp = self._stamps()
            if busy or stamp == self._stamp or time.monotonic() < self._not_before:
                return
            self._stamp = stamp
            self._thread = Thread(target=self._read, args=(classifier,), name="genre-state", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Stop reading."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _stamps(self) -> list[tuple[int, int]]:
        """Return times and sizes of the file and of its log, to which a run writes first."""
        found = []
        for path in (self._path, self._path.with_name(f"{self._path.name}-wal")):
            with suppress(OSError):
                status = path.stat()
                if status.st_size:
                    found.append((status.st_mtime_ns, status.st_size))
        return found

    def _read(self, classifier: GenreClassifier) -> None:
        began = time.monotonic()
        folders = [folder for root in self._roots for folder in (os.path.normpath(root), os.path.realpath(root))]
        name_of = partial(_shown_name, folders=folders)
        try:
            known = KnownTracks.read(self._path, classifier, name_of=name_of, stop=self._stop)
            if self._stop.is_set():
                return
            self.known, self._failed = known, False
            _log.info("%d tracks known for /api/similar", len(known.tracks))
        except GenreError as error:
            self._failed = True
            _log.error("the tracks of GENRE_STATE cannot be read: %s", error)
        except Exception:
            self._failed = True
            _log.exception("the tracks of GENRE_STATE cannot be read")
        # A run that writes for hours would otherwise keep one core busy.
        self._not_before = time.monotonic() + READING_PAUSE * (time.monotonic() - began)


class Service:
    """State of one running service.

    Parameters
    ----------
    settings : Settings
        Limits and numbers of workers.
    decoders : DecoderPool, optional
        Processes that decode uploads, left open by `close`; by default one for each worker.

    Attributes
    ----------
    classifier : GenreClassifier or None
        None before the model is loaded, or if that failed.
    load_error : GenreError or None
        Why loading failed; None also after an unexpected error.
    draining : bool
        Whether the service is about to stop: it still answers, but is not ready.
    """

    def __init__(self, settings: Settings, decoders: DecoderPool | None = None) -> None:
        self.settings = settings
        self._owns_decoders = decoders is None
        n_processes = settings.n_workers + (settings.jobs is not None)  # requests do not wait for the one of a job
        self.decoders = decoders or DecoderPool(n_processes, max_memory_bytes=settings.decode_memory_bytes)
        self.meters = Meters()
        self.queue = WorkQueue(settings.n_workers, settings.queue_length, settings.client_requests)
        self.bodies = BodyBudget(settings.max_total_bytes, settings.body_seconds)
        self.classifier: GenreClassifier | None = None
        self.load_error: GenreError | None = None
        self.draining = False
        self.search = TrackSearch(settings.state, settings.audio_roots) if settings.state else None
        self.jobs = (
            Jobs(settings.jobs, settings, self.queue, self.decoders, self.meters) if settings.jobs is not None else None
        )
        self._retrying: Thread | None = None
        self.meters.watch("genre_queue_waiting", "Predictions that wait.", lambda: self.queue.n_waiting)
        self.meters.watch("genre_predictions_running", "Predictions in work.", lambda: self.queue.n_running)
        self.meters.watch("genre_body_bytes", "Bytes of bodies held.", lambda: self.bodies.n_bytes)
        self.meters.watch("genre_decoders", "Processes that decode.", lambda: self.decoders.n_processes)
        self.meters.watch("genre_known_tracks", "Tracks that /api/similar finds.", lambda: self.n_known_tracks or 0)
        self.meters.watch("genre_ready", "Whether /readyz says yes.", lambda: self.reason is None)

    def load(self, load: Callable[[], GenreClassifier]) -> None:
        """Load the model, start the decoders and test both; an error is stored and logged, not raised.

        Parameters
        ----------
        load : callable
            Returns the classifier.
        """
        try:
            with suppress(DecoderUnavailableError):
                self.decoders.warm()
            classifier = load()
            _try_out(classifier)
            self._try_decoders()
            self.classifier = classifier
            if self.search is not None:
                self.search.refresh(classifier)
        except GenreError as error:
            self.load_error = error
            _log.error("predictions answer 503: %s", error)
        except Exception:  # ONNX Runtime raises undocumented errors for damaged graphs
            _log.exception("predictions answer 503")
        if self.jobs is not None:
            self.jobs.start(self.classifier)

    def _try_decoders(self) -> None:
        try:
            self.decoders.check()
        except DecoderUnavailableError as error:
            _log.error("no decoder, so predictions answer 503: %s", error)
        except CancelledError:  # the service ends
            pass

    @property
    def n_known_tracks(self) -> int | None:
        """Number of tracks that `/api/similar` finds; None without them."""
        known = self.search.known if self.search else None
        return None if known is None else len(known.tracks)

    def close(self) -> None:
        """Stop the running predictions and the decoders."""
        if self.search is not None:
            self.search.close()
        if self.jobs is not None:
            self.jobs.close()
        self.queue.close()
        if self._owns_decoders:
            self.decoders.close()

    @property
    def reason(self) -> str | None:
        """Code of why predictions cannot be made; None if they can."""
        if self.draining:
            return "draining"
        if self.classifier is None:
            return self.load_error.code if self.load_error else "internal"
        if self.decoders.failure is not None:
            self._retry()
            return DecoderUnavailableError.code
        return None

    def _retry(self) -> None:
        """Test in the background whether a decoder starts now: without readiness no request would show it."""
        if self._retrying is None or not self._retrying.is_alive():
            self._retrying = Thread(target=self._try_decoders, name="genre-retry", daemon=True)
            self._retrying.start()

    @asynccontextmanager
    async def body(self, request: Request, max_bytes: int) -> AsyncIterator[AsyncGenerator[bytes, None]]:
        """Yield the chunks of a body as `BodyBudget.body` does; refuse it unread if the queue has no place.

        Refusing clients only after their upload would cost a busy service even more time.

        Parameters
        ----------
        request : Request
            Request whose body is read.
        max_bytes : int
            Most bytes of the body.
        """
        self.queue.check_place(_client(request))
        async with self.bodies.body(request, max_bytes) as chunks:
            yield chunks

    async def work(
        self,
        request: Request,
        job: Callable[[Event], Answer],
        at_end: Callable[[], None] = lambda: None,
    ) -> tuple[Answer, float]:
        """Run a job in the queue after the request's body was read.

        Parameters
        ----------
        request : Request
            Request that the job answers.
        job : callable
            Gets an event that is set when the result is no longer needed.
        at_end : callable, optional
            Called once in every case, when no thread runs the job.

        Returns
        -------
        tuple of (result, float)
            Result of the job, and the seconds it waited.

        Raises
        ------
        ServiceError, ClientGone
        """
        submitted, waited = time.perf_counter(), 0.0

        def timed(stop: Event) -> Answer:
            nonlocal waited
            waited = time.perf_counter() - submitted
            self.meters.waited(waited)
            return job(stop)

        answer = await self.queue.run(
            timed,
            client=_client(request),
            gone=_gone(request),
            seconds=self.settings.request_seconds,
            at_end=at_end,
        )
        return answer, waited


def load_classifier(settings: Settings) -> GenreClassifier:
    """Load the model and the head of the settings.

    Parameters
    ----------
    settings : Settings
        Model, head, device, threads and limits.
    """
    return GenreClassifier.load(
        settings.model,
        device=settings.device,
        threads=settings.threads,
        limits=settings.decode_limits,
        head=settings.head,
    )


def _try_out(classifier: GenreClassifier) -> None:
    """Run both graphs: a broken graph for spectrograms would otherwise show at its first request only.

    With a head, spectrograms are refused.
    """
    audio = classifier.metadata.audio
    classifier.classify(np.zeros(audio.sample_rate, np.float32), audio.sample_rate)
    if classifier.head is None:
        classifier.classify_log_mel(np.zeros((audio.n_mels, audio.n_frames(audio.sample_rate)), np.float32))


def _shown_name(path: Path, folders: Sequence[str]) -> str | None:
    """Return a known file's path relative to the folder that contains it, None if none does.

    Links are not followed, since the file may be gone. Without folders clients may know no paths, only file names.
    """
    if not folders:
        return sendable(path.name)
    plain = Path(os.path.normpath(path))
    inside = (plain.relative_to(folder) for folder in folders if plain.is_relative_to(folder))
    return next((sendable(str(name)) for name in inside), None)


def _client(request: Request) -> str:
    return request.client.host if request.client else ""


async def _gone(request: Request) -> None:
    """Wait until the client closes the connection, after the body was read."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def service_of(request: Request) -> Service:
    """Return the service of a request's application.

    Parameters
    ----------
    request : Request
        Any request to the application.
    """
    service: Service = request.app.state.service
    return service


def ready_classifier(request: Request) -> GenreClassifier:
    """Return the loaded classifier.

    Parameters
    ----------
    request : Request
        Any request to the application.

    Raises
    ------
    ServiceError
        503 if no model is loaded.
    """
    service = service_of(request)
    if service.classifier is None:
        raise unavailable(service.load_error)
    return service.classifier


TheService = Annotated[Service, Depends(service_of)]
TheClassifier = Annotated[GenreClassifier, Depends(ready_classifier)]
