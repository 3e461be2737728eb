"""Long jobs: files of folders on the server, classified one after the other in the background."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from threading import Condition, Event, RLock, Thread
from typing import Any
from uuid import uuid4

from genre_api.inference import AnalysisOptions, Timings, classify_audio, sendable
from genre_api.job_file import JobFile
from genre_api.observability import Meters
from genre_api.problems import ServiceError, described
from genre_api.request_body import open_inside
from genre_api.schemas import BatchError, Job
from genre_api.settings import Settings
from genre_api.work_queue import WorkQueue
from genre_runtime import DecoderPool, FileResult, GenreClassifier
from genre_runtime.errors import DecoderUnavailableError, StateError, counted
from genre_runtime.library.analysis import plan_of
from genre_runtime.library.scan import Finder

CHECKED_PATHS = 100
"""Number of paths that are looked up before the answer; the results of a longer list say which are missing."""
SHOWN_PATHS = 10
"""Number of paths of a request that its job repeats."""
GIVE_WAY_SECONDS = 2.0
"""Longest wait of a job before each excerpt while requests use every worker."""
RETRY_SECONDS = 5.0
JOIN_SECONDS = 10.0
"""Longest wait for a thread that reads a folder on a disk that does not answer."""
ENDED = ("done", "cancelled", "failed")

_log = logging.getLogger(__name__)


class Jobs:
    """Runs the jobs one after the other in a thread, and keeps their states in memory.

    Parameters
    ----------
    path : Path
        The job file.
    settings : Settings
        Limits and folders.
    queue : WorkQueue
        The requests' queue; a job gives way while they use all workers.
    decoders : DecoderPool
        Processes that decode; a job uses one.
    meters : Meters
        Metrics of the service.
    """

    def __init__(self, path: Path, settings: Settings, queue: WorkQueue, decoders: DecoderPool, meters: Meters) -> None:
        self._path, self._settings, self._queue, self._decoders, self._meters = path, settings, queue, decoders, meters
        self._lock = RLock()
        self._changed = Condition(self._lock)
        self._file: JobFile | None = None
        self._jobs: dict[str, tuple[int, Job]] = {}
        self._running: str | None = None
        self._stop, self._closing = Event(), Event()
        self._thread: Thread | None = None
        self._failure: str | None = None
        meters.watch("genre_jobs_unfinished", "Long jobs that wait or run.", lambda: self.n_unfinished)

    @property
    def n_unfinished(self) -> int:
        """Number of jobs that wait or run."""
        return sum(job.state not in ENDED for _, job in list(self._jobs.values()))

    def start(self, classifier: GenreClassifier | None) -> None:
        """Open the file, and go on with the jobs in a thread; a file in use is opened later.

        Parameters
        ----------
        classifier : GenreClassifier or None
            Without one, jobs wait for the next start.
        """
        with suppress(StateError):
            self._open()
        self._thread = Thread(target=self._work, args=(classifier,), name="genre-jobs", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop within an excerpt; the running job goes on after the next start."""
        with self._changed:
            self._closing.set()
            self._stop.set()
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(JOIN_SECONDS)
        with self._lock:
            if self._file is not None:
                self._file.close()
                self._file = None

    def all(self) -> list[Job]:
        """Return the jobs, the oldest first.

        Raises
        ------
        ServiceError
            503 if the file is not open.
        """
        self._opened()
        return [job for _, job in list(self._jobs.values())]

    def find(self, job_id: str) -> Job:
        """Return a job.

        Parameters
        ----------
        job_id : str

        Raises
        ------
        ServiceError
            404 if there is none, 503 if the file is not open.
        """
        return self._find(job_id)[1]

    def add(self, paths: Sequence[str], options: AnalysisOptions) -> Job:
        """Add a job.

        Parameters
        ----------
        paths : sequence of str
            Files and folders, as the client names them.
        options : AnalysisOptions
            Which part of each track is analysed.

        Raises
        ------
        ServiceError
            403 without folders to read, 404 if none of a few paths exists there, 429 if there are too many jobs.
        """
        if not any(map(self._exists, paths[:CHECKED_PATHS])) and len(paths) <= CHECKED_PATHS:
            raise ServiceError(404, "not_found", "no file or folder at these paths in the folders that may be read")
        job = Job(
            id=uuid4().hex,
            state="queued",
            paths=list(paths[:SHOWN_PATHS]),
            n_paths=len(paths),
            excerpts=options.excerpts,
            whole=options.whole,
            created=datetime.now(UTC),
        )
        with self._changed, _served():
            file = self._opened()
            if len(self._jobs) >= self._settings.max_jobs:
                detail = (
                    f"the service keeps at most {counted(self._settings.max_jobs, 'job')}: remove some that have ended"
                )
                raise ServiceError(429, "too_many_jobs", detail, {"Retry-After": "60"})
            self._jobs[job.id] = file.add(job, paths), job
            self._changed.notify_all()
        return job

    def cancel(self, job_id: str) -> Job | None:
        """Cancel a job that waits or runs, and return it; remove one that has ended, and return None.

        Parameters
        ----------
        job_id : str

        Raises
        ------
        ServiceError
            404 if there is no such job, 503 if the file is not open.
        """
        with self._lock, _served():
            number, job = self._find(job_id)
            if job.state in ENDED:
                self._opened().remove(number)
                del self._jobs[job_id]
                return None
            if self._running == job_id:
                self._stop.set()
            return self._end(job_id, "cancelled")[1]

    def rows(self, job_id: str, after: int) -> Iterator[str]:
        """Yield the results that a job has so far, as blocks of lines of JSON.

        Parameters
        ----------
        job_id : str
        after : int
            Number of the results to skip.

        Raises
        ------
        ServiceError
            404 if there is no such job, 503 if the file is not open.
        """
        number, _ = self._find(job_id)
        while True:
            with self._lock, _served():
                if job_id not in self._jobs or self._file is None:
                    return
                rows = self._file.rows(number, after)
            if not rows:
                return
            yield "".join(f"{row}\n" for row in rows)
            after += len(rows)

    def _find(self, job_id: str) -> tuple[int, Job]:
        self._opened()
        if job_id not in self._jobs:
            raise ServiceError(404, "job_not_found", "no job has this id: GET /api/jobs lists the jobs")
        return self._jobs[job_id]

    def _opened(self) -> JobFile:
        if self._file is None:
            detail = "the jobs cannot be read: the log of the service says why"
            raise ServiceError(503, "unavailable", detail, {"Retry-After": "5"})
        return self._file

    def _open(self) -> None:
        try:
            file = JobFile(self._path)
            try:
                jobs = {job.id: (number, job) for number, job in file.jobs()}
            except StateError:
                file.close()
                raise
        except StateError as error:
            if str(error) != self._failure:
                _log.error("jobs answer 503: %s", error)
            self._failure = str(error)
            raise
        with self._lock:
            self._jobs, self._file = jobs, file

    def _work(self, classifier: GenreClassifier | None) -> None:
        while not self._closing.is_set():
            try:
                if self._file is None:
                    self._open()
                if classifier is None:
                    return
                job_id = self._next()
                if job_id is not None:
                    self._run(job_id, classifier)
            except CancelledError:  # of one job, or of all
                self._closing.wait(0.05)
            except (StateError, DecoderUnavailableError) as error:  # a full disk, for example
                if self._file is not None:  # else `_open` has logged it, once
                    _log.error("jobs are tried again in %g s: %s", RETRY_SECONDS, error)
                self._closing.wait(RETRY_SECONDS)

    def _next(self) -> str | None:
        """Wait for a job, and return the id of the oldest one that has not ended; None at the end."""
        with self._changed:
            while not self._closing.is_set():
                for job_id, (_, job) in self._jobs.items():
                    if job.state not in ENDED:
                        self._running, self._stop = job_id, Event()
                        return job_id
                self._changed.wait()
        return None

    def _run(self, job_id: str, classifier: GenreClassifier) -> None:
        """Run one job from where it is; CancelledError if it was cancelled or the service ends."""
        stop = self._stop
        try:
            number, job = self._change(job_id, state="running", started=self.find(job_id).started or datetime.now(UTC))
            options = AnalysisOptions(excerpts=job.excerpts, whole=job.whole)
            plan = _plan(classifier, options)
            with self._lock:
                paths, begun_with = self._opened().request(number)
            if job.n_total is None:
                names = self._scan(paths, stop)
                number, job = self._change(job_id, names, plan, n_total=len(names))
            elif plan != begun_with:
                raise ServiceError(409, "model_changed", "the model changed since the job began: submit it again")
            while job.n_done < (job.n_total or 0):
                with self._lock:
                    name = self._opened().name(number, job.n_done + 1)
                row = self._row(name, options, classifier, stop)
                n_failed = job.n_failed + ("error" in row)
                number, job = self._change(job_id, row=row, n_done=job.n_done + 1, n_failed=n_failed)
            self._end(job_id, "done")
        except (CancelledError, StateError, DecoderUnavailableError):
            raise
        except Exception as error:
            self._end(job_id, "failed", BatchError(**_described(error)))

    def _end(self, job_id: str, state: str, error: BatchError | None = None) -> tuple[int, Job]:
        return self._change(job_id, state=state, ended=datetime.now(UTC), error=error)

    def _change(
        self,
        job_id: str,
        names: Sequence[str] | None = None,
        plan: str = "",
        *,
        row: dict[str, Any] | None = None,
        **values: Any,
    ) -> tuple[int, Job]:
        """Store changes of a job, its files or a result; CancelledError if it has ended in the meantime."""
        with self._lock:
            number, job = self._jobs.get(job_id, (0, None))
            if job is None or job.state in ENDED:
                raise CancelledError
            file, job = self._opened(), job.model_copy(update=values)
            if names is not None:
                file.save_files(number, job, names, plan)
            elif row is not None:
                file.save_row(number, job, json.dumps(row))
            else:
                file.save(number, job)
            self._jobs[job_id] = number, job
            return number, job

    def _exists(self, path: str) -> bool:
        if folder_inside(path, self._settings.audio_roots):
            return True
        try:
            open_inside(path, self._settings.audio_roots).close()
        except ServiceError as error:
            if error.status_code != 404:
                raise
            return False
        return True

    def _scan(self, paths: Sequence[str], stop: Event) -> list[str]:
        """Return the names of the files, each once."""
        names: dict[str, None] = {}
        finder, limit = Finder(stop), self._settings.job_files
        for path in paths:
            folder = folder_inside(path, self._settings.audio_roots)
            if folder is None:
                names[path] = None
            else:
                for found in finder.find([str(folder)]):
                    names[str(Path(path, found.relative_to(folder)))] = None
                    if len(names) > limit:
                        break
                # Their results say that they cannot be read.
                names |= {
                    str(Path(path, Path(error.filename).relative_to(folder))): None for error in finder.unreadable
                }
                finder.unreadable.clear()
            if stop.is_set():
                raise CancelledError
            if len(names) > limit:
                raise ServiceError(
                    413,
                    "too_many_files",
                    f"the folders have more than {counted(limit, 'file')}: submit them one by one",
                )
        if not names:
            raise ServiceError(422, "no_files", f"no audio files: {finder.nothing_found}")
        return list(names)

    def _row(self, name: str, options: AnalysisOptions, classifier: GenreClassifier, stop: Event) -> dict[str, Any]:
        """Return the result of one file, an error as well."""
        shown, timings = sendable(name) or "", Timings()
        try:
            with open_inside(name, self._settings.audio_roots) as file:
                prediction = classify_audio(
                    classifier,
                    file,
                    n_excerpts=options.n_excerpts(classifier.metadata),
                    limits=self._settings.decode_limits,
                    decoders=self._decoders,
                    stop=stop,
                    timings=timings,
                    give_way=partial(self._give_way, stop),
                )
        except (CancelledError, DecoderUnavailableError):
            raise
        except Exception as error:  # an unexpected error of a decoder fails this file only
            told = _described(error)
            self._meters.rejected(told["code"])
            return {"path": shown, "error": told}
        self._meters.classified(timings.decode_seconds, timings.model_seconds)
        return FileResult(shown, prediction).to_dict()

    def _give_way(self, stop: Event) -> None:
        """Wait while requests use every worker, but not for ever."""
        until = time.monotonic() + GIVE_WAY_SECONDS
        while self._queue.n_running >= self._settings.n_workers and time.monotonic() < until and not stop.wait(0.01):
            pass


def folder_inside(path: str, roots: Sequence[str]) -> Path | None:
    """Return the real path of a folder inside one of the allowed folders, None if there is none.

    Parameters
    ----------
    path : str
        Path from the client, absolute or relative to one of the folders.
    roots : sequence of str
        Absolute paths of the allowed folders.
    """
    for root in roots:
        with suppress(OSError, ValueError, RuntimeError):  # as in `open_inside`
            base = Path(root).resolve(strict=True)
            found = (base / path).resolve(strict=True)
            if found.is_relative_to(base) and found.is_dir():
                return found
    return None


def _plan(classifier: GenreClassifier, options: AnalysisOptions) -> str:
    plan, head = plan_of(classifier, "all" if options.whole else options.excerpts), classifier.head
    return plan if head is None else f"{plan} head {hashlib.sha256(head.weights.tobytes()).hexdigest()}"


def _described(error: Exception) -> dict[str, str]:
    """Return the code and message of an error; one of the service itself is logged."""
    code, message = (error.code, error.detail) if isinstance(error, ServiceError) else described(error)[1:]
    return {"code": code, "message": message}


@contextmanager
def _served() -> Iterator[None]:
    """Answer an error of the job file, such as a full disk, as 503."""
    try:
        yield
    except StateError as error:
        _log.error("a request about jobs failed: %s", error)
        detail = "the jobs cannot be read or stored now: the log of the service says why"
        raise ServiceError(503, "unavailable", detail, {"Retry-After": "10"}) from error
