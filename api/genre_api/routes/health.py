"""Probes, the state of the service, and `/metrics` for Prometheus."""

from __future__ import annotations

import platform
import re
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse, Response

from genre_api.observability import CONTENT_TYPE
from genre_api.problems import ServiceError, problem_responses
from genre_api.schemas import Head, Health, Live, NotReady, Ready
from genre_api.service import Service, TheService

probes = APIRouter(tags=["health"])
router = APIRouter(tags=["health"])

_QUOTED_FOLDERS = re.compile(r"""(['"])(?:[A-Za-z]:)?[\\/][^'"\n]*[\\/]""")
_FOLDERS = re.compile(r"(?<![\w:/\\.])(?:[A-Za-z]:)?(?:[\\/]+[^\\/\s]+)+[\\/]+")
_PACKAGES = ("genre-runtime", "onnxruntime", "onnxruntime-gpu", "fastapi", "numpy")


@probes.get("/livez")
async def livez() -> Live:
    """Return that the process answers; a supervisor restarts it if this fails."""
    return Live(status="alive")


@probes.get("/readyz", responses=problem_responses(NotReady, s503="not_ready"))
async def readyz(service: TheService) -> Ready:
    """Return whether predictions can be made, or why not; a load balancer sends requests only if they can.

    \f

    Parameters
    ----------
    service : Service
        State of the running service.
    """
    if service.reason is not None:
        load_error = without_folders(str(service.load_error)) if service.load_error else None
        raise ServiceError(
            503, "not_ready", f"not ready: {service.reason}", {"Retry-After": "5"}, load_error=load_error
        )
    return Ready(status="ready")


@router.get("/api/health")
async def health(request: Request, service: TheService) -> Health:
    """Return whether predictions can be made, the model and device, and the versions of the packages used.

    \f

    Parameters
    ----------
    request : Request
        The request.
    service : Service
        State of the running service.
    """
    classifier = service.classifier
    return Health(
        status="ok" if service.reason is None else "degraded",
        ready=service.reason is None,
        reason=service.reason,
        model=classifier.model_path.name if classifier else None,
        head=_head(service),
        device=classifier.device if classifier else None,
        device_requested=classifier.device_requested if classifier else service.settings.device,
        known_tracks=service.n_known_tracks,
        version=request.app.version,
        versions=_versions(),
    )


def without_folders(message: str) -> str:
    """Return a message without the folders of absolute paths, since `/readyz` needs no key.

    Parameters
    ----------
    message : str
        Message of an error.
    """
    return _FOLDERS.sub("", _QUOTED_FOLDERS.sub(r"\1", message))


def _head(service: Service) -> Head | None:
    own = service.classifier.head if service.classifier else None
    if own is None:
        return None
    path, created = service.settings.head, own.provenance.get("created")
    return Head(
        file=path.name if path else None,
        created=created if isinstance(created, str) else None,
        n_genres=len(own.labels),
    )


@cache
def _versions() -> dict[str, str | None]:
    found: dict[str, str | None] = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name.replace("-", "_")] = version(name)
        except PackageNotFoundError:
            found[name.replace("-", "_")] = None
    return found


_TEXT: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/plain": {"schema": {"type": "string"}, "example": "genre_ready 1.0\n"}}}
}


@router.get("/metrics", response_class=PlainTextResponse, responses=_TEXT)
async def metrics(service: TheService) -> Response:
    """Return requests, latencies, queue, decode and model times and rejections in the text format of Prometheus.

    \f

    Parameters
    ----------
    service : Service
        State of the running service.
    """
    return Response(service.meters.text(), media_type=CONTENT_TYPE)
