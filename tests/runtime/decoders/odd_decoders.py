"""The process of a `DecoderPool` with a decoder that does what the first word of a file says: hang, crash, take memory.

Run as a program, it is such a process: `command()` makes the words to start it.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from collections.abc import Generator
from concurrent.futures import CancelledError
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from genre_runtime.audio import decoding
from genre_runtime.audio.excerpts import Excerpt, ExcerptStream, TrackLength
from genre_runtime.decoders.process import main

ROOT = Path(__file__).parents[3]


def command() -> list[str]:
    """The program of this module."""
    program = f"import sys; sys.path[:] = {[str(ROOT), *sys.path]!r}; from {__name__} import run; run()"
    return [sys.executable, "-P", "-c", program]


def run() -> None:
    main(odd_excerpts)


def odd_excerpts(source: Any, *arguments: Any, stop: Any, **options: Any) -> ExcerptStream:
    """Do what the file says, or decode it where it says nothing odd."""
    content = source.read_bytes() if isinstance(source, Path) and source.is_file() else b""
    word = content[:20].split(b" ")[0].decode("ascii", "replace")
    if word not in ODD:
        return decoding.stream_excerpts(source, *arguments, **options)
    with suppress(OSError):  # an upload has no folder
        source.with_suffix(".begun").touch()
    return ExcerptStream(ODD[word](stop))


def _hang_in_c(stop: Any) -> Generator[Excerpt, None, TrackLength]:
    # PyDLL keeps the interpreter's lock, as the worst of libraries do: no thread of Python runs meanwhile.
    ctypes.PyDLL(None).sleep(1000)
    yield from _silence(1)
    return TrackLength(1.0)


def _spin(stop: Any) -> Generator[Excerpt, None, TrackLength]:
    while True:
        pass
    yield from _silence(1)


def _crash(stop: Any) -> Generator[Excerpt, None, TrackLength]:
    os.kill(os.getpid(), signal.SIGSEGV)
    yield from _silence(1)
    return TrackLength(1.0)


def _killed(stop: Any) -> Generator[Excerpt, None, TrackLength]:
    os.kill(os.getpid(), signal.SIGKILL)
    yield from _silence(1)
    return TrackLength(1.0)


def _take_with_numpy(stop: Any) -> Generator[Excerpt, None, TrackLength]:
    kept = [np.ones(2**20) for _ in range(1000)]
    yield from _silence(len(kept))
    return TrackLength(1.0)


def _take_with_malloc(stop: Any) -> Generator[Excerpt, None, TrackLength]:
    library = ctypes.CDLL(None)
    library.malloc.restype = ctypes.c_void_p
    for _ in range(1000):
        place = library.malloc(ctypes.c_size_t(2**23))
        if not place:
            raise MemoryError
        ctypes.memset(place, 1, 2**23)
    yield from _silence(1)
    return TrackLength(1.0)


def _slow(stop: Any) -> Generator[Excerpt, None, TrackLength]:
    while not stop.is_set():
        time.sleep(0.01)
    raise CancelledError
    yield from _silence(1)


def _too_long(stop: Any) -> Generator[Excerpt, None, TrackLength]:
    yield Excerpt(0.0, np.zeros(10**7, np.float32))
    return TrackLength(1.0)


def _too_many(stop: Any) -> Generator[Excerpt, None, TrackLength]:
    yield from _silence(10_000)
    return TrackLength(1.0)


def _not_a_number(stop: Any) -> Generator[Excerpt, None, TrackLength]:
    yield from _silence(1)
    return TrackLength(float("nan"))


def _surprise(stop: Any) -> Generator[Excerpt, None, TrackLength]:
    raise ZeroDivisionError("surprise")
    yield from _silence(1)


def _silence(count: int) -> Generator[Excerpt, None, None]:
    for number in range(count):
        yield Excerpt(float(number), np.zeros(22_050, np.float32))


ODD = {
    "hang": _hang_in_c,
    "spin": _spin,
    "crash": _crash,
    "killed": _killed,
    "numpy": _take_with_numpy,
    "malloc": _take_with_malloc,
    "slow": _slow,
    "long": _too_long,
    "many": _too_many,
    "nan": _not_a_number,
    "surprise": _surprise,
}
