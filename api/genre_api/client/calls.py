"""What the clients send, and how they read answers."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, Generic, TypeVar

import httpx2
from pydantic import BaseModel, ValidationError

from genre_api.schemas import Embedding, Genres, Health, Input, Job, JobList, Metrics, Similar
from genre_runtime import FileResult, Prediction
from genre_runtime.errors import GenreError, RecordedError

Result = TypeVar("Result")
Model = TypeVar("Model", bound=BaseModel)

RETRIES = 3
TIMEOUT_SECONDS = 120.0
PATIENCE_SECONDS = 60.0
RECONNECT_SECONDS = 0.5
ENDED = ("done", "cancelled", "failed")
BLOCK_BYTES = 2**18
MAX_PAUSE_SECONDS = 60.0
"""Longest `Retry-After` that is waited for."""
_FIRST_PAUSE_SECONDS = 0.5
_TEMPORARY = ("busy", "timeout", "too_many_requests", "unavailable", "not_ready")
_OCTETS = "application/octet-stream"


class ClientError(GenreError):
    """A request failed."""

    code = "client"


class UnreachableError(ClientError, ConnectionError):
    """The service does not answer, or the connection broke."""

    code = "unreachable"


class InvalidAnswerError(ClientError, ValueError):
    """The answer is not one of this service."""

    code = "invalid_answer"


class ProblemError(ClientError):
    """The service answered with a problem document.

    Attributes
    ----------
    status : int
        HTTP status.
    code : str
        Stable code, such as `unreadable_audio`.
    detail : str
        Message for people.
    request_id : str or None
        Identifies the entry in the log of the service.
    retry_after : float or None
        Seconds after which to try again.
    """

    def __init__(
        self, status: int, code: str, detail: str, request_id: str | None, retry_after: float | None = None
    ) -> None:
        super().__init__(f"{detail} (status {status}, {code})")
        self.status, self.detail, self.request_id, self.retry_after = status, detail, request_id, retry_after
        self.code = code  # type: ignore[misc]


class RefusedError(ProblemError, PermissionError):
    """The key is missing or wrong, or the service has this switched off (401, 403)."""


class NotFoundError(ProblemError, LookupError):
    """The service has no such file, job or address (404)."""


class InvalidRequestError(ProblemError, ValueError):
    """The request or the file is invalid or too large (other statuses from 400 to 499)."""


class OverloadedError(ProblemError, TimeoutError):
    """The service is busy or not ready (429, 503)."""


class FailedError(ProblemError, RuntimeError):
    """The service failed (500)."""


_ERRORS: Mapping[int, type[ProblemError]] = {
    **dict.fromkeys((401, 403), RefusedError),
    404: NotFoundError,
    **dict.fromkeys((429, 503), OverloadedError),
}


@dataclass(frozen=True)
class ServerFile:
    """A file on the server, instead of an upload.

    Attributes
    ----------
    path : str
        Absolute or relative to a folder of `GENRE_AUDIO_ROOTS`.
    """

    path: str


Source = str | os.PathLike[str] | bytes | BinaryIO | ServerFile
"""An audio file: its path on this machine, its bytes, a seekable binary file object, or a file on the server."""


@dataclass(frozen=True)
class Call(Generic[Result]):
    """One request and how to read its answer.

    Attributes
    ----------
    method, path : str
        HTTP method and address.
    read : callable
        Returns the result from the body of the answer; raises one of `Call.INVALID` if it is invalid.
    params, headers : mapping
        Query and headers.
    json : object
        Body to be encoded, None for none.
    sources : sequence of Source
        Files to be sent.
    form : bool
        Whether they are sent as a form; otherwise one file is the body.
    """

    INVALID: ClassVar = (KeyError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError)

    method: str
    path: str
    read: Callable[[bytes], Result]
    params: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    json: Any = None
    sources: Sequence[Source] = ()
    form: bool = False

    @contextmanager
    def opened(self) -> Iterator[list[tuple[str, bytes | BinaryIO]]]:
        """Yield name and content of each file to send; a path is opened, and closed at the end.

        Raises
        ------
        OSError
            A file cannot be opened.
        """
        with ExitStack() as stack:
            files: list[tuple[str, bytes | BinaryIO]] = []
            for source in self.sources:
                if isinstance(source, str | os.PathLike):
                    files.append((Path(source).name, stack.enter_context(Path(source).open("rb"))))
                elif not isinstance(source, ServerFile):
                    files.append(("track", source))
            yield files

    def options(self, files: Sequence[tuple[str, bytes | BinaryIO]]) -> dict[str, Any]:
        """Return the options of `httpx2.Client.build_request`, but for the content of an upload.

        Parameters
        ----------
        files : sequence of tuple of (str, bytes or file object)
            As `opened` yields them, at their start.
        """
        options: dict[str, Any] = {"params": self.params, "headers": dict(self.headers)}
        if self.json is not None:
            options["json"] = self.json
        elif self.form:
            options["files"] = [("files", (name, content, _OCTETS)) for name, content in files]
        elif files:
            content = files[0][1]
            size = len(content) if isinstance(content, bytes) else content.seek(0, os.SEEK_END)
            options["headers"] |= {"Content-Type": _OCTETS, "Content-Length": str(size)}
        if not self.form and files and not isinstance(files[0][1], bytes):
            files[0][1].seek(0)
        return options

    def result(self, response: httpx2.Response) -> Result:
        """Return the result of an answer.

        Parameters
        ----------
        response : httpx2.Response
            With its body read.

        Raises
        ------
        ProblemError, InvalidAnswerError
        """
        if not response.is_success:
            raise problem_of(response)
        try:
            return self.read(response.content)
        except self.INVALID as error:
            raise InvalidAnswerError(
                f"{response.url} answered with {response.content[:40]!r}, expected a result of this service "
                f"({type(error).__name__}): check the address"
            ) from error


def problem_of(response: httpx2.Response) -> ProblemError:
    """Return the error of a problem document, or of an answer of another program.

    Parameters
    ----------
    response : httpx2.Response
        With its body read.
    """
    try:
        values = response.json()
    except (ValueError, RecursionError):
        values = None
    values = values if isinstance(values, dict) else {}
    other = FailedError if response.status_code >= 500 or response.status_code < 400 else InvalidRequestError
    after, request_id = response.headers.get("retry-after", ""), values.get("request_id")
    return _ERRORS.get(response.status_code, other)(
        response.status_code,
        str(values.get("code", "http")),
        str(values.get("detail", f"{response.url} answered {response.status_code} {response.reason_phrase}")),
        request_id if isinstance(request_id, str) else None,
        float(after) if after.isascii() and after.isdecimal() and len(after) < 10 else None,
    )


def unreachable(address: str, error: Exception) -> UnreachableError:
    """Return the error for a connection that failed.

    Parameters
    ----------
    address : str
        Address of the service.
    error : Exception
        What httpx raised.
    """
    why = str(error) or type(error).__name__
    return UnreachableError(f"no answer from {address} ({why}): check that the service runs, and its address")


def pause_before_retry(error: Exception, attempt: int, retries: int) -> float | None:
    """Return the seconds to wait before the next attempt, None if there is to be none.

    Parameters
    ----------
    error : Exception
        Why the last attempt failed.
    attempt : int
        Its number, from 0.
    retries : int
        Most further attempts.
    """
    usual = _FIRST_PAUSE_SECONDS * 2.0**attempt
    if attempt >= retries:
        return None
    if isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout):  # nothing was sent
        return usual
    if isinstance(error, OverloadedError) and error.code in _TEMPORARY:
        pause = usual if error.retry_after is None else error.retry_after
        return pause if pause <= MAX_PAUSE_SECONDS else None
    return None


def settings_of(url: str, key: str | None, timeout: float) -> dict[str, Any]:
    """Return the options of `httpx2.Client` for a service.

    Parameters
    ----------
    url : str
        Address of the service.
    key : str or None
        API key.
    timeout : float
        Longest time without a byte from the service, in seconds.

    Raises
    ------
    ValueError
        The address or the key is invalid.
    """
    try:
        address = httpx2.URL(url)
    except httpx2.InvalidURL as error:
        raise ValueError(f"{url!r} is not the address of a service: {error}") from error
    if address.scheme not in ("http", "https") or not address.host:
        raise ValueError(f"{url!r} is not the address of a service: expected for example http://127.0.0.1:8000")
    if key is not None and not (key.isascii() and key.isprintable()):
        raise ValueError("the key has characters that are not printable ASCII")
    headers = {"User-Agent": "genre-api-client", "Accept": "application/json", **({"X-API-Key": key} if key else {})}
    return {"base_url": address, "headers": headers, "timeout": httpx2.Timeout(timeout, connect=min(timeout, 10.0))}


def predict(source: Source, excerpts: int | None, whole: bool) -> Call[Prediction]:
    """Return the call of `/api/predict`.

    Parameters
    ----------
    source : Source
    excerpts : int or None
    whole : bool
    """
    path = Path(os.fspath(source)) if isinstance(source, str | os.PathLike) else None

    def read(content: bytes) -> Prediction:
        values = json.loads(content)
        return Prediction.from_dict(values if path is None else {**values, "path": str(path)})

    return _of_source("/api/predict", source, read, **_analysis(excerpts, whole))


def predict_batch(sources: Sequence[Source], excerpts: int | None, whole: bool) -> Call[list[FileResult]]:
    """Return the call of `/api/predict/batch`.

    Parameters
    ----------
    sources : sequence of Source
    excerpts : int or None
    whole : bool

    Raises
    ------
    ValueError
        One is a file on the server.
    """
    if any(isinstance(source, ServerFile) for source in sources):
        raise ValueError("a batch takes uploads only: submit a job for files on the server")

    def read(content: bytes) -> list[FileResult]:
        items = json.loads(content)["results"]
        return [_batch_result(source, item) for source, item in zip(sources, items, strict=True)]

    params = _analysis(excerpts, whole)
    return Call("POST", "/api/predict/batch", read, params, sources=sources, form=True)


def _batch_result(source: Source, item: Mapping[str, Any]) -> FileResult:
    path = os.fspath(source) if isinstance(source, str | os.PathLike) else "track"
    if item["error"] is not None:
        return FileResult(path, RecordedError(str(item["error"]["code"]), str(item["error"]["message"])))
    return FileResult(path, Prediction.from_dict({**item["prediction"], "path": path}))


def embedding(source: Source, excerpts: int | None, whole: bool, per_excerpt: bool) -> Call[Embedding]:
    """Return the call of `/api/embedding`.

    Parameters
    ----------
    source : Source
    excerpts : int or None
    whole, per_excerpt : bool
    """
    params = {**_analysis(excerpts, whole), **({"per_excerpt": True} if per_excerpt else {})}
    return _of_source("/api/embedding", source, Embedding.model_validate_json, **params)


def similar(source: Source, top: int, excerpts: int | None, whole: bool) -> Call[Similar]:
    """Return the call of `/api/similar`.

    Parameters
    ----------
    source : Source
    top : int
    excerpts : int or None
    whole : bool
    """
    return _of_source("/api/similar", source, Similar.model_validate_json, top=top, **_analysis(excerpts, whole))


def submit(paths: Sequence[str], excerpts: int | None, whole: bool) -> Call[Job]:
    """Return the call of `POST /api/jobs`.

    Parameters
    ----------
    paths : sequence of str
    excerpts : int or None
    whole : bool
    """
    body = {"paths": [paths] if isinstance(paths, str) else list(paths)}
    return Call("POST", "/api/jobs", Job.model_validate_json, _analysis(excerpts, whole), json=body)


def job(job_id: str) -> Call[Job]:
    """Return the call of `GET /api/jobs/{job_id}`.

    Parameters
    ----------
    job_id : str
    """
    return Call("GET", job_address(job_id), Job.model_validate_json)


def cancel(job_id: str) -> Call[Job | None]:
    """Return the call of `DELETE /api/jobs/{job_id}`.

    Parameters
    ----------
    job_id : str
    """
    return Call("DELETE", job_address(job_id), lambda content: Job.model_validate_json(content) if content else None)


def job_address(job_id: str, part: str = "") -> str:
    """Return the address of a job.

    Parameters
    ----------
    job_id : str
    part : str
        `/events` or `/results`.

    Raises
    ------
    ValueError
        The id is not one that the service gives.
    """
    if not (job_id.isascii() and job_id.isalnum()):
        raise ValueError(f"{job_id!r} is not the id of a job: expected `id` of a submitted one")
    return f"/api/jobs/{job_id}{part}"


GENRES: Call[Genres] = Call("GET", "/api/genres", Genres.model_validate_json)
INPUT: Call[Input] = Call("GET", "/api/input", Input.model_validate_json)
METRICS: Call[Metrics] = Call("GET", "/api/metrics", Metrics.model_validate_json)
HEALTH: Call[Health] = Call("GET", "/api/health", Health.model_validate_json)
JOBS: Call[list[Job]] = Call("GET", "/api/jobs", lambda content: JobList.model_validate_json(content).jobs)


def result_of_line(line: str) -> FileResult:
    """Return one result of a job.

    Parameters
    ----------
    line : str
        A line of JSON.

    Raises
    ------
    InvalidAnswerError
    """
    try:
        return FileResult.from_dict(json.loads(line))
    except Call.INVALID as error:
        raise InvalidAnswerError(f"a line of the results begins with {line[:40]!r}, expected a result") from error


def job_of_event(event: httpx2.ServerSentEvent) -> Job:
    """Return the job of an event.

    Parameters
    ----------
    event : httpx2.ServerSentEvent

    Raises
    ------
    InvalidAnswerError
    """
    try:
        return Job.model_validate_json(event.data)
    except ValidationError as error:
        raise InvalidAnswerError(f"an event begins with {event.data[:40]!r}, expected a job") from error


def _of_source(path: str, source: Source, read: Callable[[bytes], Result], **params: Any) -> Call[Result]:
    if isinstance(source, ServerFile):
        return Call("POST", path, read, params, json={"path": source.path})
    return Call("POST", path, read, params, sources=(source,))


def _analysis(excerpts: int | None, whole: bool) -> dict[str, Any]:
    return {**({"excerpts": excerpts} if excerpts is not None else {}), **({"whole": True} if whole else {})}
