"""`POST /api/predict` and its batch, `POST /api/embedding` and `POST /api/similar`: from a body to its answer."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from concurrent.futures import CancelledError
from threading import Event
from typing import Any, BinaryIO, TypeVar

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile

from genre_api.images import Picture
from genre_api.inference import (
    AnalysisOptions,
    Options,
    Stopwatch,
    TheEmbeddingOptions,
    TheOptions,
    TheSimilarOptions,
    Timings,
    answer,
    classify_audio,
    classify_spectrogram,
    sendable,
)
from genre_api.problems import ServiceError, described, problem_responses
from genre_api.request_body import (
    media_type,
    open_inside,
    parse_json,
    parse_npy,
    read_audio,
    read_bytes,
    read_files,
    starts_like_npy,
)
from genre_api.schemas import Batch, Embedding, Prediction, Similar
from genre_api.service import Service, TheClassifier, TheService
from genre_runtime import FloatArray, GenreClassifier
from genre_runtime import Prediction as RuntimePrediction
from genre_runtime.errors import UnreadableAudioError
from genre_runtime.library.similarity import KnownTrack

router = APIRouter(tags=["predict"])

Result = TypeVar("Result")
Drawn = tuple[RuntimePrediction, str | None]
"""A prediction, and its picture if the client asked for one."""

FORM = "multipart/form-data"
JSON = "application/json"
NPY = "application/x-npy"
OCTETS = "application/octet-stream"
AUDIO = "audio/*"

PROBLEMS = {
    "s400": "invalid_body, invalid_host",
    "s403": "cross_site",
    "s408": "body_timeout",
    "s413": "upload_too_large, too_many_parts, audio_limit",
    "s415": "unreadable_audio, unsupported_media_type",
    "s422": "invalid_request, empty_audio, invalid_input",
    "s429": "too_many_requests",
    "s503": "busy, timeout, unavailable, storage_full",
}
_SPEC = {"type": "array", "items": {"type": "array", "items": {"type": "number"}}}
_ALTERNATIVES = [
    {"type": "object", "required": [name], "properties": {name: schema}, "additionalProperties": False}
    for name, schema in (("path", {"type": "string"}), ("spec", _SPEC))
]
_FILE = {"type": "string", "format": "binary"}
_PATH_EXAMPLE = {"path": {"value": {"path": "albums/song.mp3"}}}
_SPEC_EXAMPLE = {
    "spectrogram": {"summary": "decibels, n_mels rows", "value": {"spec": [[-80.0, -12.5], [-80.0, -30.0]]}}
}
_UPLOAD: dict[str, Any] = {
    FORM: {"schema": {"type": "object", "required": ["file"], "properties": {"file": _FILE}}},
    AUDIO: {"schema": _FILE},
    OCTETS: {"schema": _FILE},
}
_BODY: dict[str, Any] = {
    "required": True,
    "content": {
        **_UPLOAD,
        JSON: {"schema": {"oneOf": _ALTERNATIVES}, "examples": {**_PATH_EXAMPLE, **_SPEC_EXAMPLE}},
        NPY: {"schema": _FILE},
    },
}
_AUDIO_BODY: dict[str, Any] = {
    "required": True,
    "content": {**_UPLOAD, JSON: {"schema": _ALTERNATIVES[0], "examples": _PATH_EXAMPLE}},
}
_ANSWERS = problem_responses(**{**PROBLEMS, "s403": "path_disabled, cross_site"}, s404="not_found")
_SIMILAR_ANSWERS = problem_responses(
    **{**PROBLEMS, "s403": "similar_disabled, path_disabled, cross_site"}, s404="not_found"
)


@router.post("/api/predict", responses=_ANSWERS, openapi_extra={"requestBody": _BODY}, response_model=Prediction)
async def predict(
    request: Request, service: TheService, classifier: TheClassifier, options: TheOptions
) -> dict[str, Any]:
    """Classify an audio file (`file` of a form, or the body), a log-mel spectrogram (JSON `spec`, `.npy`), or a `path`.

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

    def job(file: BinaryIO, stop: Event) -> Drawn:
        prediction = _classified(service, classifier, file, options, stop, timings, picture)
        return prediction, picture.png() if picture else None

    def spectrogram_job(log_mel: FloatArray) -> Drawn:
        if options.whole or options.excerpts is not None:
            detail = "a spectrogram is always classified as a whole: leave out excerpts and whole"
            raise ServiceError(422, "invalid_request", detail)
        limits = service.settings.decode_limits
        prediction = classify_spectrogram(classifier, log_mel, limits=limits, timings=timings, picture=picture)
        return prediction, picture.png() if picture else None

    (prediction, drawn), name, waited = await _work(request, service, classifier, job, spectrogram_job)
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


@router.post("/api/embedding", responses=_ANSWERS, openapi_extra={"requestBody": _AUDIO_BODY}, response_model=Embedding)
async def embedding(
    request: Request, service: TheService, classifier: TheClassifier, options: TheEmbeddingOptions
) -> dict[str, Any]:
    """Return the embedding of an audio file (`file` of a form, or the body) or of a `path`.

    \f

    Parameters
    ----------
    request : Request
        The request.
    service : Service
        State of the running service.
    classifier : GenreClassifier
        The loaded classifier.
    options : EmbeddingOptions
        Options in the query.
    """
    timings = Timings()

    def job(file: BinaryIO, stop: Event) -> dict[str, Any]:
        prediction = _classified(service, classifier, file, options, stop, timings)
        parts = [
            {
                "start_seconds": round(excerpt.start_seconds, 3),
                "end_seconds": round(excerpt.end_seconds, 3),
                "embedding": _numbers(excerpt.embedding),
            }
            for excerpt in prediction.excerpts
        ]
        whole = _numbers(prediction.embedding)
        return {
            "model_sha256": classifier.model_metadata.graphs["waveform"].sha256,
            "n_features": len(whole),
            "embedding": whole,
            "excerpts": parts if options.per_excerpt else None,
        }

    found, _, _ = await _work(request, service, classifier, job)
    service.meters.classified(timings.decode_seconds, timings.model_seconds)
    return found


@router.post(
    "/api/similar", responses=_SIMILAR_ANSWERS, openapi_extra={"requestBody": _AUDIO_BODY}, response_model=Similar
)
async def similar(
    request: Request, service: TheService, classifier: TheClassifier, options: TheSimilarOptions
) -> dict[str, Any]:
    """Find the tracks of `GENRE_STATE` that sound most like an audio file (`file` of a form, or the body) or a `path`.

    With `GENRE_AUDIO_ROOTS`, only tracks in these folders are found, with paths that `path` takes. Without,
    tracks are named by their file names.

    \f

    Parameters
    ----------
    request : Request
        The request.
    service : Service
        State of the running service.
    classifier : GenreClassifier
        The loaded classifier.
    options : SimilarOptions
        Options in the query.
    """
    if service.search is None:
        raise ServiceError(403, "similar_disabled", "this service knows no tracks to compare with: set GENRE_STATE")
    known, timings = await run_in_threadpool(service.search.current, classifier), Timings()

    def job(file: BinaryIO, stop: Event) -> list[tuple[KnownTrack, float]]:
        prediction = _classified(service, classifier, file, options, stop, timings)
        if prediction.embedding is None or prediction.is_silent:
            return []
        file.seek(0)
        digest = hashlib.file_digest(file, "sha256").digest()  # type: ignore[arg-type]  # typeshed's BinaryIO
        return known.nearest(prediction.embedding, options.top, digest)

    found, _, _ = await _work(request, service, classifier, job)
    service.meters.classified(timings.decode_seconds, timings.model_seconds)
    tracks = [
        {
            "path": track.name,
            "similarity": round(similarity, 6),
            "label": track.label,
            "confident": track.confident,
            "duration_seconds": round(track.duration_seconds, 3),
        }
        for track, similarity in found
    ]
    return {"tracks": tracks, "n_known": len(known.tracks)}


def _numbers(embedding: FloatArray | None) -> list[float]:
    """Return float32 numbers as JSON has them: nine digits give each number back exactly."""
    return [] if embedding is None else [float(f"{value:.9g}") for value in embedding.tolist()]


async def _work(
    request: Request,
    service: Service,
    classifier: GenreClassifier,
    job: Callable[[BinaryIO, Event], Result],
    spectrogram_job: Callable[[FloatArray], Result] | None = None,
) -> tuple[Result, str | None, float]:
    """Receive the body, and run a job in the queue: one on its audio, or one on its spectrogram, None to refuse those.

    Returns the result, the client's name of the track and the seconds that the job waited.
    """
    settings, kind = service.settings, media_type(request)
    if kind == FORM:
        async with service.body(request, settings.max_body_bytes) as chunks:
            [file] = await read_files(request, chunks, "file", 1, settings.max_parts)
            result, waited = await service.work(request, lambda stop: job(file.file, stop), file.file.close)
        return result, file.filename, waited
    if kind.startswith("audio/") or kind == OCTETS:
        async with service.body(request, settings.max_body_bytes) as chunks:
            file = await read_audio(chunks)

            def job_of_bytes(stop: Event) -> Result:
                if kind == OCTETS and spectrogram_job and starts_like_npy(file.file):
                    return spectrogram_job(parse_npy(file.file.read(settings.max_npy_bytes)))
                return job(file.file, stop)

            result, waited = await service.work(request, job_of_bytes, file.file.close)
        return result, None, waited
    if kind != JSON and not (kind == NPY and spectrogram_job):
        kinds = (FORM, AUDIO, OCTETS, JSON, *((NPY,) if spectrogram_job else ()))
        raise ServiceError(
            415,
            "unsupported_media_type",
            f"send a form ({FORM}), the audio file itself ({AUDIO} or {OCTETS}), {JSON}"
            + (f", or a .npy file as {NPY}" if spectrogram_job else ""),
            {"Accept-Post": ", ".join(kinds)},
        )

    def job_of_content(stop: Event) -> tuple[Result, str | None]:
        found = parse_json(content, classifier.metadata.audio.n_mels) if kind == JSON else parse_npy(content)
        if isinstance(found, str):
            with open_inside(found, settings.audio_roots) as file:
                try:
                    return job(file, stop), found
                except UnreadableAudioError as error:  # its message may quote the file, which the client did not send
                    detail = "the file at this path is not audio of a known format, or is damaged"
                    raise ServiceError(415, error.code, detail) from error
        if spectrogram_job is None:
            raise ServiceError(422, "invalid_request", "a spectrogram has no embedding: send audio or a path")
        return spectrogram_job(found), None

    async with service.body(request, settings.max_json_bytes if kind == JSON else settings.max_npy_bytes) as chunks:
        content = await read_bytes(chunks)
        (result, name), waited = await service.work(request, job_of_content)
    return result, name, waited


def _classified(
    service: Service,
    classifier: GenreClassifier,
    file: BinaryIO,
    options: AnalysisOptions,
    stop: Event,
    timings: Timings,
    picture: Picture | None = None,
) -> RuntimePrediction:
    return classify_audio(
        classifier,
        file,
        n_excerpts=options.n_excerpts(classifier.metadata),
        limits=service.settings.decode_limits,
        decoders=service.decoders,
        stop=stop,
        timings=timings,
        picture=picture,
    )


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
    if media_type(request) != FORM:
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
        prediction = _classified(service, classifier, file.file, options, stop, timings, picture)
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
