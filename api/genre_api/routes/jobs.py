"""`/api/jobs`: long jobs, their progress as server-sent events, and their results as JSON lines."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from starlette.responses import StreamingResponse

from genre_api.inference import TheAnalysisOptions
from genre_api.jobs import ENDED, Jobs
from genre_api.problems import ServiceError, problem_responses
from genre_api.request_body import media_type, read_bytes
from genre_api.schemas import FailedTrack, Job, JobList, JobRequest, TrackResult, reference
from genre_api.service import Service, TheClassifier, TheService

router = APIRouter(tags=["jobs"])

HEARTBEAT_SECONDS = 10.0
POLL_SECONDS = 0.2
MAX_REQUEST_BYTES = 2**20
MAX_FAULTS_READ, MAX_FAULTS = 100, 3
"""Most errors of one request that are looked at, and that an answer lists."""
JSON = "application/json"

_DISABLED, _MISSING = {"s403": "jobs_disabled", "s503": "unavailable"}, {"s404": "job_not_found"}
_BODY: dict[str, Any] = {
    "required": True,
    "content": {JSON: {"schema": reference(JobRequest)}},
}


class JsonLines(StreamingResponse):
    """One JSON value on each line."""

    media_type = "application/x-ndjson"


class EventStream(StreamingResponse):
    """Server-sent events."""

    media_type = "text/event-stream"


def _streamed(kind: type[StreamingResponse], example: str, *models: type[BaseModel]) -> dict[str, Any]:
    """Return the description of text whose lines or events are JSON of the models."""
    schema = {"type": "string", "contentSchema": {"anyOf": [reference(model) for model in models]}}
    return {"content": {kind.media_type: {"schema": schema, "example": example}}}


def enabled(service: TheService) -> Jobs:
    """Return the jobs of the service.

    Parameters
    ----------
    service : Service
        State of the running service.

    Raises
    ------
    ServiceError
        403 if jobs are switched off.
    """
    if service.jobs is None:
        raise ServiceError(403, "jobs_disabled", "this service runs no long jobs: set GENRE_JOBS")
    return service.jobs


TheJobs = Annotated[Jobs, Depends(enabled)]


@router.post(
    "/api/jobs",
    status_code=202,
    response_model=Job,
    openapi_extra={"requestBody": _BODY},
    responses=problem_responses(
        s400="invalid_body, invalid_host",
        s403="jobs_disabled, path_disabled, cross_site",
        s404="not_found",
        s408="body_timeout",
        s413="upload_too_large",
        s415="unsupported_media_type",
        s422="invalid_request",
        s429="too_many_jobs",
        s503="unavailable, busy",
    ),
)
async def submit(
    request: Request,
    response: Response,
    service: TheService,
    jobs: TheJobs,
    _: TheClassifier,
    options: TheAnalysisOptions,
) -> Job:
    """Classify files and folders on the server in the background, one file after the other.

    The paths are those that `path` of `/api/predict` takes, of folders as well. In folders, hidden files and links to
    folders are left out. A job uses no more than one worker, and gives way while requests use all of them.

    \f

    Parameters
    ----------
    request : Request
        The request.
    response : Response
        Gets the header `Location`.
    service : Service
        State of the running service.
    jobs : Jobs
        The jobs of the service.
    options : AnalysisOptions
        Options in the query.
    """
    if media_type(request) != JSON:
        raise ServiceError(415, "unsupported_media_type", f"send {JSON}", {"Accept-Post": JSON})
    async with service.bodies.body(request, min(MAX_REQUEST_BYTES, service.settings.max_json_bytes)) as chunks:
        content = await read_bytes(chunks)
    wanted = await run_in_threadpool(_parsed, content)
    job = await run_in_threadpool(jobs.add, wanted.paths, options)
    response.headers["Location"] = f"/api/jobs/{job.id}"
    return job


@router.get("/api/jobs", responses=problem_responses(**_DISABLED))
async def list_jobs(jobs: TheJobs) -> JobList:
    """Return the jobs that the service keeps, the oldest first.

    \f

    Parameters
    ----------
    jobs : Jobs
        The jobs of the service.
    """
    return JobList(jobs=jobs.all())


@router.get("/api/jobs/{job_id}", responses=problem_responses(**_DISABLED, **_MISSING))
async def show(jobs: TheJobs, job_id: str) -> Job:
    """Return the state of a job: queued, running, done, cancelled or failed, and the number of files.

    \f

    Parameters
    ----------
    jobs : Jobs
        The jobs of the service.
    job_id : str
        Id of the job.
    """
    return jobs.find(job_id)


@router.delete(
    "/api/jobs/{job_id}",
    response_model=Job,
    responses={
        **problem_responses(**{**_DISABLED, "s403": "jobs_disabled, cross_site"}, **_MISSING),
        204: {"description": "The job had ended, and was removed with its results."},
    },
)
async def cancel(jobs: TheJobs, job_id: str) -> Any:
    """Cancel a job that waits or runs, whose results so far are kept; remove a job that has ended.

    \f

    Parameters
    ----------
    jobs : Jobs
        The jobs of the service.
    job_id : str
        Id of the job.
    """
    return await run_in_threadpool(jobs.cancel, job_id) or Response(status_code=204)


@router.get(
    "/api/jobs/{job_id}/results",
    response_class=JsonLines,
    response_model=TrackResult | FailedTrack,
    responses={
        200: _streamed(JsonLines, '{"path": "song.mp3", "label": "rock", ...}\n', TrackResult, FailedTrack),
        **problem_responses(**_DISABLED, **_MISSING, s422="invalid_request"),
    },
)
async def results(
    jobs: TheJobs,
    job_id: str,
    after: Annotated[int, Query(ge=0, lt=2**63, description="number of results to leave out, at the beginning")] = 0,
) -> JsonLines:
    """Return the results so far as JSON lines, the same as those of `genre classify --format jsonl`.

    The results have an order that does not change: to continue, a client sends the number of lines that it has as
    `after`.

    \f

    Parameters
    ----------
    jobs : Jobs
        The jobs of the service.
    job_id : str
        Id of the job.
    after : int
        Number of results to leave out.
    """
    jobs.find(job_id)
    return JsonLines(jobs.rows(job_id, after))


@router.get(
    "/api/jobs/{job_id}/events",
    response_class=EventStream,
    response_model=str,
    responses={
        200: _streamed(EventStream, 'event: running\nid: running-1-9\ndata: {"id": ...}\n\n', Job),
        **problem_responses(**_DISABLED, **_MISSING),
        204: {"description": "The job has ended, and the client has its last event."},
    },
)
async def events(request: Request, service: TheService, jobs: TheJobs, job_id: str) -> Response:
    """Return the progress of a job as server-sent events, each with the job as JSON, until the job ends.

    The events are named by the state of the job. A client that sends the id of its last event as `Last-Event-ID` gets
    the next event when something has changed since.

    \f

    Parameters
    ----------
    request : Request
        The request.
    service : Service
        State of the running service.
    jobs : Jobs
        The jobs of the service.
    job_id : str
        Id of the job.
    """
    job, last = jobs.find(job_id), request.headers.get("last-event-id")
    if job.state in ENDED and last == _event_id(job):
        return Response(status_code=204)  # a browser then stops connecting again
    return EventStream(_events(service, jobs, job_id, last), headers={"X-Accel-Buffering": "no"})


async def _events(service: Service, jobs: Jobs, job_id: str, last: str | None) -> AsyncIterator[str]:
    """Yield events until the job ends or is removed, or the service is about to stop."""
    beat = time.monotonic()
    while not service.draining:
        try:
            job = jobs.find(job_id)
        except ServiceError:
            return
        if _event_id(job) != last:
            last, beat = _event_id(job), time.monotonic()
            yield f"event: {job.state}\nid: {last}\ndata: {job.model_dump_json()}\n\n"
        elif time.monotonic() - beat >= HEARTBEAT_SECONDS:
            beat = time.monotonic()
            yield ": heartbeat\n\n"
        if job.state in ENDED:
            return
        await asyncio.sleep(POLL_SECONDS)


def _event_id(job: Job) -> str:
    return f"{job.state}-{job.n_done}-{job.n_total}"


def _parsed(content: bytes) -> JobRequest:
    try:
        return JobRequest.model_validate_json(content)
    except ValidationError as error:
        if error.error_count() > MAX_FAULTS_READ:  # each would become a dict
            raise ServiceError(422, "invalid_request", 'expected {"paths": ["..."]} and nothing else') from error
        faults = error.errors(include_url=False, include_context=False)
        if faults[0]["type"] == "json_invalid":
            raise ServiceError(400, "invalid_body", "the body is not valid JSON, unlike its Content-Type") from error
        raise RequestValidationError(faults[:MAX_FAULTS]) from error
