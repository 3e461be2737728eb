"""From a request's body to a file that can be classified."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import BinaryIO

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from genre_api.problems import upload_too_large
from genre_runtime import GenreClassifier, Prediction


class UploadLimit:
    """Middleware that refuses a request as soon as more bytes than the limit have arrived.

    The framework writes the whole upload to disk before an endpoint sees it, so an endpoint would be too late.

    Parameters
    ----------
    app : ASGI application
    max_bytes : int
        Most bytes of a request's body.
    """

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        size = 0

        async def counted() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > self._max_bytes:
                raise upload_too_large(self._max_bytes)
            return message

        await self._app(scope, counted, send)


def classify_upload(file: BinaryIO, classifier: GenreClassifier) -> Prediction:
    """Copy an upload to a file of our own, which the decoders can seek in, and classify it."""
    with tempfile.TemporaryDirectory(prefix="genre-") as folder:
        path = Path(folder, "upload")  # the client's name never reaches the file system
        with path.open("wb") as copy:
            shutil.copyfileobj(file, copy)
        return classifier.classify_file(path)
