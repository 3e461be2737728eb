"""A handle to one decoder process of a pool: starts it, sends jobs, receives messages, kills it."""

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
"""Time limit for a process to import its modules, which is slow with a cold disk or a virus scanner."""

GRACE_SECONDS = 0.25
"""Time limit for a process to confirm that it stopped its job before it is killed."""

PIPE_BYTES = 2**20
MAX_STDERR_CHARACTERS = 300

# NumPy's libraries would otherwise start one thread per core, which costs time and memory and is not needed.
_ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}

# Of glibc: an excerpt's memory stays with the process, instead of being returned and zeroed for each one. On two cores
# two decoders are 6 % faster with it.
_KEPT_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(32 * 2**20), "MALLOC_TRIM_THRESHOLD_": str(64 * 2**20)}


class DecoderExited(Exception):  # noqa: N818
    """A decoder process exited, or was killed because it hung.

    Parameters
    ----------
    status : int
        As of `subprocess.Popen.returncode`.
    hung : bool
    """

    def __init__(self, status: int, hung: bool = False) -> None:
        super().__init__(status)
        self.status, self.hung = status, hung


@dataclass(frozen=True)
class WaitLimits:
    """What ends waiting for a process.

    Attributes
    ----------
    stop : threading.Event or None
        Cancels the wait when set.
    deadline : float or None
        Time of `time.monotonic` at which the wait fails.
    timeout_seconds : float
        Longest time without a message.
    """

    stop: Event | None = None
    deadline: float | None = None
    timeout_seconds: float = START_SECONDS

    TICK_SECONDS: ClassVar[float] = 0.05

    def check(self) -> None:
        """Raise if `stop` is set or the deadline has passed.

        Raises
        ------
        CancelledError, AudioLimitError
        """
        if self.stop is not None and self.stop.is_set():
            raise CancelledError
        if self.deadline is not None and time.monotonic() >= self.deadline:
            raise AudioLimitError("decoding exceeded the time limit: send less audio", "deadline")


class _PolledStream:
    """A pipe that is polled."""

    def __init__(self, stream: FileIO) -> None:
        self._stream = stream
        os.set_blocking(stream.fileno(), False)
        self._poll = select.poll()
        self._poll.register(stream.fileno(), select.POLLIN)

    def read_within(self, buffer: Any, seconds: float) -> int | None:
        """Read into a buffer; return None if nothing arrives within the time, 0 at the end."""
        n_read: int | None = self._stream.readinto(buffer)
        if n_read is None and self._poll.poll(seconds * 1000):
            n_read = self._stream.readinto(buffer)
        return n_read

    def close(self) -> None:
        self._stream.close()


class _ThreadedStream:
    """A pipe that is read by a thread, for systems (Windows) on which pipes cannot be polled."""

    def __init__(self, stream: FileIO) -> None:
        self._pieces: queue.Queue[bytes] = queue.Queue(2)
        self._piece, self._closed = memoryview(b""), Event()
        Thread(target=self._fill, args=(stream,), name="genre-decoder", daemon=True).start()

    def read_within(self, buffer: Any, seconds: float) -> int | None:
        """Read into a buffer; return None if nothing arrives within the time, 0 at the end."""
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
        self._closed.set()  # the thread closes the pipe after the process has exited

    def _fill(self, stream: FileIO) -> None:
        piece: bytes | None = b"not empty"
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
    """A running decoder process, used by one thread at a time. Any thread may kill it.

    Parameters
    ----------
    command : sequence of str
        The program and its arguments.
    settings : mapping
        Sent to the process first.

    Attributes
    ----------
    pid : int
    is_ready : bool
        Whether the process has sent its first message.

    Raises
    ------
    DecoderUnavailableError
    """

    def __init__(self, command: Sequence[str], settings: Mapping[str, Any]) -> None:
        # A process group of its own: it gets no Ctrl-C from the terminal, and is killed with its child processes.
        options: dict[str, Any] = {"start_new_session": True}
        if sys.platform == "win32":
            options = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}
        pipes: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        try:
            self._process = subprocess.Popen(
                command, bufsize=0, env={**_KEPT_MEMORY, **os.environ, **_ENVIRONMENT}, **pipes, **options
            )
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            raise DecoderUnavailableError(f"the decoder process cannot be started: {error}") from error
        self.pid = self._process.pid
        self._requests, self._errors = cast(FileIO, self._process.stdin), cast(FileIO, self._process.stderr)
        answers = cast(FileIO, self._process.stdout)
        _enlarge_pipe(answers)
        self._answers = (_PolledStream if hasattr(select, "poll") else _ThreadedStream)(answers)
        self._wait, self._waited = WaitLimits(), 0.0
        self._killed = Event()
        self._job, self._max_samples = -1, 0
        self.is_ready = self._working = self._needs_replacement = False
        self._at_boundary = True  # of two messages, so that the next bytes are a header
        self._send({"kind": "settings", **settings})

    def is_alive(self) -> bool:
        """Tell whether the process is running."""
        return self._process.poll() is None

    def wait_until_ready(self, wait: WaitLimits) -> None:
        """Wait until the process has imported its modules.

        Parameters
        ----------
        wait : WaitLimits
            Without its time-out.

        Raises
        ------
        DecoderUnavailableError, CancelledError, AudioLimitError
        """
        if self.is_ready:
            return
        try:
            self.receive(WaitLimits(wait.stop, wait.deadline, START_SECONDS))
        except (DecoderExited, ProtocolError) as error:
            self.kill()
            raise DecoderUnavailableError(f"the decoder process failed to start: {self._last_stderr_line()}") from error
        self.is_ready = True
        self._errors.close()

    def start_job(self, job: Header, max_samples: int) -> None:
        """Send a job.

        Parameters
        ----------
        job : dict
        max_samples : int
            Most samples of an excerpt; a longer one is a `ProtocolError`.
        """
        self._job += 1
        self._max_samples, self._working = max_samples, True
        self._send({**job, "job": self._job})

    def receive(self, wait: WaitLimits) -> Message:
        """Return the next message: its header, and the waveform of an excerpt.

        Parameters
        ----------
        wait : WaitLimits

        Raises
        ------
        DecoderExited, ProtocolError, CancelledError, AudioLimitError
        """
        self._wait, self._waited = wait, 0.0
        wait.check()
        header = read_header(self)
        if header is None:
            raise DecoderExited(self._exit_status())
        waveform = self._waveform(header) if header.get("kind") == "excerpt" else None
        self._at_boundary = True
        if header.get("kind") in ("end", "error"):
            self._working, self._needs_replacement = False, bool(header.get("needs_replacement"))
            self._needs_replacement |= "max_memory" in str(header.get("fields"))
        return header, waveform

    def readinto(self, buffer: Any) -> int:
        """Read bytes that the process sent, within the limits of `receive`.

        Parameters
        ----------
        buffer : writable bytes-like

        Returns
        -------
        int
            Number of bytes read, 0 at the end.

        Raises
        ------
        DecoderExited, CancelledError, AudioLimitError
        """
        while True:
            before = time.monotonic()
            n_read = self._answers.read_within(buffer, WaitLimits.TICK_SECONDS)
            if n_read is not None:
                self._at_boundary = False
                return n_read
            self._wait.check()
            if self._killed.is_set():  # by another thread
                raise DecoderExited(self._exit_status())
            # Time during which this process was suspended (Ctrl-Z) does not count.
            self._waited += min(time.monotonic() - before, 4 * WaitLimits.TICK_SECONDS)
            if self._waited > self._wait.timeout_seconds:
                self.kill()
                raise DecoderExited(self._exit_status(), hung=True)

    def _waveform(self, header: Header) -> FloatArray:
        import numpy as np

        n_samples = header.get("n_samples")
        if type(n_samples) is not int or not 0 < n_samples <= self._max_samples:
            raise ProtocolError(f"an excerpt of {n_samples!r} samples")
        waveform = np.empty(n_samples, "<f4")
        if not read_into(self, waveform):
            raise DecoderExited(self._exit_status())
        return waveform.astype(np.float32, copy=False)

    def send_piece(self, piece: bytes) -> None:
        """Send bytes that the process requested.

        Parameters
        ----------
        piece : bytes
        """
        self._send({"kind": "piece", "n_bytes": len(piece)}, piece)

    def finish_job(self) -> bool:
        """Stop the current job, if any, and return whether the process may be used again."""
        if not self.is_alive() or not self._at_boundary:
            return False
        if self._working:
            self._send({"kind": "stop", "job": self._job})
            grace = WaitLimits(deadline=time.monotonic() + GRACE_SECONDS)
            try:
                while self._working:
                    header, _ = self.receive(grace)
                    if header.get("kind") == "read":
                        self.send_piece(b"")
            except (DecoderExited, ProtocolError, AudioLimitError):
                return False
        return self._at_boundary and not self._needs_replacement

    def kill(self) -> None:
        """Kill the process and its child processes; a thread that waits for it gets `DecoderExited`."""
        self._killed.set()
        if self.is_alive():
            with suppress(OSError):
                if sys.platform == "win32":
                    self._process.kill()
                else:
                    os.killpg(self.pid, signal.SIGKILL)

    def close(self) -> None:
        """Kill the process and close its pipes; only for the thread that uses it."""
        self.kill()
        for stream in (self._requests, self._errors, self._answers):
            stream.close()
        self._exit_status()

    def _send(self, header: Header, content: bytes = b"") -> None:
        with suppress(OSError, ValueError):  # `receive` raises if the process has exited
            write_message(self._requests, header, content)

    def _exit_status(self) -> int:
        try:
            return self._process.wait(5)
        except subprocess.TimeoutExpired:  # it hangs in a system call, such as on a disk that was removed
            return 0

    def _last_stderr_line(self) -> str:
        try:
            words = self._errors.readall() if self._exit_status() is not None else b""
        except (OSError, ValueError):
            words = b""
        lines = words.decode(errors="replace").strip().splitlines()
        return lines[-1][:MAX_STDERR_CHARACTERS] if lines else f"it exited with status {self._exit_status()}"


def _enlarge_pipe(stream: FileIO) -> None:
    """Let a pipe hold most of an excerpt, so that decoding continues while the model runs."""
    with suppress(ImportError, AttributeError, OSError):
        import fcntl

        fcntl.fcntl(stream.fileno(), fcntl.F_SETPIPE_SZ, PIPE_BYTES)
