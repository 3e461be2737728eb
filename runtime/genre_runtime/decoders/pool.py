"""Decoding in processes of their own, which a file may hang, crash or fill with memory without harm to this one.

>>> from genre_runtime.decoders.pool import DecoderPool
>>> with DecoderPool(2) as decoders:
...     stream = decoders.stream_excerpts("song.mp3", 22_050, excerpt_seconds=10, n_excerpts=3)
...     excerpts = list(stream)

The module imports no NumPy: a command starts its processes first, and imports what it needs itself meanwhile.
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
from types import TracebackType
from typing import TYPE_CHECKING, Any

from genre_runtime.audio.source import AudioSource
from genre_runtime.decoders.handle import Attention, DecoderHandle, Died
from genre_runtime.decoders.protocol import (
    MEMORY_STATUS,
    PIECE_BYTES,
    Handed,
    Header,
    ProtocolError,
    error_from,
    fields_of,
    handed_over,
    memory_error,
    record_from,
    unintelligible,
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
PATIENCE_SECONDS = 30.0
CPU_SECONDS = 8.0
"""Most processor time between two signs of life, where the system measures it: a decoder gives one every block."""

MAX_PROCESSES = 1024


class DecoderPool:
    """Processes that decode files. Safe to use from several threads, each of which borrows one process for a file.

    Processes start when they are needed, serve many files, and are replaced after a crash, a hang or a file that took
    too much memory.

    Parameters
    ----------
    n_processes : int
        Most processes at once, 1 to `MAX_PROCESSES`. A thread that needs one more waits.
    max_memory_bytes : int
        Most memory that decoding may take in a process, beyond the 40 MB of the process itself.
    patience_seconds : float
        Longest time without a sign of life from a decoder; where the system measures it, `CPU_SECONDS` of work suffice
        to call it hung.
    command : sequence of str, optional
        The program to start instead of `genre_runtime.decoders.process`, and its arguments.

    Attributes
    ----------
    failure : DecoderUnavailableError or None
        Why the last process that was needed could not be started; None since one could.

    Raises
    ------
    InvalidInputError
        A number out of its range.
    """

    def __init__(
        self,
        n_processes: int,
        *,
        max_memory_bytes: int = MAX_MEMORY_BYTES,
        patience_seconds: float = PATIENCE_SECONDS,
        command: Sequence[str] | None = None,
    ) -> None:
        if type(n_processes) is not int or not 1 <= n_processes <= MAX_PROCESSES:
            raise InvalidInputError(f"n_processes is {n_processes!r}: expected 1 to {MAX_PROCESSES}")
        if type(max_memory_bytes) is not int or max_memory_bytes < 1:
            raise InvalidInputError(f"max_memory_bytes is {max_memory_bytes!r}: expected a positive whole number")
        if not (isinstance(patience_seconds, int | float) and 0 < patience_seconds < math.inf):
            raise InvalidInputError(f"patience_seconds is {patience_seconds!r}: expected a positive number")
        self._n_processes, self._command = n_processes, command
        self._max_memory, self._patience = max_memory_bytes, float(patience_seconds)
        self._begin()

    def _begin(self) -> None:
        self._owner = os.getpid()
        self._condition = Condition()
        self._idle: list[DecoderHandle] = []
        self._busy: set[DecoderHandle] = set()
        self._closed = False
        self.failure: DecoderUnavailableError | None = None
        # Also at the interpreter's end, and when the pool is forgotten.
        self._finalizer = weakref.finalize(self, _end, self._idle, self._busy, self._owner)

    def warm(self, n_processes: int | None = None) -> None:
        """Start processes, by default all, without waiting until they are ready.

        Raises
        ------
        DecoderUnavailableError
        """
        self._mind_fork()
        with self._condition:
            while not self._closed and len(self._idle) + len(self._busy) < min(
                n_processes or self._n_processes, self._n_processes
            ):
                self._idle.append(self._start())

    def check(self) -> None:
        """Start a process, if none is idle, and wait until it is ready.

        Raises
        ------
        DecoderUnavailableError
        """
        attention = Attention()
        with self._borrowed(attention):
            pass

    @property
    def n_processes(self) -> int:
        """Processes that run now."""
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
            Set from another thread, it ends the work within a fraction of a second, even where C hangs.
        deadline : float, optional
            Time of `time.monotonic` at which the work ends.

        Returns
        -------
        ExcerptStream
            Iterating raises what `decode_excerpts` raises: the same errors, and besides them `AudioLimitError` with
            the limit `max_memory` or `deadline`, `UnreadableAudioError` where the decoder crashes or hangs, and
            `DecoderUnavailableError` where it cannot be started. It has to be closed if it is not read to its end.
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
        return ExcerptStream(self._decode(source, job, Attention(stop, deadline, self._patience)))

    def close(self) -> None:
        """End the processes, also those in use: who uses them gets a CancelledError."""
        self._mind_fork()
        with self._condition:
            self._closed = True
            self._condition.notify_all()
        self._finalizer()

    def __enter__(self) -> DecoderPool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _decode(self, source: AudioSource, job: Header, attention: Attention) -> Generator[Excerpt, None, TrackLength]:
        with handed_over(source) as handed:
            if handed is None:  # this process finds the words for what cannot be a file
                from genre_runtime.audio.decoding import stream_excerpts

                plan = {"excerpt_seconds": job["excerpt_seconds"], "n_excerpts": job["n_excerpts"]}
                stream = stream_excerpts(source, job["sample_rate"], **plan)
                yield from stream
                return stream.length
            with self._borrowed(attention) as process:
                process.begin({**job, "source": handed.header}, _most_samples(job))
                try:
                    return (yield from self._answers(process, source, handed, job, attention))
                except ProtocolError as error:
                    raise unintelligible(error) from error
                except Died as error:
                    raise self._reason(error) from None

    def _answers(
        self, process: DecoderHandle, source: AudioSource, handed: Handed, job: Header, attention: Attention
    ) -> Generator[Excerpt, None, TrackLength]:
        from genre_runtime.audio.excerpts import Excerpt, TrackLength

        most, n_excerpts = _most_excerpts(job), 0
        while True:
            header, waveform = process.receive(attention)
            kind = header.get("kind")
            if kind == "excerpt" and waveform is not None and n_excerpts < most:
                n_excerpts += 1
                yield record_from(Excerpt, header.get("fields"), waveform=waveform)
            elif kind == "read" and handed.file is not None:
                process.send_piece(_piece(handed.file, header))
            elif kind == "end":
                return record_from(TrackLength, header.get("fields"))
            elif kind == "error":
                error = error_from(_without(handed.inner, header), source)
                raise error from error.__cause__
            elif kind != "alive":
                raise ProtocolError(f"a message of the kind {kind!r} that was not expected")

    @contextmanager
    def _borrowed(self, attention: Attention) -> Iterator[DecoderHandle]:
        process = self._borrow(attention)
        try:
            self._wait_until_ready(process, attention)
            yield process
        finally:
            healthy = process.ends_job()
            if not healthy:
                process.kill()
            with self._condition:
                self._busy.discard(process)
                if healthy and not self._closed:
                    self._idle.append(process)
                self._condition.notify()
            if healthy and self._closed:
                process.kill()

    def _borrow(self, attention: Attention) -> DecoderHandle:
        self._mind_fork()
        with self._condition:
            while True:
                if self._closed:
                    raise DecoderUnavailableError("the pool of decoders is closed: make another")
                process = self._from_idle()
                if process is None and len(self._busy) < self._n_processes:
                    process = self._start()
                if process is not None:
                    self._busy.add(process)
                    return process
                self._condition.wait(attention.TICK_SECONDS)
                attention.check()

    def _from_idle(self) -> DecoderHandle | None:
        """Take a process that has not ended meanwhile, one that is ready before one that starts."""
        self._idle.sort(key=lambda process: process.is_ready)
        while self._idle:
            process = self._idle.pop()
            if process.lives() or not process.is_ready:  # one that did not start says why to who waits for it
                return process
            process.kill()
        return None

    def _wait_until_ready(self, process: DecoderHandle, attention: Attention) -> None:
        try:
            process.wait_until_ready(attention)
        except DecoderUnavailableError as error:
            if self._closed:
                raise CancelledError from error
            self.failure = error
            raise
        self.failure = None

    def _start(self) -> DecoderHandle:
        settings = {
            "max_memory_bytes": self._max_memory,
            "cpu_seconds": min(CPU_SECONDS, self._patience),
            "patience_seconds": self._patience,
        }
        try:
            return DecoderHandle(self._command or default_command(), settings)
        except DecoderUnavailableError as error:
            self.failure = error
            raise

    def _mind_fork(self) -> None:
        if os.getpid() != self._owner:  # after a fork the pipes belong to the process that made them
            self._finalizer.detach()
            self._begin()

    def _reason(self, death: Died) -> Exception:
        """Return the error of a file whose decoder ended."""
        if self._closed:
            return CancelledError("the pool of decoders was closed")
        if death.status == MEMORY_STATUS:
            return memory_error(self._max_memory)
        if death.hung or _is_signal(death, "SIGALRM"):
            return UnexpectedFailureError(
                f"the decoder gave no sign of life for {self._patience:g} s: the file is damaged or made to do that, "
                "or its disk does not answer"
            )
        if _is_signal(death, "SIGPROF"):
            return UnreadableAudioError("the decoder computes without end: the file is damaged or made to do that")
        if _is_signal(death, "SIGKILL"):
            return UnexpectedFailureError("the system ended the decoder, as it does when memory is short: try again")
        if death.status < 0:
            with suppress(ValueError):
                name = signal.Signals(-death.status).name
                return UnreadableAudioError(f"the decoder crashed on this file ({name}): it is damaged")
        if death.status >= 0xC000_0000:  # Windows' own
            return UnreadableAudioError(f"the decoder crashed on this file ({death.status:#x}): it is damaged")
        return UnexpectedFailureError(f"the decoder ended at this file with status {death.status}")


def _is_signal(death: Died, name: str) -> bool:
    return hasattr(signal, name) and death.status == -getattr(signal, name)


def default_command() -> list[str]:
    """Return the program that decodes, with the places where this process finds its packages.

    Raises
    ------
    DecoderUnavailableError
        The program that runs is not a Python interpreter, so none can be started by its name.
    """
    if not sys.executable or getattr(sys, "frozen", False):
        raise DecoderUnavailableError("decoders run in processes of Python, whose interpreter is not known here")
    program = "import sys; sys.path[:] = sys.argv[1:]; from genre_runtime.decoders.process import main; main()"
    # Without -P a module of the folder that the process stands in would be taken for one of Python's own.
    places = [place if place else str(Path.cwd()) for place in sys.path]
    return [sys.executable, "-P", "-c", program, *places]


def can_start() -> bool:
    """Tell whether this program knows an interpreter for its decoders."""
    with suppress(DecoderUnavailableError):
        return bool(default_command())
    return False


def _most_samples(job: Header) -> int:
    n_samples: float = job["excerpt_seconds"] * job["sample_rate"]
    return math.ceil(1.01 * n_samples) + 4096


def _most_excerpts(job: Header) -> float:
    bound: float = job["n_excerpts"] or job["limits"]["max_seconds"] / job["excerpt_seconds"] + 2
    return bound


def _piece(file: Any, header: Header) -> bytes:
    """Return the bytes of a source that a process asks for."""
    offset, n_bytes = header.get("offset"), header.get("n_bytes")
    if type(offset) is not int or type(n_bytes) is not int or offset < 0 or not 0 <= n_bytes <= PIECE_BYTES:
        raise ProtocolError("a request for bytes at no place of a file")
    file.seek(offset)
    piece: bytes = file.read(n_bytes)
    return piece


def _without(inner: str | None, header: Header) -> Header:
    """Take a path out of an error's words that the caller does not know."""
    if inner is None or not isinstance(header.get("message"), str):
        return header
    fields = header.get("fields")
    cleaned = {
        name: value.replace(inner, "the file") if isinstance(value, str) else value
        for name, value in (fields if isinstance(fields, dict) else {}).items()
    }
    return {**header, "message": header["message"].replace(inner, "the file"), "fields": cleaned}


def _end(idle: list[DecoderHandle], busy: set[DecoderHandle], owner: int) -> None:
    if os.getpid() != owner:  # a fork of that process
        return
    for process in list(busy):  # the pipes are closed by the threads that use them
        process.end()
    for process in list(idle):
        process.kill()
    idle.clear()
