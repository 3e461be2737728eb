"""The service as an ASGI application, made by `create_app`."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Request, UploadFile
from fastapi.concurrency import run_in_threadpool

from genre_api.problems import add_problem_handlers, unavailable
from genre_api.uploads import UploadLimit, classify_upload
from genre_api.version import __version__
from genre_runtime import DecodeLimits, GenreClassifier, GenreError

MAX_UPLOAD_BYTES = 200 * 2**20
"""Most bytes of one request."""

DECODE_LIMITS = DecodeLimits(max_seconds=3600, max_bytes=256 * 2**20)
"""Most that is decoded for one request: a few hundred kilobytes of a crafted file can claim days of sound."""

_log = logging.getLogger(__name__)


def load_default() -> GenreClassifier:
    """Load the default model, with limits fit for strangers' files."""
    return GenreClassifier.load(limits=DECODE_LIMITS)


def create_app(load: Callable[[], GenreClassifier] = load_default) -> FastAPI:
    """Make the application.

    Parameters
    ----------
    load : callable
        Makes the classifier when the service starts. If it fails the service starts all the same:
        `/api/health` says why, and predictions answer 503.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.classifier, app.state.load_error = None, None
        try:
            app.state.classifier = await run_in_threadpool(load)
        except GenreError as error:
            app.state.load_error = error
            _log.error("no model, so predictions answer 503: %s", error)
        yield

    app = FastAPI(title="Music genre classification", version=__version__, lifespan=lifespan)
    app.add_middleware(UploadLimit, max_bytes=MAX_UPLOAD_BYTES)
    add_problem_handlers(app)

    @app.get("/")
    def index() -> dict[str, Any]:
        """Return what this service is and where its endpoints lie."""
        paths = app.openapi()["paths"]
        return {
            "name": app.title,
            "version": __version__,
            "documentation": "/docs",
            "endpoints": {path: sorted(method.upper() for method in methods) for path, methods in paths.items()},
        }

    @app.get("/api/health")
    def health(request: Request) -> dict[str, Any]:
        """Return whether predictions can be made, and on what."""
        classifier: GenreClassifier | None = request.app.state.classifier
        error: GenreError | None = request.app.state.load_error
        return {
            "status": "ok" if classifier else "degraded",
            "ready": classifier is not None,
            "version": __version__,
            "device": classifier.device if classifier else None,
            "device_requested": classifier.device_requested if classifier else None,
            "reason": error.code if error else None,
        }

    @app.get("/api/genres")
    def genres(classifier: Annotated[GenreClassifier, Depends(ready_classifier)]) -> dict[str, Any]:
        """Return the genres the model knows."""
        return {"genres": list(classifier.labels)}

    @app.get("/api/metrics")
    def metrics(request: Request) -> dict[str, Any]:
        """Return how well the model did in training."""
        classifier: GenreClassifier | None = request.app.state.classifier
        values = classifier.metadata.metrics if classifier else {}
        return {
            "model_exists": classifier is not None,
            "model_path": classifier.model_path.name if classifier else None,
            **{key: values.get(key) for key in ("val_acc", "val_loss", "epoch", "macro_f1")},
            "ready": classifier is not None,
        }

    @app.post("/api/predict")
    async def predict(
        file: UploadFile, classifier: Annotated[GenreClassifier, Depends(ready_classifier)]
    ) -> dict[str, Any]:
        """Classify an uploaded audio file."""
        prediction = await run_in_threadpool(classify_upload, file.file, classifier)
        return {**prediction.to_dict(), "path": file.filename}

    return app


def ready_classifier(request: Request) -> GenreClassifier:
    """Return the loaded classifier, or answer 503."""
    classifier: GenreClassifier | None = request.app.state.classifier
    if classifier is None:
        raise unavailable(request.app.state.load_error)
    return classifier
