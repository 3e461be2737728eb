"""One process of a pool of decoders, as the process that uses it sees it."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import CancelledError
from contextlib import suppress
from dataclasses import dataclass, field
from io import FileIO
from threading import Event, Thread
from typing import TYPE_CHECKING, Any, ClassVar, cast

from genre_runtime.decoder_protocol import Header, ProtocolError, read_header, read_into, write_message
from genre_runtime.errors import AudioLimitError, DecoderUnavailableError

Message = tuple[Header, "FloatArray | None"]

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float32]

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


@dataclass
class _Inbox:
    """What a process sent and nobody has taken yet; filled by a thread that knows nothing of the process."""

    stream: FileIO
    messages: queue.Queue[Message | ProtocolError | None] = field(default_factory=lambda: queue.Queue(2))
    max_samples: int = 0
    ready: Event = field(default_factory=Event)
    over: Event = field(default_factory=Event)

    def fill(self) -> None:
        last: ProtocolError | None = None
        try:
            while header := read_header(self.stream):
                if header.get("kind") == "ready":
                    self.ready.set()
                self._put((header, self._waveform(header)))
        except ProtocolError as error:
            last = error
        except (OSError, ValueError, EOFError):
            pass
        self._put(last)
        self.stream.close()

    def _waveform(self, header: Header) -> FloatArray | None:
        if header.get("kind") != "excerpt":
            return None
        n_samples = header.get("n_samples")
        if type(n_samples) is not int or not 0 < n_samples <= self.max_samples:
            raise ProtocolError(f"an excerpt of {n_samples!r} samples")
        import numpy as np

        waveform = np.empty(n_samples, "<f4")
        if not read_into(self.stream, waveform):
            raise EOFError
        return waveform.astype(np.float32, copy=False)

    def _put(self, message: Message | ProtocolError | None) -> None:
        while not self.over.is_set():
            with suppress(queue.Full):
                self.messages.put(message, timeout=1)
                return


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
        self._inbox = _Inbox(cast(FileIO, self._process.stdout))
        _widen(self._inbox.stream)
        self._greeted = False
        self._job, self._working, self._worn = -1, False, False
        Thread(target=self._inbox.fill, name="genre-decoder", daemon=True).start()
        self._send({"kind": "settings", **settings})

    @property
    def pid(self) -> int:
        """Number of the process."""
        return self._process.pid

    @property
    def is_ready(self) -> bool:
        """Whether it has said that it is ready."""
        return self._inbox.ready.is_set()

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
        self._inbox.max_samples, self._working = max_samples, True
        self._send({**job, "job": self._job})

    def receive(self, attention: Attention) -> Message:
        """Return the next message.

        Raises
        ------
        Died, ProtocolError, CancelledError, AudioLimitError
        """
        waited, before = 0.0, time.monotonic()
        attention.check()
        while True:
            try:
                message = self._inbox.messages.get(timeout=attention.TICK_SECONDS)
                break
            except queue.Empty:
                attention.check()
                if self._inbox.over.is_set():  # by another thread
                    raise Died(self._status()) from None
            # A process that was suspended (Ctrl-Z) has not waited all that time.
            now = time.monotonic()
            waited, before = waited + min(now - before, 4 * attention.TICK_SECONDS), now
            if waited > attention.patience_seconds:
                self.end()
                raise Died(self._status(), hung=True)
        if message is None:
            raise Died(self._status())
        if isinstance(message, ProtocolError):
            raise message
        if message[0].get("kind") in ("end", "error"):
            self._working, self._worn = False, bool(message[0].get("worn"))
            self._worn |= "max_memory" in str(message[0].get("fields"))
        return message

    def send_piece(self, piece: bytes) -> None:
        """Send bytes that were asked for."""
        self._send({"kind": "piece", "n_bytes": len(piece)}, piece)

    def ends_job(self) -> bool:
        """Stop what is under way, if anything is; returns whether the process may be used again."""
        if not self.lives():
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
        return not self._worn

    def end(self) -> None:
        """Kill the process and what it started; who waits for it is told so."""
        self._inbox.over.set()
        if self.lives():
            with suppress(OSError):
                if sys.platform == "win32":
                    self._process.kill()
                else:
                    os.killpg(self.pid, signal.SIGKILL)

    def kill(self) -> None:
        """End the process and close its pipes; only for the thread that uses it."""
        self.end()
        self._requests.close()
        self._errors.close()
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
