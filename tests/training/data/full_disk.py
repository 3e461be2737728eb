"""A disk that is full, or nearly so."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest


class Usage(NamedTuple):
    total: int
    used: int
    free: int


class FullDisk:
    """A file that takes 1,000 bytes and no more."""

    def __init__(self, file: Any) -> None:
        self.file = file

    def __enter__(self) -> FullDisk:
        return self

    def __exit__(self, *error: object) -> None:
        self.file.close()

    def write(self, content: bytes) -> int:
        self.file.write(content[:1_000])
        raise OSError(errno.ENOSPC, "No space left on device")


@contextmanager
def full_disk() -> Iterator[None]:
    open_file = Path.open

    def open_or_fill(self: Path, mode: str = "r", *arguments: Any, **options: Any) -> Any:
        file = open_file(self, mode, *arguments, **options)
        return FullDisk(file) if mode in ("wb", "ab") else file

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "open", open_or_fill)
        yield
