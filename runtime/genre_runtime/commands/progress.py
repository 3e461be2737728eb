"""A bar on the terminal where somebody looks on, and nothing at all otherwise."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Protocol

from genre_runtime.terminal import unescaped


class Progress(Protocol):
    """Counts files."""

    def update(self) -> object:
        """Count one."""
        ...

    def external_write_mode(self) -> AbstractContextManager[object]:
        """Make room for lines that are printed inside."""
        ...


class _Unseen:
    def update(self) -> None:
        return None

    def external_write_mode(self) -> AbstractContextManager[object]:
        return nullcontext()


@contextmanager
def file_progress(n_files: int | None) -> Iterator[Progress]:
    """Show rate and time left on a terminal; one file, or a pipe, gets no bar, and needs none of its code."""
    if n_files == 1 or not sys.stderr.isatty():
        yield _Unseen()
        return
    from tqdm import tqdm

    with tqdm(total=n_files, unit="file", leave=False, file=unescaped(sys.stderr)) as bar:
        yield bar
