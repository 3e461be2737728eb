"""The parent's side of a worker: hands it inputs, notices when it dies or hangs, and starts another."""

from __future__ import annotations

import multiprocessing
import signal
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.fuzz.worker import Bounds, Reply, serve
from tests.patience import PATIENCE_SECONDS


class Worker:
    """A process that runs a target on one input at a time; used as a context manager.

    Parameters
    ----------
    factory : str
        `module:function` that makes the target from a folder.
    folder : Path
        The worker's own.
    bounds : Bounds, optional
    """

    def __init__(self, factory: str, folder: Path, bounds: Bounds | None = None) -> None:
        self._factory, self._folder, self._bounds = factory, folder, bounds or Bounds()
        self._log = folder / "stderr.txt"
        self._process: Any = None
        self.n_starts = 0

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def run(self, path: Path, entry: str, *, measure: bool = False) -> Reply:
        """Run one input; a process that died or hung is replaced before the next one."""
        if self._process is None:
            self._start()
        try:
            self._connection.send((path, entry, measure))
            if not self._connection.poll(self._bounds.seconds):
                self._stop()
                return Reply("hang", f"no answer within {self._bounds.seconds:g} s\n{self._said()}")
            reply: Reply = self._connection.recv()
            return reply
        except (EOFError, OSError):
            self._process.join(self._bounds.seconds)
            code = self._process.exitcode
            self._stop()
            how = f"exit status {code}"
            if code is not None and code < 0:
                with suppress(ValueError):
                    how = signal.Signals(-code).name
            return Reply("crash", f"{how}\n{self._said()}")

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")  # nothing of this process's state or threads
        self._connection, theirs = context.Pipe()
        self._process = context.Process(
            target=serve, args=(theirs, self._factory, self._folder, self._log, self._bounds), daemon=True
        )
        self._process.start()
        theirs.close()
        self.n_starts += 1
        try:
            if not self._connection.poll(PATIENCE_SECONDS):
                raise EOFError
            self._connection.recv()
        except EOFError as error:
            self._stop()
            raise RuntimeError(f"the worker of {self._factory} did not start: {self._said()}") from error

    def _stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._connection.close()
            self._process = None

    def _said(self) -> str:
        if not self._log.is_file():
            return ""
        text = self._log.read_text(errors="replace")
        return text[max(0, text.find("Fatal Python error")) :][:6_000]
