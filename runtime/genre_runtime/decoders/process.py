"""The process that decodes files for `genre_runtime.decoders.pool`, one after the other, within a memory limit.

It communicates over stdin and stdout and exits when its input ends. It imports only what decoding needs, without
onnxruntime, and is therefore ready in a fraction of a second.
"""

from __future__ import annotations

import base64
import errno
import io
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from genre_runtime.audio.decoding import stream_excerpts
from genre_runtime.audio.excerpts import ExcerptStream
from genre_runtime.audio.source import DecodeLimits
from genre_runtime.decoders.protocol import (
    MEMORY_STATUS,
    PIECE_BYTES,
    Header,
    ProtocolError,
    error_header,
    fields_of,
    memory_error,
    read_header,
    read_into,
    write_message,
)

ALIVE_SECONDS = 0.5
"""Interval between messages that decoding continues."""

WATCH_SECONDS = 0.05
MAX_FILES = 100_000
MAX_GROWTH_BYTES = 128 * 2**20
"""A process is replaced after this many files or this growth, because libraries leak memory at damaged files."""

Decode = Callable[..., ExcerptStream]


def main(decode: Decode = stream_excerpts) -> None:
    """Decode the files that are requested on stdin until it ends.

    Parameters
    ----------
    decode : callable
        Has the signature of `genre_runtime.audio.decoding.stream_excerpts`.
    """
    if hasattr(signal, "SIGINT"):  # the parent process handles Ctrl-C
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    import soundfile  # noqa: F401  # before the first file, to save time later
    import soxr  # noqa: F401

    requests, answers = _detach_streams()
    settings = read_header(requests)
    if settings is None:
        return
    DecoderProcess(requests, answers, settings, decode).run()


class DecoderProcess:
    """Receives jobs, decodes files and sends the excerpts.

    Parameters
    ----------
    requests, answers : io.FileIO
        Pipes from and to the pool.
    settings : dict
        `max_memory_bytes` in addition to the current use; `cpu_seconds` and `timeout_seconds` per decoded block.
    decode : callable
        As of `main`.
    """

    def __init__(self, requests: io.FileIO, answers: io.FileIO, settings: Header, decode: Decode) -> None:
        self._requests, self._answers, self._decode = requests, answers, decode
        self._timeout: float = settings["timeout_seconds"]
        self._cpu_seconds: float = settings["cpu_seconds"]
        self._max_memory: int = settings["max_memory_bytes"]
        self._jobs: SimpleQueue[Header] = SimpleQueue()
        self._pieces: SimpleQueue[bytes] = SimpleQueue()
        self._is_decoding = threading.Event()
        self._last_sign = 0.0
        self.stopped_job = -1

    def run(self) -> None:
        """Process jobs; the process exits when its input ends."""
        threading.Thread(target=self._receive_requests, daemon=True).start()
        base = resident_bytes()
        threading.Thread(target=self._watch_memory, args=(base + self._max_memory,), daemon=True).start()
        _limit_memory(self._max_memory)
        self._send({"kind": "ready"})
        n_files = 0
        while True:
            job = self._jobs.get()
            self._is_decoding.set()
            last = self._decode_file(job)
            n_files += 1
            is_worn = n_files >= MAX_FILES or resident_bytes() > base + min(MAX_GROWTH_BYTES, self._max_memory // 2)
            self._is_decoding.clear()
            self._send({**last, "needs_replacement": is_worn})

    def _decode_file(self, job: Header) -> Header:
        """Send the excerpts of a file and return its last message."""
        self._reset_alarms()
        try:
            stream = self._decode(
                self._source(job["source"]),
                job["sample_rate"],
                excerpt_seconds=job["excerpt_seconds"],
                n_excerpts=job["n_excerpts"],
                limits=DecodeLimits(**job["limits"]),
                stop=_StopEvent(self, job["job"]),
            )
            for excerpt in stream:
                waveform = excerpt.waveform.astype("<f4", copy=False)
                header = {"kind": "excerpt", "n_samples": waveform.size, "fields": fields_of(excerpt, "waveform")}
                self._send(header, waveform if waveform.flags.c_contiguous else waveform.copy())
                self._reset_alarms()
            return {"kind": "end", "fields": fields_of(stream.length)}
        except Exception as error:  # the next file may be readable
            if _is_memory_error(error):
                return {**error_header(memory_error(self._max_memory)), "cause": "MemoryError"}
            return error_header(error)
        finally:
            _set_alarms(0, 0)

    def _source(self, source: Header) -> Any:
        if "path" in source:
            return Path(os.fsdecode(base64.b64decode(source["path"])))
        return io.BufferedReader(_RemoteFile(self, source["size"]), PIECE_BYTES)

    def read_piece(self, offset: int, n_bytes: int) -> bytes:
        """Request bytes of the caller's file.

        Parameters
        ----------
        offset, n_bytes : int
        """
        self._send({"kind": "read", "offset": offset, "n_bytes": n_bytes})
        piece = self._pieces.get()
        self._reset_alarms()
        return piece

    def report_alive(self) -> None:
        """Send a message that decoding continues, at most every `ALIVE_SECONDS`."""
        if time.monotonic() - self._last_sign > ALIVE_SECONDS:
            self._send({"kind": "alive"})
            self._reset_alarms()

    def _reset_alarms(self) -> None:
        self._last_sign = time.monotonic()
        _set_alarms(self._cpu_seconds, 2 * self._timeout)

    def _send(self, header: Header, content: Any = b"") -> None:
        _set_alarms(0, 0)  # the caller may read slowly
        try:
            write_message(self._answers, header, content)
        except OSError:
            os._exit(0)

    def _receive_requests(self) -> None:
        with suppress(OSError, ProtocolError, KeyError):
            while header := read_header(self._requests):
                if header["kind"] == "job":
                    self._jobs.put(header)
                elif header["kind"] == "stop":
                    self.stopped_job = header["job"]
                elif header["kind"] == "piece":
                    piece = bytearray(header["n_bytes"])
                    if not read_into(self._requests, piece):
                        break
                    self._pieces.put(bytes(piece))
        os._exit(0)

    def _watch_memory(self, limit: int) -> None:
        while self._is_decoding.wait():
            if resident_bytes() > limit:
                os._exit(MEMORY_STATUS)
            time.sleep(WATCH_SECONDS)


class _StopEvent(threading.Event):
    """The `stop` event of a job. It is checked before each block and then reports that decoding continues."""

    def __init__(self, process: DecoderProcess, job: int) -> None:
        super().__init__()
        self._process, self._job = process, job

    def is_set(self) -> bool:
        self._process.report_alive()
        return self._process.stopped_job >= self._job


class _RemoteFile(io.RawIOBase):
    """A file that the caller has open."""

    def __init__(self, process: DecoderProcess, size: int) -> None:
        self._process, self._size, self._position = process, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        n_bytes = min(len(buffer), PIECE_BYTES, max(0, self._size - self._position))
        if not n_bytes:
            return 0
        piece = self._process.read_piece(self._position, n_bytes)
        buffer[: len(piece)] = piece
        self._position += len(piece)
        return len(piece)

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        position = offset + (0, self._position, self._size)[whence]
        if position < 0:
            raise OSError(errno.EINVAL, "negative position")
        self._position = position
        return position


def resident_bytes() -> int:
    """Return the private memory of this process in bytes; on macOS its maximum so far, 0 if unknown."""
    try:
        if sys.platform == "linux":
            with open("/proc/self/statm", "rb") as file:
                _, resident, shared = file.read().split()[:3]
            return (int(resident) - int(shared)) * os.sysconf("SC_PAGE_SIZE")
        if sys.platform == "win32":
            return _working_set()
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    except (OSError, ValueError, ImportError):
        return 0


def _working_set() -> int:
    import ctypes

    class Counters(ctypes.Structure):
        _fields_ = (
            ("cb", ctypes.c_uint32),
            ("PageFaultCount", ctypes.c_uint32),
            ("sizes", ctypes.c_size_t * 8),  # the seventh is PagefileUsage
        )

    counters = Counters()
    counters.cb = ctypes.sizeof(counters)
    kernel = ctypes.WinDLL("kernel32")  # type: ignore[attr-defined,unused-ignore]
    kernel.GetCurrentProcess.restype = ctypes.c_void_p
    process = ctypes.c_void_p(kernel.GetCurrentProcess())
    if not kernel.K32GetProcessMemoryInfo(process, ctypes.byref(counters), counters.cb):
        return 0
    return int(counters.sizes[6])


def _limit_memory(n_bytes: int) -> None:
    """Make allocations fail that exceed the current memory by `n_bytes`, if the system supports that."""
    if sys.platform == "win32":
        return
    import resource

    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a crash is expected here
    if sys.platform == "linux":
        with suppress(OSError, ValueError, StopIteration):
            with open("/proc/self/status", "rb") as file:
                used = next(int(line.split()[1]) * 1024 for line in file if line.startswith(b"VmData"))
            _, hard = resource.getrlimit(resource.RLIMIT_DATA)
            most = used + n_bytes
            resource.setrlimit(resource.RLIMIT_DATA, (most if hard < 0 else min(most, hard), hard))


def _is_memory_error(error: BaseException | None) -> bool:
    """Tell whether an error comes from a failed allocation; libraries use different errors for that."""
    while error is not None:
        words = str(error).lower()
        if isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM or "malloc" in words:
            return True
        error = error.__cause__ or error.__context__
    return False


def _set_alarms(cpu_seconds: float, seconds: float) -> None:
    """Have the system kill the process after some processor time or some time; 0 cancels that.

    Processor time distinguishes a hang from a slow disk or machine. The time limit applies if the parent process has
    exited while C code hangs and blocks all Python threads.
    """
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_PROF, cpu_seconds)
        signal.setitimer(signal.ITIMER_REAL, seconds)


def _detach_streams() -> tuple[io.FileIO, io.FileIO]:
    """Return the pipes at stdin and stdout, which are replaced by the null device for libraries and child processes."""
    requests, answers = os.dup(0), os.dup(1)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    os.close(nowhere)
    return io.FileIO(requests, "rb"), io.FileIO(answers, "wb")
