"""Targets with known faults: what the harness must notice."""

from __future__ import annotations

import ctypes
import os
import time
import zlib
from pathlib import Path

import numpy as np

from tests.fuzz.targets import Answer, Target

_kept: list[object] = []


def _segfault() -> None:
    ctypes.string_at(0)


def _exit() -> None:
    os._exit(3)


def _hang() -> None:
    time.sleep(3600)


def _surprise() -> None:
    raise ZeroDivisionError("no GenreError")


def _assertion() -> None:
    raise AssertionError("a wrong answer")


def _hunger() -> None:
    np.ones(100 * 2**20 // 8).sum()


def _leak_memory() -> None:
    _kept.append(np.ones(2**20 // 8))


def _leak_descriptor() -> None:
    _kept.append(os.open(os.devnull, os.O_RDONLY))


FAULTS = {
    name.strip("_"): fault
    for name, fault in globals().items()
    if name in ("_segfault", "_exit", "_hang", "_surprise", "_assertion", "_hunger", "_leak_memory", "_leak_descriptor")
}


def by_entry(folder: Path) -> Target:
    """Make a target that has the fault which the entry names, and none with an unknown entry."""

    def target(path: Path, entry: str) -> Answer:
        FAULTS.get(entry, lambda: None)()
        return Answer("fine")

    return target


def fragile(folder: Path) -> Target:
    """Make a target that dies of one input in thirty, whichever way it comes in."""

    def target(path: Path, entry: str) -> Answer:
        if zlib.crc32(path.read_bytes()) % 30 == 0:
            os.abort()
        return Answer("fine")

    return target


def leaky(folder: Path) -> Target:
    """Make a target that keeps 1 MiB and a descriptor of every input."""

    def target(path: Path, entry: str) -> Answer:
        _leak_memory()
        _leak_descriptor()
        return Answer("fine")

    return target
