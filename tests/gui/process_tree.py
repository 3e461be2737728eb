"""Processes by /proc: who is whose child, and whether one has ended."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")


@dataclass(frozen=True)
class Process:
    """A process; its start tells it from a later one of the same number."""

    pid: int
    started: str
    command: tuple[str, ...]

    @property
    def alive(self) -> bool:
        """Whether it is there and no mere entry that nobody has asked for yet."""
        fields = _fields(self.pid)
        return fields is not None and fields[19] == self.started and fields[0] not in "ZX"


def tree(pid: int) -> list[Process]:
    """Return a process and all below it."""
    parents: dict[int, list[int]] = {}
    for entry in PROC.iterdir():
        if entry.name.isdigit() and (fields := _fields(int(entry.name))) is not None:
            parents.setdefault(int(fields[1]), []).append(int(entry.name))
    found, waiting = [], [pid]
    while waiting:
        number = waiting.pop()
        fields = _fields(number)
        if fields is not None:
            found.append(Process(number, fields[19], _command(number)))
            waiting += parents.get(number, [])
    return found


def left_of(processes: list[Process], seconds: float) -> list[Process]:
    """Wait until all have ended, and return those that have not within a time."""
    deadline = time.monotonic() + seconds
    while (left := [process for process in processes if process.alive]) and time.monotonic() < deadline:
        time.sleep(0.05)
    return left


def _fields(pid: int) -> list[str] | None:
    """Return the fields of `stat` behind the name: state, parent, ..., start at index 19."""
    try:
        return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None


def _command(pid: int) -> tuple[str, ...]:
    try:
        return tuple((PROC / str(pid) / "cmdline").read_text().split("\0")[:-1])
    except OSError:
        return ()
