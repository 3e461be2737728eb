"""What Prometheus is told. Every application has a registry of its own, so that two of them in a process do not mix."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)

from genre_api.inference import Timings

CONTENT_TYPE = CONTENT_TYPE_LATEST
_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_METHODS = {"GET", "POST", "OPTIONS", "HEAD", "PUT", "PATCH", "DELETE"}


class Meters:
    """Counters, histograms and gauges of one service."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        kept = self._registry
        self._requests = Counter("genre_requests", "Requests answered.", ["method", "route", "status"], registry=kept)
        self._seconds = Histogram(
            "genre_request_seconds", "From a request's head to its answer.", ["route"], buckets=_BUCKETS, registry=kept
        )
        self._rejections = Counter("genre_rejections", "Requests and files refused.", ["code"], registry=kept)
        self._decode = Histogram("genre_decode_seconds", "Decoding of one file.", buckets=_BUCKETS, registry=kept)
        self._model = Histogram("genre_model_seconds", "Model runs for one file.", buckets=_BUCKETS, registry=kept)
        self._queue = Histogram("genre_queue_seconds", "Wait for a worker.", buckets=_BUCKETS, registry=kept)

    def watch(self, name: str, meaning: str, value: Callable[[], float]) -> None:
        """Add a gauge whose value is looked up whenever it is asked for."""
        Gauge(name, meaning, registry=self._registry).set_function(value)

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request."""
        # A method may be any word: each of them would be a time series of its own.
        self._requests.labels(method if method in _METHODS else "other", route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def rejected(self, code: str) -> None:
        """Count a problem."""
        self._rejections.labels(code).inc()

    def classified(self, timings: Timings) -> None:
        """Count the work at one file."""
        self._decode.observe(timings.decode_seconds)
        self._model.observe(timings.model_seconds)

    def waited(self, seconds: float) -> None:
        """Count the wait for a worker."""
        self._queue.observe(seconds)

    def text(self) -> bytes:
        """Return Prometheus' text format."""
        return generate_latest(self._registry)
