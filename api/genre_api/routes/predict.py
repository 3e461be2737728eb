"""`POST /api/predict` for one upload, path or spectrogram, and `POST /api/predict/batch` for many uploads."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import CancelledError
from threading import Event
from typing import Any

from fastapi import APIRouter, Request
from starlette.datastructures import UploadFile

from genre_api.images import Picture
from genre_api.inference import (
    Options,
    Stopwatch,
    TheOptions,
    Timings,
    answer,
    classify_audio,
    classify_spectrogram,
    sendable,
)
from genre_api.problems import ServiceError, described, problem_responses
from genre_api.request_body import open_inside, parse_json, parse_npy, read_bytes, read_files
from genre_api.schemas import Batch, Prediction
from genre_api.service import Service, TheClassifier, TheService
from genre_runtime import GenreClassifier
from genre_runtime import Prediction as RuntimePrediction

router = APIRouter(tags=["predict"])

Result = tuple[RuntimePrediction, str | None, str | None]
"""A prediction, the client's name of the track, and its picture if the client asked for one."""

FORM = "multipart/form-data"
JSON = "application/json"
NPY = ("application/x-npy", "application/octet-stream")

PROBLEMS = {
    "s400": "invalid_body, invalid_host",
    "s403": "cross_site",
    "s408": "body_timeout",
    "s413": "upload_too_large, too_many_parts, audio_limit",
    "s415": "unreadable_audio, unsupported_media_type",
    "s422": "invalid_request, empty_audio, invalid_input",
    "s429": "too_many_requests",
    "s503": "busy, timeout, unavailable",
}
_SPEC = {"type": "array", "items": {"type": "array", "items": {"type": "number"}}}
_ALTERNATIVES = [
    {"type": "object", "required": [name], "properties": {name: schema}, "additionalProperties": False}
    for name, schema in (("path", {"type": "string"}), ("spec", _SPEC))
]
_FILE = {"type": "string", "format": "binary"}
_BODY: dict[str, Any] = {
    "required": True,
    "content": {
        FORM: {"schema": {"type": "object", "required": ["file"], "properties": {"file": _FILE}}},
        JSON: {
            "schema": {"oneOf": _ALTERNATIVES},
            "examples": {
                "path": {"value": {"path": "albums/song.mp3"}},
                "spectrogram": {
                    "summary": "decibels, n_mels rows",
                    "value": {"spec": [[-80.0, -12.5], [-80.0, -30.0]]},
                },
            },
        },
        NPY[0]: {"schema": _FILE},
    },
}
_ANSWERS = problem_responses(**{**PROBLEMS, "s403": "path_disabled, cross_site"}, s404="not_found")


@router.post("/api/predict", responses=_ANSWERS, openapi_extra={"requestBody": _BODY}, response_model=Prediction)
async def predict(
    request: Request, service: TheService, classifier: TheClassifier, options: TheOptions
) -> dict[str, Any]:
    """Classify an uploaded file (`file` of a form), a log-mel spectrogram (JSON `spec`, or `.npy`), or a `path`.

    A spectrogram is made as the model's sidecar says: shape (n_mels, n_frames), the lowest band first, in decibels
    relative to any reference; all of it is classified. A `path` is read in the folders of `GENRE_AUDIO_ROOTS`.

    \f

    Parameters
    ----------
    request : Request
        The request.
    service : Service
        State of the running service.
    classifier : GenreClassifier
        The loaded classifier.
    options : Options
        Options in the query.
    """
    watch, timings, picture = Stopwatch(request), Timings(), options.picture(classifier.metadata)
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == FORM:
        settings = service.settings
        async with service.body(request, settings.max_body_bytes) as chunks:
            [file] = await read_files(request, chunks, "file", 1, settings.max_parts)

            def job(stop: Event) -> Result:
                prediction = classify_audio(
                    classifier,
                    file.file,
                    n_excerpts=options.n_excerpts(classifier.metadata),
                    limits=settings.decode_limits,
                    decoders=service.decoders,
                    stop=stop,
                    timings=timings,
                    picture=picture,
                )
                return prediction, file.filename, picture.png() if picture else None

            (prediction, name, drawn), waited = await service.work(request, job, file.file.close)
    elif kind == JSON or kind in NPY:
        max_bytes = service.settings.max_json_bytes if kind == JSON else service.settings.max_npy_bytes
        async with service.body(request, max_bytes) as chunks:
            content = await read_bytes(chunks)
            job_of_content = _content_job(service, classifier, content, kind, options, timings, picture)
            (prediction, name, drawn), waited = await service.work(request, job_of_content)
    else:
        raise ServiceError(
            415,
            "unsupported_media_type",
            f"send a form ({FORM}), {JSON}, or a .npy file as {NPY[0]}",
            {"Accept-Post": ", ".join((FORM, JSON, *NPY))},
        )
    service.meters.classified(timings.decode_seconds, timings.model_seconds)
    return answer(
        prediction,
        name=name,
        top=options.top,
        timings=timings,
        queue_seconds=waited,
        total_seconds=watch.seconds(),
        spectrogram=drawn,
    )


def _content_job(
    service: Service,
    classifier: GenreClassifier,
    content: bytes,
    kind: str,
    options: TheOptions,
    timings: Timings,
    picture: Picture | None,
) -> Callable[[Event], Result]:
    """Return the job for a body of JSON or .npy."""

    def job(stop: Event) -> Result:
        prediction, name = classified(stop)
        return prediction, name, picture.png() if picture else None

    def classified(stop: Event) -> tuple[RuntimePrediction, str | None]:
        n_mels, limits = classifier.metadata.audio.n_mels, service.settings.decode_limits
        found = parse_json(content, n_mels) if kind == JSON else parse_npy(content)
        if not isinstance(found, str):
            if options.whole or options.excerpts is not None:
                detail = "a spectrogram is always classified as a whole: leave out excerpts and whole"
                raise ServiceError(422, "invalid_request", detail)
            prediction = classify_spectrogram(classifier, found, limits=limits, timings=timings, picture=picture)
            return prediction, None
        with open_inside(found, service.settings.audio_roots) as file:
            prediction = classify_audio(
                classifier,
                file,
                n_excerpts=options.n_excerpts(classifier.metadata),
                limits=limits,
                decoders=service.decoders,
                stop=stop,
                timings=timings,
                picture=picture,
            )
        return prediction, found

    return job


_FILES = {"type": "array", "minItems": 1, "items": {"type": "string", "format": "binary"}}
_BATCH_BODY: dict[str, Any] = {
    "required": True,
    "content": {FORM: {"schema": {"type": "object", "required": ["files"], "properties": {"files": _FILES}}}},
}
_BATCH_ANSWERS = problem_responses(**{**PROBLEMS, "s413": "too_many_files, upload_too_large, too_many_parts"})


@router.post(
    "/api/predict/batch", responses=_BATCH_ANSWERS, openapi_extra={"requestBody": _BATCH_BODY}, response_model=Batch
)
async def predict_batch(
    request: Request, service: TheService, classifier: TheClassifier, options: TheOptions
) -> dict[str, Any]:
    """Classify several uploaded files (parts named `files`), one after the other in one worker.

    A file that fails has an error in its place; the others get their results. Several requests at once use several
    workers.

    \f

    Parameters
    ----------
    request : Request
        The request.
    service : Service
        State of the running service.
    classifier : GenreClassifier
        The loaded classifier.
    options : Options
        Options in the query.
    """
    settings = service.settings
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM:
        raise ServiceError(415, "unsupported_media_type", f"send a form ({FORM})", {"Accept-Post": FORM})
    async with service.body(request, settings.max_body_bytes) as chunks:
        files = await read_files(
            request, chunks, "files", settings.max_batch, max(settings.max_parts, settings.max_batch)
        )

        def job(stop: Event) -> list[dict[str, Any]]:
            return [_item(service, classifier, file, options, stop) for file in files]

        def close() -> None:
            for file in files:
                file.file.close()

        results, waited = await service.work(request, job, close)
    for result in results:
        if result["prediction"]:
            result["prediction"]["timings"]["queue_seconds"] = round(waited, 6)
    return {"results": results, "n_failed": sum(result["error"] is not None for result in results)}


def _item(
    service: Service, classifier: GenreClassifier, file: UploadFile, options: Options, stop: Event
) -> dict[str, Any]:
    began, timings = time.perf_counter(), Timings()
    picture = options.picture(classifier.metadata)
    item: dict[str, Any] = {"path": sendable(file.filename), "prediction": None, "error": None}
    try:
        prediction = classify_audio(
            classifier,
            file.file,
            n_excerpts=options.n_excerpts(classifier.metadata),
            limits=service.settings.decode_limits,
            decoders=service.decoders,
            stop=stop,
            timings=timings,
            picture=picture,
        )
        drawn = picture.png() if picture else None
        total = time.perf_counter() - began
        item["prediction"] = answer(
            prediction,
            name=file.filename,
            top=options.top,
            timings=timings,
            queue_seconds=0,
            total_seconds=total,
            spectrogram=drawn,
        )
        service.meters.classified(timings.decode_seconds, timings.model_seconds)
    except CancelledError:
        raise
    except Exception as error:  # an unexpected error of a decoder fails this file only
        _, code, message = described(error)
        service.meters.rejected(code)
        item["error"] = {"code": code, "message": message}
    finally:
        file.file.close()
    return item
