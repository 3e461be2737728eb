"""Structured logs: one JSON object a line, each with the id of the request that it belongs to."""

from __future__ import annotations

import json
import logging
import re
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

_request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
_ACCEPTED = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
_EXTRA = ("method", "route", "status", "seconds", "client")


def current_request_id() -> str | None:
    """Return the id of the request in work, or None outside of one."""
    return _request_id.get()


def begin_request(given: str | None) -> str:
    """Take the client's id if it is harmless in a log, else make one; from here on log lines carry it."""
    request_id = given if given and _ACCEPTED.fullmatch(given) else uuid4().hex
    _request_id.set(request_id)
    return request_id


class JsonFormatter(logging.Formatter):
    """Writes a record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
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
    """Return the `logging.config.dictConfig` of `genre-api`: everything to stderr, in one form."""
    formatter = {"()": JsonFormatter} if form == "json" else {"format": "%(levelname)-8s %(name)s: %(message)s"}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"form": formatter},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "form"}},
        "root": {"handlers": ["stderr"], "level": level.upper()},
    }
