"""Which steps from line to line of genre_runtime an input takes: what guides the fuzzer."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import genre_runtime

PACKAGE = str(Path(genre_runtime.__file__).parent)

Arc = tuple[str, int, int]
"""File name, line before, line."""


class Tracer:
    """Collects arcs, through `sys.settrace`: of Python's lines, not of the decoders' C code."""

    def __init__(self) -> None:
        self.seen: set[Arc] = set()
        self._new: list[Arc] = []
        self._ours: dict[CodeType, str] = {}

    @contextmanager
    def recording(self) -> Iterator[list[Arc]]:
        """Trace the body of the with statement; the list gets the arcs never seen before."""
        self._new = []
        sys.settrace(self._call)
        threading.settrace(self._call)
        try:
            yield self._new
        finally:
            sys.settrace(None)
            threading.settrace(None)

    def _call(self, frame: FrameType, event: str, argument: Any) -> Any:
        code = frame.f_code
        name = self._ours.get(code)
        if name is None:
            inside = code.co_filename.startswith(PACKAGE)
            name = self._ours[code] = Path(code.co_filename).name if inside else ""
        if not name:
            return None
        before = 0

        def step(frame: FrameType, event: str, argument: Any) -> Any:
            nonlocal before
            if event == "line":
                arc = (name, before, before := frame.f_lineno)
                if arc not in self.seen:
                    self.seen.add(arc)
                    self._new.append(arc)
            return step

        return step
