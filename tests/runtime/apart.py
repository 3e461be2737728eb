"""Classifying in a process of its own: a decoder that hangs, crashes or eats memory fails one test, not the run.

`Apart` keeps one process for many files; `python -m tests.runtime.apart FOLDER FILE HOW` takes one file in a fresh
process and prints what came of it and the most memory that it held.
"""

from __future__ import annotations

import json
import multiprocessing
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from genre_runtime import DecodeLimits, GenreClassifier
from genre_runtime.audio.decoding import decode
from genre_runtime.errors import GenreError
from tests.patience import PATIENCE_SECONDS
from tests.synthetic import RATE, write_model

ROOT = Path(__file__).parents[2]
EXCERPT_SECONDS = 1.0
"""Short, so that files of a few seconds are read at several places."""
HOW = ("path", "bytes", "file", "whole")
"""Ways in; `whole` is the path with all of the track asked for."""


@dataclass(frozen=True)
class Found:
    """What came of a file: `error` is an error's code, and None where there was an answer."""

    error: str | None = None
    message: str = ""
    label: str = ""
    reason: str | None = None
    remark: str | None = None
    duration: float = 0.0
    announced: float | None = None
    starts: list[float] = field(default_factory=list)
    ends: list[float] = field(default_factory=list)
    silent: list[bool] = field(default_factory=list)
    probabilities: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Heard:
    """What `decode` gave: seconds, and the strongest frequency (Hz) around each second asked for."""

    seconds: float
    pitches: list[float]


def load(folder: Path, excerpt_seconds: float = EXCERPT_SECONDS) -> GenreClassifier:
    """Write and load the tiny model with excerpts of that length."""
    model = write_model(folder)
    sidecar = model.with_suffix(".json")
    values = json.loads(sidecar.read_text(encoding="utf-8"))
    sidecar.write_text(json.dumps({**values, "excerpt_seconds": excerpt_seconds}), encoding="utf-8")
    return GenreClassifier.load(model, device="cpu", threads=1, limits=DecodeLimits(max_seconds=7200))


def classified(classifier: GenreClassifier, path: Path, how: str) -> Found:
    """Classify a file in one of the ways of `HOW`; an error that is not a `GenreError` goes up."""
    try:
        if how == "file":
            with path.open("rb") as file:
                answer = classifier.classify_file(file)
        elif how == "whole":
            answer = classifier.classify_file(path, excerpts="all")
        else:
            answer = classifier.classify_file(path.read_bytes() if how == "bytes" else path)
    except GenreError as error:
        return Found(error=error.code, message=str(error))
    return Found(
        label=answer.label,
        reason=answer.reason,
        remark=answer.remark,
        duration=answer.duration_seconds,
        announced=answer.announced_seconds,
        starts=[excerpt.start_seconds for excerpt in answer.excerpts],
        ends=[excerpt.end_seconds for excerpt in answer.excerpts],
        silent=[excerpt.silent for excerpt in answer.excerpts],
        probabilities=dict(answer.probabilities),
    )


def heard(path: Path, seconds: Sequence[float]) -> Heard:
    """Decode a file and tell the pitch at each of the seconds."""
    waveform = decode(path, RATE)
    pitches = []
    for second in seconds:
        piece = waveform[round((second - 0.2) * RATE) : round((second + 0.2) * RATE)]
        spectrum = np.abs(np.fft.rfft(piece * np.hanning(piece.size))) if piece.size else np.zeros(1)
        pitches.append(float(spectrum.argmax()) * RATE / max(1, piece.size))
    return Heard(waveform.size / RATE, pitches)


def _serve(connection: Connection, folder: Path) -> None:
    classifier = load(folder)
    connection.send("ready")
    while (request := connection.recv()) is not None:
        path, what = request
        try:
            connection.send(classified(classifier, path, what) if isinstance(what, str) else heard(path, what))
        except GenreError as error:
            connection.send(Found(error=error.code, message=str(error)))
        except Exception as error:
            connection.send(error)


class Apart:
    """A process that classifies and decodes files; one that hangs or dies is replaced. A context manager."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: Any = None

    def __enter__(self) -> Apart:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def classify(self, path: Path, how: str = "path") -> Found:
        """Return what `classified` gives, within the time-out."""
        found = self._ask(path, how)
        assert isinstance(found, Found)
        return found

    def decode(self, path: Path, seconds: Sequence[float] = ()) -> Heard:
        """Return what `heard` gives, within the time-out; an error of decoding fails the test."""
        found = self._ask(path, list(seconds))
        assert isinstance(found, Heard), found
        return found

    def _ask(self, path: Path, what: object) -> Found | Heard:
        if self._process is None:
            self._start()
        try:
            self._connection.send((path, what))
            if not self._connection.poll(PATIENCE_SECONDS):
                self._stop()
                raise AssertionError(f"no answer within {PATIENCE_SECONDS:g} s: it hangs")
            answer = self._connection.recv()
        except (EOFError, OSError) as error:
            self._process.join(PATIENCE_SECONDS)
            code = self._process.exitcode
            self._stop()
            raise AssertionError(f"the process ended with status {code}") from error
        if isinstance(answer, Exception):
            raise answer
        assert isinstance(answer, Found | Heard)
        return answer

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, self._folder))
        self._process.start()
        theirs.close()
        assert self._connection.poll(PATIENCE_SECONDS), "the process did not start"
        assert self._connection.recv() == "ready"

    def _stop(self) -> None:
        if self._process is None:
            return
        self._connection.close()
        self._process.kill()
        self._process.join()
        self._process = None


def peak_bytes() -> int:
    """Return the most memory that this process, or one of those that it started, has held at once."""
    own = [_high_water("self")]
    with suppress(OSError):
        for task in Path("/proc/self/task").iterdir():
            own += [_high_water(child) for child in (task / "children").read_text().split()]
    return max(*own, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024)


def _high_water(process: str) -> int:
    with suppress(OSError, StopIteration), open(f"/proc/{process}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))
    return 0


def measured(folder: Path, path: Path, how: str = "path") -> tuple[Found, int]:
    """Classify a file in a fresh process; returns what was found, and the most bytes of memory that it held."""
    (folder / "tiny").mkdir(exist_ok=True)
    done = subprocess.run(
        [sys.executable, "-m", "tests.runtime.apart", folder / "tiny", path, how],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
    )
    assert done.returncode == 0, done.stderr[-2_000:]
    answer = json.loads(done.stdout)
    return Found(**answer["found"]), answer["peak_bytes"]


def main(folder: str, path: str, how: str) -> None:
    """Classify one file and print a JSON object."""
    classifier = load(Path(folder), excerpt_seconds=10)
    began = time.monotonic()
    found = classified(classifier, Path(path), how)
    seconds = time.monotonic() - began
    print(json.dumps({"found": asdict(found), "seconds": seconds, "peak_bytes": peak_bytes()}))


if __name__ == "__main__":
    main(*sys.argv[1:])
