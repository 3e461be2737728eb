"""`POST /api/predict/batch`: many uploads, a result or an error for each."""

from __future__ import annotations

import time
from concurrent.futures import CancelledError
from threading import Event
from typing import Any

from fastapi import APIRouter, Request
from starlette.datastructures import UploadFile

from genre_api.answers import Options, TheOptions, answer, sendable
from genre_api.bodies import read_files
from genre_api.classification import Timings, classify_audio
from genre_api.problems import ServiceError, described, problem_responses
from genre_api.routes.predict import FORM, PROBLEMS
from genre_api.schemas import Batch
from genre_api.service import Service, TheClassifier, TheService
from genre_runtime import GenreClassifier

router = APIRouter(tags=["predict"])

_FILES = {"type": "array", "minItems": 1, "items": {"type": "string", "format": "binary"}}
_BODY: dict[str, Any] = {
    "required": True,
    "content": {FORM: {"schema": {"type": "object", "required": ["files"], "properties": {"files": _FILES}}}},
}
_ANSWERS = problem_responses(**{**PROBLEMS, "s413": "too_many_files, upload_too_large, too_many_parts"})


@router.post("/api/predict/batch", responses=_ANSWERS, openapi_extra={"requestBody": _BODY}, response_model=Batch)
async def predict_batch(
    request: Request, service: TheService, classifier: TheClassifier, options: TheOptions
) -> dict[str, Any]:
    """Classify several uploaded files (parts named `files`), one after the other in one worker.

    A bad file is an error in its place and the others get their results. Several requests at once use several workers.
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
        service.meters.classified(timings)
    except CancelledError:
        raise
    except Exception as error:  # a decoder's surprise is that file's error, not the batch's end
        _, code, message = described(error)
        service.meters.rejected(code)
        item["error"] = {"code": code, "message": message}
    finally:
        file.file.close()
    return item
