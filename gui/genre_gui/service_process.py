"""One `genre-api` as a child of this program, behind a guard that ends it when this program is gone."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from genre_gui.background import THREADS
from genre_gui.guard import GRACE_SECONDS
from genre_gui.refusals import ServiceError
from genre_gui.words import one_line
from genre_runtime.limits import DecodeLimits

COMMAND = "genre-api"
N_LINES = 50
LONGEST_LINE = 300
TAKEN = ("address already in use", "errno 98", "errno 48", "10048")
"""What a log says, in lower case, when somebody else listens on the port."""

# The service belongs to one person at one machine: bounds that keep strangers in check would only be in the way.
_DEFAULTS = {
    "MAX_BODY_BYTES": str(8 * 2**30),
    "MAX_TOTAL_BYTES": str(16 * 2**30),
    "MAX_DECODE_SECONDS": f"{DecodeLimits().max_seconds:g}",
    "MAX_DECODE_BYTES": str(DecodeLimits().max_bytes),
    "BODY_SECONDS": "3600",
    "REQUEST_SECONDS": "3600",
    "DRAIN_SECONDS": "0",
    "SHUTDOWN_SECONDS": "1",
}
_FIXED = {
    "LOG_FORMAT": "text",
    "LOG_LEVEL": "warning",
    "ALLOWED_HOSTS": "",
    "HOST": "127.0.0.1",
    "CLIENT_REQUESTS": "0",
}


class ServiceProcess:
    """A service that was started.

    Parameters
    ----------
    port : int
    model : Path
    device : str
    """

    def __init__(self, port: int, model: Path, device: str) -> None:
        self._lines: deque[str] = deque(maxlen=N_LINES)
        self._ending = False
        command = [*_command(), "--host", "127.0.0.1", "--port", str(port)]
        own_group: dict[str, object] = {"start_new_session": True}  # Ctrl-C is meant for the window
        if sys.platform == "win32":
            own_group = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}
        self._guard: subprocess.Popen[bytes] = subprocess.Popen(  # type: ignore[call-overload]
            [sys.executable, "-m", "genre_gui.guard", *command],
            env=environment(os.environ, model, device),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            **own_group,
        )
        self._reader = threading.Thread(target=self._read, name=f"{THREADS}-log", daemon=True)
        self._reader.start()

    @property
    def log(self) -> Sequence[str]:
        """The last lines it wrote."""
        return tuple(self._lines)

    @property
    def port_was_taken(self) -> bool:
        """Whether it ended because somebody else listens on its port."""
        return self._guard.poll() is not None and any(word in line.lower() for line in self._lines for word in TAKEN)

    def ended(self) -> str | None:
        """Return in words that it has ended, unless that was wanted."""
        status = self._guard.poll()
        if status is None or self._ending:
            return None
        self._reader.join(1.0)
        last = one_line(self._lines[-1])[:LONGEST_LINE] if self._lines else ""
        return f"The service has ended (status {status}{': ' + last if last else ''})"

    def end(self) -> None:
        """End it, and wait until it is gone."""
        self._ending = True
        stdin = self._guard.stdin
        if stdin is not None:
            with suppress(OSError):
                stdin.close()
        try:
            self._guard.wait(2 * GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            self._guard.kill()
            self._guard.wait()
        self._reader.join(1.0)

    def _read(self) -> None:
        stream = self._guard.stdout
        if stream is not None:
            with stream:
                for line in stream:
                    self._lines.append(line.decode("utf-8", "replace").rstrip())


def environment(given: Mapping[str, str], model: Path, device: str) -> dict[str, str]:
    """Return the service's environment: what the person has set, else bounds that suit one person's own files."""
    defaults = {f"GENRE_{name}": value for name, value in _DEFAULTS.items()}
    fixed = {f"GENRE_{name}": value for name, value in {**_FIXED, "MODEL": str(model), "DEVICE": device}.items()}
    return {**defaults, **given, **fixed, "PYTHONUNBUFFERED": "1"}


def _command() -> list[str]:
    """Return what starts the service: the command beside this Python, or on the path."""
    beside = Path(sys.executable).with_name(COMMAND + (".exe" if sys.platform == "win32" else ""))
    found = str(beside) if beside.is_file() else shutil.which(COMMAND)
    if found is None:
        raise ServiceError(f"the command {COMMAND} is not installed: run `pip install ./api`, or `invoke setup`")
    return [found]
