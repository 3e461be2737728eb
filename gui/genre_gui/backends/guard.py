"""Processes of Windows that end together.

Runs a command that ends when the program that started it ends, however that happens.

`python -m genre_gui.backends.guard COMMAND ...` with a pipe as standard input, whose other end the program holds: the
system closes it when the program is gone, even if it was killed. Should this guard itself be killed, the command ends
with it on Linux (by the parent-death signal) and on Windows (by a job object); elsewhere it cannot be helped.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from typing import Any

_EXTENDED_LIMIT_INFORMATION = 9
_KILL_ON_JOB_CLOSE = 0x2000


class _BasicLimits(ctypes.Structure):
    _fields_ = (
        ("PerProcessUserTimeLimit", ctypes.c_int64),
        ("PerJobUserTimeLimit", ctypes.c_int64),
        ("LimitFlags", ctypes.c_uint32),
        ("MinimumWorkingSetSize", ctypes.c_size_t),
        ("MaximumWorkingSetSize", ctypes.c_size_t),
        ("ActiveProcessLimit", ctypes.c_uint32),
        ("Affinity", ctypes.c_size_t),
        ("PriorityClass", ctypes.c_uint32),
        ("SchedulingClass", ctypes.c_uint32),
    )


class _ExtendedLimits(ctypes.Structure):
    _fields_ = (
        ("BasicLimitInformation", _BasicLimits),
        ("IoInfo", ctypes.c_uint64 * 6),
        ("ProcessMemoryLimit", ctypes.c_size_t),
        ("JobMemoryLimit", ctypes.c_size_t),
        ("PeakProcessMemoryUsed", ctypes.c_size_t),
        ("PeakJobMemoryUsed", ctypes.c_size_t),
    )


class Job:
    """A process and all that it starts: they end when this object, or the process that holds it, is gone.

    Without a job, which very old systems cannot nest, the process is ended in order only.
    """

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._handle = None
        if sys.platform == "win32":
            kernel = ctypes.WinDLL("kernel32", use_last_error=True)
            kernel.CreateJobObjectW.restype = ctypes.c_void_p
            self._handle = ctypes.c_void_p(kernel.CreateJobObjectW(None, None))
            limits = _ExtendedLimits()
            limits.BasicLimitInformation.LimitFlags = _KILL_ON_JOB_CLOSE
            kernel.SetInformationJobObject(
                self._handle, _EXTENDED_LIMIT_INFORMATION, ctypes.byref(limits), ctypes.sizeof(limits)
            )
            kernel.AssignProcessToJobObject(self._handle, ctypes.c_void_p(int(process._handle)))

    def __del__(self) -> None:
        if sys.platform == "win32" and self._handle:
            ctypes.WinDLL("kernel32").CloseHandle(self._handle)


GRACE_SECONDS = 3.0
"""How long the command may take to end in order."""

_LOOK_SECONDS = 0.2
_SIGNALS = ("SIGTERM", "SIGINT", "SIGHUP", "SIGBREAK")
_PR_SET_PDEATHSIG = 1


def main(command: Sequence[str]) -> int:
    """Run the command; returns its exit status, 128 + n if signal n ended it."""
    over = threading.Event()
    for name in _SIGNALS:
        if (number := getattr(signal, name, None)) is not None:
            signal.signal(number, lambda *_: over.set())
    child, job = _start(command)
    for wait in (_wait_for_the_end_of_stdin, child.wait):
        threading.Thread(target=_then_set, args=(wait, over), daemon=True).start()
    while not over.wait(_LOOK_SECONDS):  # in slices: on Windows no signal interrupts a wait
        pass
    if child.poll() is None:
        child.terminate()
        try:
            child.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
    status = child.wait()
    del job  # on Windows what the command left behind ends with it
    return status if status >= 0 else 128 - status


def _then_set(wait: Any, event: threading.Event) -> None:
    wait()
    event.set()


def _wait_for_the_end_of_stdin() -> None:
    with contextlib.suppress(OSError):
        while os.read(0, 1024):
            pass


def _start(command: Sequence[str]) -> tuple[subprocess.Popen[bytes], Any]:
    """Start the command; before any thread, because code runs between fork and exec."""
    if sys.platform == "win32":
        pass

        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, creationflags=subprocess.CREATE_NO_WINDOW)
        return child, Job(child)
    before = _die_with(os.getpid()) if sys.platform == "linux" else None
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, preexec_fn=before), None


def _die_with(parent: int) -> Any:
    import ctypes

    prctl = ctypes.CDLL(None).prctl

    def between() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it was killed before the line above
            os._exit(1)

    return between


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
