"""From options and a prediction to the JSON answer."""

from __future__ import annotations

import time
from typing import Annotated, Any

from fastapi import Depends, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from genre_api.classification import Timings
from genre_api.pictures import Picture
from genre_api.problems import ServiceError
from genre_runtime import ModelMetadata, Prediction

MAX_TOP = 1000
MAX_EXCERPTS = 360
"""One hour of ten-second excerpts; `whole` takes what there is, within the bounds on decoding."""


class Options(BaseModel):
    """What a client may choose, in the query of the address."""

    model_config = ConfigDict(extra="forbid")
    top: int = Field(default=3, ge=1, le=MAX_TOP, description="how many of the most probable genres stand in `top`")
    excerpts: int | None = Field(
        default=None,
        ge=1,
        le=MAX_EXCERPTS,
        description="excerpts to listen to, spread over the track; default: the model's",
    )
    whole: bool = Field(default=False, description="listen to the whole track instead")
    spectrogram: bool = Field(default=False, description="draw what was listened to, as PNG in Base64")

    def n_excerpts(self, metadata: ModelMetadata) -> int | None:
        """Return the number of excerpts, None for the whole track."""
        return None if self.whole else self.excerpts or metadata.n_excerpts

    def picture(self, metadata: ModelMetadata) -> Picture | None:
        """Return an empty picture, if one is wanted."""
        return Picture(metadata.audio, self.whole) if self.spectrogram else None


def _checked(options: Annotated[Options, Query()]) -> Options:
    if options.whole and options.excerpts is not None:
        raise ServiceError(422, "invalid_request", "excerpts and whole exclude each other: give one of them")
    return options


TheOptions = Annotated[Options, Depends(_checked)]


class Stopwatch:
    """Seconds since a request's head was read."""

    def __init__(self, request: Request) -> None:
        self._began: float = request.scope.get("genre.began", time.perf_counter())

    def seconds(self) -> float:
        """Return the seconds so far."""
        return time.perf_counter() - self._began


def answer(
    prediction: Prediction,
    *,
    name: str | None,
    top: int,
    timings: Timings,
    queue_seconds: float,
    total_seconds: float,
    spectrogram: str | None = None,
) -> dict[str, Any]:
    """Return the JSON object: the package's own, and with it `top` and `timings`.

    Parameters
    ----------
    prediction : Prediction
    name : str or None
        What the client calls the track.
    top : int
    timings : Timings
    queue_seconds, total_seconds : float
    spectrogram : str, optional
        PNG in Base64.
    """
    values = prediction.to_dict()
    ranked = list(values["probabilities"].items())[:top]
    return {
        **values,
        "path": sendable(name),
        "spectrogram": spectrogram,
        "top": [{"label": label, "probability": probability} for label, probability in ranked],
        "timings": {
            "queue_seconds": round(queue_seconds, 6),
            "decode_seconds": round(timings.decode_seconds, 6),
            "model_seconds": round(timings.model_seconds, 6),
            "total_seconds": round(total_seconds, 6),
        },
    }


def sendable(name: str | None) -> str | None:
    """Return a client's name of a track with what UTF-8 cannot hold replaced."""
    return None if name is None else name.encode("utf-8", "replace").decode("utf-8")
