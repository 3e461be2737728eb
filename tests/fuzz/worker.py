"""The process in which inputs run: decoders are C code, so a damaged file may end it, and nothing else.

Linux only: memory and descriptors are read from /proc.
"""

from __future__ import annotations

import ctypes
import faulthandler
import gc
import importlib
import os
import resource
import time
import traceback
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path

from genre_runtime.errors import GenreError
from tests.fuzz.targets import Target
from tests.fuzz.tracing import Arc, Tracer


@dataclass(frozen=True)
class Bounds:
    """What an input may take.

    Attributes
    ----------
    seconds : float
        Wall time after which the input counts as hung and its process is killed.
    memory_bytes : int
        Growth of the resident memory while the input runs.
    address_bytes : int
        Address space of the process; an allocation beyond fails within it.
    """

    seconds: float = 20.0
    memory_bytes: int = 512 * 2**20
    address_bytes: int = 8 * 2**30


@dataclass(frozen=True)
class Reply:
    """What came of one input.

    Attributes
    ----------
    outcome : str
        As in `Answer`; or `untyped`, `wrong`, `memory`, `crash`, `hang`, which are failures.
    message : str
    n_excerpts : int
    new_arcs : tuple of Arc
        Steps from line to line that this process had never taken.
    seconds : float
    peak_bytes : int
        Growth of the resident memory while it ran, at its highest.
    resident_bytes, n_descriptors : int
        Of the process afterwards; 0 unless they were asked for.
    noisy : bool
        Something was written to stderr.
    """

    outcome: str
    message: str = ""
    n_excerpts: int = 0
    new_arcs: tuple[Arc, ...] = ()
    seconds: float = 0.0
    peak_bytes: int = 0
    resident_bytes: int = 0
    n_descriptors: int = 0
    noisy: bool = False


def _memory(field: str) -> int:
    with open("/proc/self/status", encoding="ascii") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith(field))


def _forget_peak() -> None:
    with suppress(OSError), open("/proc/self/clear_refs", "w", encoding="ascii") as file:
        file.write("5")


def _outcome(target: Target, path: Path, entry: str) -> Reply:
    try:
        answer = target(path, entry)
        return Reply(answer.outcome, answer.message, answer.n_excerpts)
    except GenreError as error:
        return Reply(error.code, str(error))
    except AssertionError:
        return Reply("wrong", traceback.format_exc(limit=-3))
    except Exception as error:
        return Reply("untyped", f"{type(error).__name__}: {error}\n{traceback.format_exc(limit=-4)}")


def _run(target: Target, tracer: Tracer, bounds: Bounds, path: Path, entry: str, measure: bool) -> Reply:
    os.ftruncate(2, 0)
    _forget_peak()
    before = _memory("VmRSS")
    began = time.monotonic()
    with tracer.recording() as new_arcs:
        reply = _outcome(target, path, entry)
    reply = replace(
        reply,
        new_arcs=tuple(new_arcs),
        seconds=time.monotonic() - began,
        peak_bytes=max(0, _memory("VmHWM") - before),
        noisy=os.fstat(2).st_size > 0,
    )
    if reply.peak_bytes > bounds.memory_bytes:
        reply = replace(reply, outcome="memory", message=f"grew by {reply.peak_bytes >> 20} MiB; {reply.outcome}")
    if measure:
        gc.collect()
        ctypes.CDLL(None).malloc_trim(0)  # what the allocator merely keeps is no leak
        n_descriptors = sum(1 for _ in Path("/proc/self/fd").iterdir())
        reply = replace(reply, resident_bytes=_memory("VmRSS"), n_descriptors=n_descriptors)
    return reply


def serve(connection: Connection, factory: str, folder: Path, log: Path, bounds: Bounds) -> None:
    """Answer (path, entry, measure) by a `Reply`, until None comes."""
    descriptor = os.open(log, os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_APPEND)
    os.dup2(descriptor, 2)
    os.dup2(descriptor, 1)
    faulthandler.enable()
    warnings.simplefilter("error")  # a warning that nobody expected is one that a user would see
    module, _, name = factory.partition(":")
    make: Callable[[Path], Target] = getattr(importlib.import_module(module), name)
    target, tracer = make(folder), Tracer()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (bounds.address_bytes, bounds.address_bytes))
    connection.send("ready")
    while (request := connection.recv()) is not None:
        path, entry, measure = request
        faulthandler.dump_traceback_later(bounds.seconds * 0.9)
        reply = _run(target, tracer, bounds, path, entry, measure)
        faulthandler.cancel_dump_traceback_later()
        connection.send(reply)
