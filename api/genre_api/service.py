"""What the endpoints of one application share: classifier, queue, limits and metrics."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from concurrent.futures import CancelledError
from contextlib import asynccontextmanager, suppress
from threading import Event, Thread
from typing import Annotated, TypeVar

import numpy as np
from fastapi import Depends, Request

from genre_api.observability import Meters
from genre_api.problems import unavailable
from genre_api.request_body import BodyBudget
from genre_api.settings import Settings
from genre_api.work_queue import WorkQueue
from genre_runtime import DecoderPool, GenreClassifier, GenreError
from genre_runtime.errors import DecoderUnavailableError

Answer = TypeVar("Answer")

_log = logging.getLogger(__name__)


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
        self.decoders = decoders or DecoderPool(settings.n_workers, max_memory_bytes=settings.decode_memory_bytes)
        self.meters = Meters()
        self.queue = WorkQueue(settings.n_workers, settings.queue_length, settings.client_requests)
        self.bodies = BodyBudget(settings.max_total_bytes, settings.body_seconds)
        self.classifier: GenreClassifier | None = None
        self.load_error: GenreError | None = None
        self.draining = False
        self._retrying: Thread | None = None
        self.meters.watch("genre_queue_waiting", "Predictions that wait.", lambda: self.queue.n_waiting)
        self.meters.watch("genre_predictions_running", "Predictions in work.", lambda: self.queue.n_running)
        self.meters.watch("genre_body_bytes", "Bytes of bodies held.", lambda: self.bodies.n_bytes)
        self.meters.watch("genre_decoders", "Processes that decode.", lambda: self.decoders.n_processes)
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
        except GenreError as error:
            self.load_error = error
            _log.error("predictions answer 503: %s", error)
        except Exception:  # ONNX Runtime raises undocumented errors for damaged graphs
            _log.exception("predictions answer 503")

    def _try_decoders(self) -> None:
        try:
            self.decoders.check()
        except DecoderUnavailableError as error:
            _log.error("no decoder, so predictions answer 503: %s", error)
        except CancelledError:  # the service ends
            pass

    def close(self) -> None:
        """Stop the running predictions and the decoders."""
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
