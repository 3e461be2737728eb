"""Clients of the service, one that blocks and one for asyncio. Needs the extra `genre-api[client]`.

>>> from genre_api.client import Client
>>> with Client("http://127.0.0.1:8000") as client:
...     print(client.predict("song.mp3").label)
...     job = client.wait(client.submit(["albums"]).id)
...     results = list(client.results(job.id))

Results are those of `genre_runtime` and of the service's own description. Errors are `ClientError`: `ProblemError` and
its subclasses if the service refuses a request, `UnreachableError` without an answer. A request that the service has no
place for, or cannot be connected to, is sent again up to `retries` times, after the time that the service says.
"""

from __future__ import annotations

from genre_api.client.asynchronous import AsyncClient
from genre_api.client.blocking import Client
from genre_api.client.calls import (
    ClientError,
    FailedError,
    InvalidAnswerError,
    InvalidRequestError,
    NotFoundError,
    OverloadedError,
    ProblemError,
    RefusedError,
    ServerFile,
    Source,
    UnreachableError,
)

__all__ = [
    "AsyncClient",
    "Client",
    "ClientError",
    "FailedError",
    "InvalidAnswerError",
    "InvalidRequestError",
    "NotFoundError",
    "OverloadedError",
    "ProblemError",
    "RefusedError",
    "ServerFile",
    "Source",
    "UnreachableError",
]
