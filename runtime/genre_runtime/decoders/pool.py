"""A pool of decoder processes. A file that makes one of them hang, crash or run out of memory does not affect others.

>>> from genre_runtime.decoders.pool import DecoderPool
>>> with DecoderPool(2) as decoders:
...     stream = decoders.stream_excerpts("song.mp3", 22_050, excerpt_seconds=10, n_excerpts=3)
...     excerpts = list(stream)

This module does not import NumPy, so that a command can start the processes first and import NumPy in the meantime.
"""

from __future__ import annotations

import math
import os
import signal
import sys
import weakref
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Condition, Event
from typing import TYPE_CHECKING, Any

from genre_runtime.audio.source import AudioSource
from genre_runtime.decoders.handle import DecoderExited, DecoderHandle, WaitLimits
from genre_runtime.decoders.protocol import (
    MEMORY_STATUS,
    PIECE_BYTES,
    Header,
    ProtocolError,
    SharedSource,
    error_from,
    fields_of,
    memory_error,
    record_from,
    share_source,
)
from genre_runtime.errors import (
    DecoderUnavailableError,
    InvalidInputError,
    UnexpectedFailureError,
    UnreadableAudioError,
)

if TYPE_CHECKING:
    from genre_runtime.audio.excerpts import Excerpt, ExcerptStream, TrackLength
    from genre_runtime.audio.source import DecodeLimits


MAX_MEMORY_BYTES = 400 * 2**20
TIMEOUT_SECONDS = 30.0
CPU_SECONDS = 8.0
"""Most processor time per decoded block, on systems that can measure it."""

MAX_PROCESSES = 1024

_frozen_command: tuple[str, ...] = ()


class DecoderPool:
    """A pool of processes that decode files. Thread-safe: each thread uses one process at a time.

    Processes are started when needed, decode many files, and are replaced after a crash, a hang or a file that needed
    too much memory.

    Parameters
    ----------
    n_processes : int
        Most processes at once, 1 to `MAX_PROCESSES`. Further threads wait.
    max_memory_bytes : int
        Most memory for decoding per process, in addition to the 40 MB of the process itself.
    timeout_seconds : float
        Longest time to decode one block, or `CPU_SECONDS` of processor time on systems that can measure it.
    command : sequence of str, optional
        The program to start instead of `genre_runtime.decoders.process`, and its arguments.

    Attributes
    ----------
    failure : DecoderUnavailableError or None
        Why the last start of a process failed; None if it succeeded.

    Raises
    ------
    InvalidInputError
        A parameter is out of range.
    """

    def __init__(
        self,
        n_processes: int,
        *,
        max_memory_bytes: int = MAX_MEMORY_BYTES,
        timeout_seconds: float = TIMEOUT_SECONDS,
        command: Sequence[str] | None = None,
    ) -> None:
        if type(n_processes) is not int or not 1 <= n_processes <= MAX_PROCESSES:
            raise InvalidInputError(f"n_processes is {n_processes!r}: expected 1 to {MAX_PROCESSES}")
        if type(max_memory_bytes) is not int or max_memory_bytes < 1:
            raise InvalidInputError(f"max_memory_bytes is {max_memory_bytes!r}: expected a positive whole number")
        if not (isinstance(timeout_seconds, int | float) and 0 < timeout_seconds < math.inf):
            raise InvalidInputError(f"timeout_seconds is {timeout_seconds!r}: expected a positive number")
        self._n_processes, self._command = n_processes, command
        self._max_memory, self._timeout = max_memory_bytes, float(timeout_seconds)
        self._reset()

    def _reset(self) -> None:
        self._owner = os.getpid()
        self._condition = Condition()
        self._idle: list[DecoderHandle] = []
        self._busy: set[DecoderHandle] = set()
        self._closed = False
        self.failure: DecoderUnavailableError | None = None
        # Called by `close`, at exit, and when the pool is garbage-collected.
        self._finalizer = weakref.finalize(self, _shut_down, self._idle, self._busy, self._owner)

    def warm(self, n_processes: int | None = None) -> None:
        """Start processes without waiting until they are ready.

        Parameters
        ----------
        n_processes : int, optional
            Number of processes; by default all.

        Raises
        ------
        DecoderUnavailableError
        """
        self._reset_after_fork()
        wanted = min(n_processes or self._n_processes, self._n_processes)
        with self._condition:
            while not self._closed and len(self._idle) + len(self._busy) < wanted:
                self._idle.append(self._start())

    def check(self) -> None:
        """Wait until a process is ready; start one if none is idle.

        Raises
        ------
        DecoderUnavailableError
        """
        with self._borrowed(WaitLimits()):
            pass

    @property
    def n_processes(self) -> int:
        """Number of running processes."""
        with self._condition:
            return len(self._idle) + len(self._busy)

    def stream_excerpts(
        self,
        source: AudioSource,
        sample_rate: int,
        *,
        excerpt_seconds: float,
        n_excerpts: int | None,
        limits: DecodeLimits | None = None,
        stop: Event | None = None,
        deadline: float | None = None,
    ) -> ExcerptStream:
        """Decode excerpts of a file as `genre_runtime.audio.decoding.stream_excerpts` does, in one of the processes.

        Parameters
        ----------
        source : path, bytes or seekable binary file object
        sample_rate : int
            Rate of the waveforms, Hz.
        excerpt_seconds : float
        n_excerpts : int or None
        limits : DecodeLimits, optional
        stop : threading.Event, optional
            Stops decoding within a fraction of a second when set from another thread, even if C code hangs.
        deadline : float, optional
            Time of `time.monotonic` at which decoding is stopped.

        Returns
        -------
        ExcerptStream
            Iterating raises the errors of `decode_excerpts`, `AudioLimitError` with the limit `max_memory` or
            `deadline`, `UnreadableAudioError` if the decoder crashes or hangs, and `DecoderUnavailableError` if it
            cannot be started. Close the stream if it is not read to the end.
        """
        from genre_runtime.audio.excerpts import ExcerptStream, check_count
        from genre_runtime.audio.source import DecodeLimits

        check_count(n_excerpts)
        job = {
            "kind": "job",
            "sample_rate": int(sample_rate),
            "excerpt_seconds": float(excerpt_seconds),
            "n_excerpts": n_excerpts,
            "limits": fields_of(limits or DecodeLimits()),
        }
        return ExcerptStream(self._decode(source, job, WaitLimits(stop, deadline, self._timeout)))

    def close(self) -> None:
        """Kill all processes; a thread that uses one gets a CancelledError."""
        self._reset_after_fork()
        with self._condition:
            self._closed = True
            self._condition.notify_all()
        self._finalizer()

    def __enter__(self) -> DecoderPool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _decode(self, source: AudioSource, job: Header, wait: WaitLimits) -> Generator[Excerpt, None, TrackLength]:
        with share_source(source) as shared:
            if shared is None:  # decoded here, which raises the error for an invalid path
                from genre_runtime.audio.decoding import stream_excerpts

                plan = {"excerpt_seconds": job["excerpt_seconds"], "n_excerpts": job["n_excerpts"]}
                stream = stream_excerpts(source, job["sample_rate"], **plan)
                yield from stream
                return stream.length
            with self._borrowed(wait) as process:
                max_samples = math.ceil(1.01 * job["excerpt_seconds"] * job["sample_rate"]) + 4096
                process.start_job({**job, "source": shared.header}, max_samples)
                try:
                    return (yield from self._receive_excerpts(process, source, shared, job, wait))
                except ProtocolError as error:
                    raise UnexpectedFailureError(f"the decoder failed on this file: it sent {error}") from error
                except DecoderExited as error:
                    raise self._exit_error(error) from None

    def _receive_excerpts(
        self, process: DecoderHandle, source: AudioSource, shared: SharedSource, job: Header, wait: WaitLimits
    ) -> Generator[Excerpt, None, TrackLength]:
        from genre_runtime.audio.excerpts import Excerpt, TrackLength

        n_excerpts, max_excerpts = 0, job["n_excerpts"] or job["limits"]["max_seconds"] / job["excerpt_seconds"] + 2
        while True:
            header, waveform = process.receive(wait)
            kind = header.get("kind")
            if kind == "excerpt" and waveform is not None and n_excerpts < max_excerpts:
                n_excerpts += 1
                yield record_from(Excerpt, header.get("fields"), waveform=waveform)
            elif kind == "read" and shared.file is not None:
                process.send_piece(_read_piece(shared.file, header))
            elif kind == "end":
                return record_from(TrackLength, header.get("fields"))
            elif kind == "error":
                error = error_from(_without_path(shared.private_path, header), source)
                raise error from error.__cause__
            elif kind != "alive":
                raise ProtocolError(f"an unexpected message of kind {kind!r}")

    @contextmanager
    def _borrowed(self, wait: WaitLimits) -> Iterator[DecoderHandle]:
        process = self._borrow(wait)
        try:
            self._wait_until_ready(process, wait)
            yield process
        finally:
            healthy = process.finish_job()
            if not healthy:
                process.close()
            with self._condition:
                self._busy.discard(process)
                if healthy and not self._closed:
                    self._idle.append(process)
                self._condition.notify()
            if healthy and self._closed:
                process.close()

    def _borrow(self, wait: WaitLimits) -> DecoderHandle:
        self._reset_after_fork()
        with self._condition:
            while True:
                if self._closed:
                    raise DecoderUnavailableError("the decoder pool is closed: create another one")
                process = self._from_idle()
                if process is None and len(self._busy) < self._n_processes:
                    process = self._start()
                if process is not None:
                    self._busy.add(process)
                    return process
                self._condition.wait(wait.TICK_SECONDS)
                wait.check()

    def _from_idle(self) -> DecoderHandle | None:
        """Return an idle process that is still running, preferably one that is ready, or None."""
        self._idle.sort(key=lambda process: process.is_ready)
        while self._idle:
            process = self._idle.pop()
            if process.is_alive() or not process.is_ready:  # `wait_until_ready` raises why a process did not start
                return process
            process.close()
        return None

    def _wait_until_ready(self, process: DecoderHandle, wait: WaitLimits) -> None:
        try:
            process.wait_until_ready(wait)
        except DecoderUnavailableError as error:
            if self._closed:
                raise CancelledError from error
            self.failure = error
            raise
        self.failure = None

    def _start(self) -> DecoderHandle:
        settings = {
            "max_memory_bytes": self._max_memory,
            "cpu_seconds": min(CPU_SECONDS, self._timeout),
            "timeout_seconds": self._timeout,
        }
        try:
            return DecoderHandle(self._command or default_command(), settings)
        except DecoderUnavailableError as error:
            self.failure = error
            raise

    def _reset_after_fork(self) -> None:
        if os.getpid() != self._owner:  # after a fork, the pipes belong to the parent process
            self._finalizer.detach()
            self._reset()

    def _exit_error(self, exited: DecoderExited) -> Exception:
        """Return the error for a file whose decoder process exited."""
        if self._closed:
            return CancelledError("the decoder pool was closed")
        if exited.status == MEMORY_STATUS:
            return memory_error(self._max_memory)
        name = ""
        if exited.status < 0:
            with suppress(ValueError):
                name = signal.Signals(-exited.status).name
        if exited.hung or name == "SIGALRM":
            return UnexpectedFailureError(
                f"the decoder did not respond for {self._timeout:g} s: the file is damaged or malicious, or its disk "
                "does not respond"
            )
        if name == "SIGPROF":
            return UnreadableAudioError("the decoder does not finish: the file is damaged or malicious")
        if name == "SIGKILL":
            return UnexpectedFailureError("the system killed the decoder, as it does if memory is low: try again")
        if name or exited.status >= 0xC000_0000:  # a signal, or an exception of Windows
            cause = name or f"{exited.status:#x}"
            return UnreadableAudioError(f"the decoder crashed on this file ({cause}): it is damaged")
        return UnexpectedFailureError(f"the decoder exited at this file with status {exited.status}")


def set_frozen_command(command: Sequence[str]) -> None:
    """Tell how a frozen program is started as a decoder process. Without this it decodes in its own process.

    `sys.executable` of a frozen program is the program itself, which would start its usual work once more. A program
    that calls this function has an argument upon which it calls `genre_runtime.decoders.process.main` instead.

    Parameters
    ----------
    command : sequence of str
        The program and its arguments.
    """
    global _frozen_command
    _frozen_command = tuple(command)


def default_command() -> list[str]:
    """Return the program that decodes and its arguments, which include the module search path of this process.

    Raises
    ------
    DecoderUnavailableError
        This program is not a Python interpreter, nor a frozen one that called `set_frozen_command`.
    """
    if _frozen_command:
        return list(_frozen_command)
    if not sys.executable or getattr(sys, "frozen", False):
        raise DecoderUnavailableError("decoder processes need a Python interpreter, which this program does not know")
    program = "import sys; sys.path[:] = sys.argv[1:]; from genre_runtime.decoders.process import main; main()"
    # Without -P, a module in the current folder would shadow one of the standard library.
    places = [place if place else str(Path.cwd()) for place in sys.path]
    return [sys.executable, "-P", "-c", program, *places]


def can_start() -> bool:
    """Tell whether this program knows a Python interpreter to start decoders with."""
    with suppress(DecoderUnavailableError):
        return bool(default_command())
    return False


def _read_piece(file: Any, header: Header) -> bytes:
    """Return the bytes of a source that a process requests."""
    offset, n_bytes = header.get("offset"), header.get("n_bytes")
    if type(offset) is not int or type(n_bytes) is not int or offset < 0 or not 0 <= n_bytes <= PIECE_BYTES:
        raise ProtocolError("a request for an invalid range of a file")
    file.seek(offset)
    piece: bytes = file.read(n_bytes)
    return piece


def _without_path(path: str | None, header: Header) -> Header:
    """Replace a path that the caller does not know in an error message."""
    if path is None or not isinstance(header.get("message"), str):
        return header
    fields = header.get("fields")
    cleaned = {
        name: value.replace(path, "the file") if isinstance(value, str) else value
        for name, value in (fields if isinstance(fields, dict) else {}).items()
    }
    return {**header, "message": header["message"].replace(path, "the file"), "fields": cleaned}


def _shut_down(idle: list[DecoderHandle], busy: set[DecoderHandle], owner: int) -> None:
    if os.getpid() != owner:  # in a forked child process
        return
    for process in list(busy):  # the threads that use them close the pipes
        process.kill()
    for process in list(idle):
        process.close()
    idle.clear()
