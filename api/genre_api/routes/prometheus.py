"""`/metrics` for Prometheus."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from fastapi.responses import PlainTextResponse, Response

from genre_api.meters import CONTENT_TYPE
from genre_api.service import TheService

router = APIRouter(tags=["health"])
_TEXT: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/plain": {"schema": {"type": "string"}, "example": "genre_ready 1.0\n"}}}
}


@router.get("/metrics", response_class=PlainTextResponse, responses=_TEXT)
async def metrics(service: TheService) -> Response:
    """Return requests, latencies, queue, decode and model time and rejections in Prometheus' text format."""
    return Response(service.meters.text(), media_type=CONTENT_TYPE)
