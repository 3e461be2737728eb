"""The log, as one JSON object a line, and the metrics for Prometheus."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

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

_request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
_ACCEPTED = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
_EXTRA = ("method", "route", "status", "seconds", "client")


def current_request_id() -> str | None:
    """Return the id of the current request, or None outside of a request."""
    return _request_id.get()


def begin_request(given: str | None) -> str:
    """Set the id of the current request, which log lines then contain, and return it.

    Parameters
    ----------
    given : str or None
        Id from the client; replaced by a new one if it is missing or has characters unsafe in a log.
    """
    request_id = given if given and _ACCEPTED.fullmatch(given) else uuid4().hex
    _request_id.set(request_id)
    return request_id


class JsonFormatter(logging.Formatter):
    """Formats a record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line.

        Parameters
        ----------
        record : logging.LogRecord
            The record to format.
        """
        fields: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            "request_id": current_request_id(),
        }
        fields |= {name: getattr(record, name) for name in _EXTRA if hasattr(record, name)}
        if record.exc_info:
            fields["traceback"] = self.formatException(record.exc_info)
        return json.dumps(fields, ensure_ascii=True)


def log_config(form: str, level: str) -> dict[str, Any]:
    """Return the `logging.config.dictConfig` of `genre-api`: every record goes to stderr.

    Parameters
    ----------
    form : {"json", "text"}
        Format of a line.
    level : str
        Lowest level that is logged.
    """
    formatter = {"()": JsonFormatter} if form == "json" else {"format": "%(levelname)-8s %(name)s: %(message)s"}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"form": formatter},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "form"}},
        "root": {"handlers": ["stderr"], "level": level.upper()},
    }


CONTENT_TYPE = CONTENT_TYPE_LATEST
_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Meters:
    """Counters, histograms and gauges of one service, in a registry of its own."""

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
        """Add a gauge.

        Parameters
        ----------
        name, meaning : str
            Name and help text of the metric.
        value : callable
            Returns the current value.
        """
        Gauge(name, meaning, registry=self._registry).set_function(value)

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request.

        Parameters
        ----------
        method, route : str
            HTTP method, one of a few words, and path template.
        status : int
            Status of the answer.
        seconds : float
            Time from the request's head to the answer.
        """
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def rejected(self, code: str) -> None:
        """Count a problem.

        Parameters
        ----------
        code : str
            Code of the problem document.
        """
        self._rejections.labels(code).inc()

    def classified(self, decode_seconds: float, model_seconds: float) -> None:
        """Count the work on one file.

        Parameters
        ----------
        decode_seconds, model_seconds : float
            Time spent decoding and in the model.
        """
        self._decode.observe(decode_seconds)
        self._model.observe(model_seconds)

    def waited(self, seconds: float) -> None:
        """Count the wait for a worker.

        Parameters
        ----------
        seconds : float
            Time in the queue.
        """
        self._queue.observe(seconds)

    def text(self) -> bytes:
        """Return all metrics in the text format of Prometheus."""
        return generate_latest(self._registry)
