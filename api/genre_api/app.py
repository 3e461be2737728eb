"""The service as an ASGI application, made by `create_app`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from importlib.metadata import version

from fastapi import Depends, FastAPI
from fastapi.concurrency import run_in_threadpool
from starlette.middleware.cors import CORSMiddleware

from genre_api import middleware
from genre_api.middleware import Observation, note_route
from genre_api.problems import add_problem_handlers
from genre_api.routes import health, jobs, model, page, predict
from genre_api.schemas import add_references
from genre_api.service import Service, load_classifier
from genre_api.settings import Settings
from genre_runtime import DecoderPool, GenreClassifier

OPEN = (page.router, health.probes)
"""Routers that need no key: they reveal nothing secret, and probes cannot send a key."""

GUARDED = (health.router, model.router, predict.router, jobs.router)


def create_app(
    load: Callable[[], GenreClassifier] | None = None,
    settings: Settings | None = None,
    decoders: DecoderPool | None = None,
) -> FastAPI:
    """Return the application.

    Parameters
    ----------
    load : callable, optional
        Loads the classifier when the service starts; by default the model of the settings. If it fails, the service
        still starts: `/readyz` says why, and predictions are answered 503.
    settings : Settings, optional
        By default from the environment.
    decoders : DecoderPool, optional
        Processes that decode uploads, left open when the service ends; by default its own.

    Raises
    ------
    pydantic.ValidationError
        An environment variable has an invalid value.
    """
    settings = settings or Settings()
    service = Service(settings, decoders)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await run_in_threadpool(service.load, load or partial(load_classifier, settings))
        yield
        service.draining = True
        await run_in_threadpool(service.close)

    app = FastAPI(
        title="Music genre classification",
        description="Genres of audio files, uploads and spectrograms. Errors are problem details (RFC 9457).",
        version=version("genre-api"),
        lifespan=lifespan,
        docs_url=None,  # FastAPI's page loads Swagger UI from other hosts; `routes.page` has its own
        redoc_url=None,
        dependencies=[Depends(note_route)],
    )
    app.state.service = service
    for router in OPEN:
        app.include_router(router)
    for router in GUARDED:
        if settings.api_key is None:
            app.include_router(router)
        else:
            app.include_router(router, dependencies=[Depends(middleware.require_key)], responses=middleware.RESPONSES)
    add_problem_handlers(app)
    describe = app.openapi
    app.openapi = lambda: app.openapi_schema or add_references(describe())  # type: ignore[method-assign]
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["Content-Type", middleware.HEADER, "Authorization", "X-Request-ID", "Last-Event-ID"],
            expose_headers=["X-Request-ID", "Retry-After", "Location"],
        )
    app.add_middleware(
        Observation,
        meters=service.meters,
        settings=settings,
        draining=lambda: service.draining,
    )
    return app
