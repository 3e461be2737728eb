"""A process that decodes files for `genre_runtime.decoders.pool`, one after the other, within bounds on its memory.

It is started with pipes as its streams and ends when its input does. What it imports is what decoding needs: no
onnxruntime, so it is ready in a fraction of a second.
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
from genre_runtime.errors import AudioLimitError

PULSE_SECONDS = 0.5
"""How often a process that decodes says that it is alive."""

WATCH_SECONDS = 0.05
MAX_FILES = 100_000
MAX_GROWTH_BYTES = 128 * 2**20
"""Beyond either a process asks to be replaced: libraries leak a little with every damaged file."""

Decode = Callable[..., ExcerptStream]


def main(decode: Decode = stream_excerpts) -> None:
    """Decode what the input asks for until it ends.

    Parameters
    ----------
    decode : callable
        Has the signature of `genre_runtime.audio.decoding.stream_excerpts`.
    """
    if hasattr(signal, "SIGINT"):  # Ctrl-C is for the process that started this one, which then ends it
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    import soundfile  # noqa: F401  # now, while nobody waits
    import soxr  # noqa: F401

    requests, answers = _own_streams()
    settings = read_header(requests)
    if settings is None:
        return
    DecoderProcess(requests, answers, settings, decode).work()


class DecoderProcess:
    """The process's side of the pipes.

    Parameters
    ----------
    requests, answers : io.FileIO
    settings : dict
        `max_memory_bytes` beyond what is used now, and `cpu_seconds` and `patience_seconds` between signs of life.
    decode : callable
    """

    def __init__(self, requests: io.FileIO, answers: io.FileIO, settings: Header, decode: Decode) -> None:
        self._requests, self._answers, self._decode = requests, answers, decode
        self._patience: float = settings["patience_seconds"]
        self._cpu_seconds: float = settings["cpu_seconds"]
        self._max_memory: int = settings["max_memory_bytes"]
        self._jobs: SimpleQueue[Header] = SimpleQueue()
        self._pieces: SimpleQueue[bytes] = SimpleQueue()
        self._working = threading.Event()
        self._last_sign = 0.0
        self.stopped_job = -1

    def work(self) -> None:
        """Do one job after the other; the process ends with its input, whatever it is doing then."""
        threading.Thread(target=self._listen, daemon=True).start()
        base = resident_bytes()
        threading.Thread(target=self._watch_memory, args=(base + self._max_memory,), daemon=True).start()
        _bound_memory(self._max_memory)
        self._send({"kind": "ready"})
        n_files = 0
        while True:
            job = self._jobs.get()
            self._working.set()
            last = self._do(job)
            n_files += 1
            worn = n_files >= MAX_FILES or resident_bytes() > base + min(MAX_GROWTH_BYTES, self._max_memory // 2)
            self._working.clear()
            self._send({**last, "worn": worn})

    def _do(self, job: Header) -> Header:
        """Send the excerpts of a file; returns the last message about it."""
        self._pulse()
        try:
            stream = self._decode(
                self._source(job["source"]),
                job["sample_rate"],
                excerpt_seconds=job["excerpt_seconds"],
                n_excerpts=job["n_excerpts"],
                limits=DecodeLimits(**job["limits"]),
                stop=_Stop(self, job["job"]),
            )
            for excerpt in stream:
                waveform = excerpt.waveform.astype("<f4", copy=False)
                header = {"kind": "excerpt", "n_samples": waveform.size, "fields": fields_of(excerpt, "waveform")}
                self._send(header, waveform if waveform.flags.c_contiguous else waveform.copy())
                self._pulse()
            return {"kind": "end", "fields": fields_of(stream.length)}
        except Exception as error:  # each is the file's, and the next file may be better
            return error_header(self._too_much() if _out_of_memory(error) else error)
        finally:
            _set_alarms(0, 0)

    def _too_much(self) -> AudioLimitError:
        error = memory_error(self._max_memory)
        error.__cause__ = MemoryError()
        return error

    def _source(self, source: Header) -> Any:
        if "path" in source:
            return Path(os.fsdecode(base64.b64decode(source["path"])))
        return io.BufferedReader(_DistantFile(self, source["size"]), PIECE_BYTES)

    def read_piece(self, offset: int, n_bytes: int) -> bytes:
        """Return bytes of the file that the other side holds."""
        self._send({"kind": "read", "offset": offset, "n_bytes": n_bytes})
        piece = self._pieces.get()
        self._pulse()
        return piece

    def sign_of_life(self) -> None:
        """Tell the other side now and then that decoding goes on."""
        if time.monotonic() - self._last_sign > PULSE_SECONDS:
            self._send({"kind": "alive"})
            self._pulse()

    def _pulse(self) -> None:
        self._last_sign = time.monotonic()
        _set_alarms(self._cpu_seconds, 2 * self._patience)

    def _send(self, header: Header, content: Any = b"") -> None:
        _set_alarms(0, 0)  # the other side may take its time
        try:
            write_message(self._answers, header, content)
        except OSError:
            os._exit(0)

    def _listen(self) -> None:
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

    def _watch_memory(self, most: int) -> None:
        while self._working.wait():
            if resident_bytes() > most:
                os._exit(MEMORY_STATUS)
            time.sleep(WATCH_SECONDS)


class _Stop(threading.Event):
    """Is asked before every block whether to stop, and so knows that decoding goes on."""

    def __init__(self, process: DecoderProcess, job: int) -> None:
        super().__init__()
        self._process, self._job = process, job

    def is_set(self) -> bool:
        self._process.sign_of_life()
        return self._process.stopped_job >= self._job


class _DistantFile(io.RawIOBase):
    """A file that the other side holds."""

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
            raise OSError(errno.EINVAL, "a place before the beginning")
        self._position = position
        return position

    def tell(self) -> int:
        return self._position


def resident_bytes() -> int:
    """Return the memory that is this process's own, bytes; on macOS the most that it ever was, 0 where unknown."""
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
            *(
                (name, ctypes.c_size_t)
                for name in (
                    "PeakWorkingSetSize",
                    "WorkingSetSize",
                    "QuotaPeakPagedPoolUsage",
                    "QuotaPagedPoolUsage",
                    "QuotaPeakNonPagedPoolUsage",
                    "QuotaNonPagedPoolUsage",
                    "PagefileUsage",
                    "PeakPagefileUsage",
                )
            ),
        )

    counters = Counters()
    counters.cb = ctypes.sizeof(counters)
    kernel = ctypes.WinDLL("kernel32")  # type: ignore[attr-defined,unused-ignore]
    kernel.GetCurrentProcess.restype = ctypes.c_void_p
    process = ctypes.c_void_p(kernel.GetCurrentProcess())
    if not kernel.K32GetProcessMemoryInfo(process, ctypes.byref(counters), counters.cb):
        return 0
    return int(counters.PagefileUsage)


def _bound_memory(n_bytes: int) -> None:
    """Let allocations fail beyond `n_bytes` more than now, where the system can."""
    if sys.platform == "win32":
        return
    import resource

    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a crash is expected here, and of no interest
    if sys.platform == "linux":
        with suppress(OSError, ValueError, StopIteration):
            with open("/proc/self/status", "rb") as file:
                used = next(int(line.split()[1]) * 1024 for line in file if line.startswith(b"VmData"))
            _, hard = resource.getrlimit(resource.RLIMIT_DATA)
            most = used + n_bytes
            resource.setrlimit(resource.RLIMIT_DATA, (most if hard < 0 else min(most, hard), hard))


def _out_of_memory(error: BaseException | None) -> bool:
    """Tell whether an error comes from an allocation that failed: every library has its own words for that."""
    while error is not None:
        words = str(error).lower()
        if isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM or "malloc" in words:
            return True
        error = error.__cause__ or error.__context__
    return False


def _set_alarms(cpu_seconds: float, seconds: float) -> None:
    """Have the system end the process after so much work, or time, without another call: 0 takes the alarms back.

    The first is how a hang is told from a disk or a machine that is slow. The second is for the case that the other
    side is gone while C hangs, and with it every thread of Python.
    """
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_PROF, cpu_seconds)
        signal.setitimer(signal.ITIMER_REAL, seconds)


def _own_streams() -> tuple[io.FileIO, io.FileIO]:
    """Keep the pipes, and give the libraries and the programs that they start others, which lead nowhere."""
    requests, answers = os.dup(0), os.dup(1)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    os.close(nowhere)
    return io.FileIO(requests, "rb"), io.FileIO(answers, "wb")
