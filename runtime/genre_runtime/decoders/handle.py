"""One process of a pool of decoders, as the process that uses it sees it."""

from __future__ import annotations

import os
import queue
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import CancelledError
from contextlib import suppress
from dataclasses import dataclass
from io import FileIO
from threading import Event, Thread
from typing import TYPE_CHECKING, Any, ClassVar, cast

from genre_runtime.decoders.protocol import Header, ProtocolError, read_header, read_into, write_message
from genre_runtime.errors import AudioLimitError, DecoderUnavailableError

if TYPE_CHECKING:
    from genre_runtime.audio.excerpts import FloatArray


Message = tuple[Header, "FloatArray | None"]

START_SECONDS = 120.0
"""How long a process may take to import what it needs: a cold disk and a virus scanner are slow."""

GRACE_SECONDS = 0.25
"""How long a process that is told to stop may take to say so before it is killed."""

PIPE_BYTES = 2**20
LAST_WORDS = 300

# One thread each: NumPy's libraries otherwise start one a core, which takes time and memory and is of no use here.
_ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


class Died(Exception):  # noqa: N818
    """A process ended, or was killed since it hung.

    Attributes
    ----------
    status : int
        As `subprocess.Popen.returncode`.
    hung : bool
    """

    def __init__(self, status: int, hung: bool = False) -> None:
        super().__init__(status)
        self.status, self.hung = status, hung


@dataclass(frozen=True)
class Attention:
    """What the one who waits for a process has an eye on.

    Attributes
    ----------
    stop : threading.Event or None
    deadline : float or None
        Of `time.monotonic`.
    patience_seconds : float
        Longest time without a message.
    """

    stop: Event | None = None
    deadline: float | None = None
    patience_seconds: float = START_SECONDS

    TICK_SECONDS: ClassVar[float] = 0.05

    def check(self) -> None:
        """Look whether to go on waiting.

        Raises
        ------
        CancelledError, AudioLimitError
        """
        if self.stop is not None and self.stop.is_set():
            raise CancelledError
        if self.deadline is not None and time.monotonic() >= self.deadline:
            raise AudioLimitError("decoding took longer than the time that was given: send less", "deadline")


class _PolledStream:
    """The end of a pipe that is read when there is something, without a thread of its own."""

    def __init__(self, stream: FileIO) -> None:
        self._stream = stream
        os.set_blocking(stream.fileno(), False)
        self._poll = select.poll()
        self._poll.register(stream.fileno(), select.POLLIN)

    def readinto_within(self, buffer: Any, seconds: float) -> int | None:
        """Read into a buffer; None where nothing comes within that time, 0 at the end."""
        n_read: int | None = self._stream.readinto(buffer)
        if n_read is None and self._poll.poll(seconds * 1000):
            n_read = self._stream.readinto(buffer)
        return n_read

    def close(self) -> None:
        self._stream.close()


class _ThreadedStream:
    """The end of a pipe that a thread reads, for systems where no other way has an end in time (Windows)."""

    def __init__(self, stream: FileIO) -> None:
        self._pieces: queue.Queue[bytes] = queue.Queue(2)
        self._piece, self._closed = memoryview(b""), Event()
        Thread(target=self._fill, args=(stream,), name="genre-decoder", daemon=True).start()

    def readinto_within(self, buffer: Any, seconds: float) -> int | None:
        """Read into a buffer; None where nothing comes within that time, 0 at the end."""
        if not self._piece.nbytes:
            try:
                self._piece = memoryview(self._pieces.get(timeout=seconds))
            except queue.Empty:
                return None
        piece = self._piece[: len(buffer)]
        buffer[: piece.nbytes] = piece
        self._piece = self._piece[piece.nbytes :]
        return piece.nbytes

    def close(self) -> None:
        self._closed.set()  # the thread closes the pipe, when the process has ended

    def _fill(self, stream: FileIO) -> None:
        piece: bytes | None = b"begins"
        with stream:
            while piece and not self._closed.is_set():
                try:
                    piece = stream.read(PIPE_BYTES)
                except OSError:
                    piece = b""
                while not self._closed.is_set():
                    with suppress(queue.Full):
                        self._pieces.put(piece or b"", timeout=1)
                        break


class DecoderHandle:
    """A running process. One thread uses it at a time; any thread may kill it.

    Parameters
    ----------
    command : sequence of str
    settings : mapping
        Is sent to the process first.

    Raises
    ------
    DecoderUnavailableError
    """

    def __init__(self, command: Sequence[str], settings: Mapping[str, Any]) -> None:
        # Apart from the terminal's group, whose Ctrl-C is not meant for it, and killed with all that it started.
        apart: dict[str, Any] = {"start_new_session": True}
        if sys.platform == "win32":
            apart = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}
        pipes: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        try:
            self._process = subprocess.Popen(command, bufsize=0, env={**os.environ, **_ENVIRONMENT}, **pipes, **apart)
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            raise DecoderUnavailableError(f"a process for decoding cannot be started: {error}") from error
        self._requests, self._errors = cast(FileIO, self._process.stdin), cast(FileIO, self._process.stderr)
        answers = cast(FileIO, self._process.stdout)
        _widen(answers)
        self._answers = (_PolledStream if hasattr(select, "poll") else _ThreadedStream)(answers)
        self._attention, self._waited = Attention(), 0.0
        self._ended = Event()
        self._job, self._max_samples = -1, 0
        self._greeted = self._working = self._worn = False
        self._between = True  # two messages: within one, what comes next is not the beginning of another
        self._send({"kind": "settings", **settings})

    @property
    def pid(self) -> int:
        """Number of the process."""
        return self._process.pid

    @property
    def is_ready(self) -> bool:
        """Whether it has said that it is ready."""
        return self._greeted

    def lives(self) -> bool:
        """Tell whether the process runs."""
        return self._process.poll() is None

    def wait_until_ready(self, attention: Attention) -> None:
        """Wait until the process has imported what it needs.

        Raises
        ------
        DecoderUnavailableError, CancelledError, AudioLimitError
        """
        if self._greeted:
            return
        try:
            self.receive(Attention(attention.stop, attention.deadline, START_SECONDS))
        except (Died, ProtocolError) as error:
            self.end()
            raise DecoderUnavailableError(f"a process for decoding does not start: {self._last_words()}") from error
        self._greeted = True
        self._errors.close()

    def begin(self, job: Header, max_samples: int) -> None:
        """Send a job, whose excerpts have at most `max_samples`."""
        self._job += 1
        self._max_samples, self._working = max_samples, True
        self._send({**job, "job": self._job})

    def receive(self, attention: Attention) -> Message:
        """Return the next message.

        Raises
        ------
        Died, ProtocolError, CancelledError, AudioLimitError
        """
        self._attention, self._waited = attention, 0.0
        attention.check()
        header = read_header(self)
        if header is None:
            raise Died(self._status())
        waveform = self._waveform(header) if header.get("kind") == "excerpt" else None
        self._between = True
        if header.get("kind") in ("end", "error"):
            self._working, self._worn = False, bool(header.get("worn"))
            self._worn |= "max_memory" in str(header.get("fields"))
        return header, waveform

    def readinto(self, buffer: Any) -> int:
        """Read what comes next, with an eye on what the one who waits wants.

        Raises
        ------
        Died, CancelledError, AudioLimitError
        """
        while True:
            before = time.monotonic()
            n_read = self._answers.readinto_within(buffer, Attention.TICK_SECONDS)
            if n_read is not None:
                self._between = False
                return n_read
            self._attention.check()
            if self._ended.is_set():  # by another thread
                raise Died(self._status())
            # A process that was suspended (Ctrl-Z) has not waited all that time.
            self._waited += min(time.monotonic() - before, 4 * Attention.TICK_SECONDS)
            if self._waited > self._attention.patience_seconds:
                self.end()
                raise Died(self._status(), hung=True)

    def _waveform(self, header: Header) -> FloatArray:
        import numpy as np

        n_samples = header.get("n_samples")
        if type(n_samples) is not int or not 0 < n_samples <= self._max_samples:
            raise ProtocolError(f"an excerpt of {n_samples!r} samples")
        waveform = np.empty(n_samples, "<f4")
        if not read_into(self, waveform):
            raise Died(self._status())
        return waveform.astype(np.float32, copy=False)

    def send_piece(self, piece: bytes) -> None:
        """Send bytes that were asked for."""
        self._send({"kind": "piece", "n_bytes": len(piece)}, piece)

    def ends_job(self) -> bool:
        """Stop what is under way, if anything is; returns whether the process may be used again."""
        if not self.lives() or not self._between:
            return False
        if self._working:
            self._send({"kind": "stop", "job": self._job})
            patience = Attention(deadline=time.monotonic() + GRACE_SECONDS)
            try:
                while self._working:
                    header, _ = self.receive(patience)
                    if header.get("kind") == "read":
                        self.send_piece(b"")
            except (Died, ProtocolError, AudioLimitError):
                return False
        return self._between and not self._worn

    def end(self) -> None:
        """Kill the process and what it started; who waits for it is told so."""
        self._ended.set()
        if self.lives():
            with suppress(OSError):
                if sys.platform == "win32":
                    self._process.kill()
                else:
                    os.killpg(self.pid, signal.SIGKILL)

    def kill(self) -> None:
        """End the process and close its pipes; only for the thread that uses it."""
        self.end()
        for stream in (self._requests, self._errors, self._answers):
            stream.close()
        self._status()

    def _send(self, header: Header, content: bytes = b"") -> None:
        with suppress(OSError, ValueError):  # its end is found out by who reads
            write_message(self._requests, header, content)

    def _status(self) -> int:
        try:
            return self._process.wait(5)
        except subprocess.TimeoutExpired:  # it hangs in the system itself, on a disk that is gone
            return 0

    def _last_words(self) -> str:
        try:
            words = self._errors.readall() if self._status() is not None else b""
        except (OSError, ValueError):
            words = b""
        lines = words.decode(errors="replace").strip().splitlines()
        return lines[-1][:LAST_WORDS] if lines else f"it ended with status {self._status()}"


def _widen(stream: FileIO) -> None:
    """Let a pipe hold most of an excerpt, so that decoding goes on while the model works."""
    with suppress(ImportError, AttributeError, OSError):
        import fcntl

        fcntl.fcntl(stream.fileno(), fcntl.F_SETPIPE_SZ, PIPE_BYTES)
