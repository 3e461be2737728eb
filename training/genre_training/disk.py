"""Room on a disk, and files that are written in one piece or not at all."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from genre_runtime.errors import GenreError

RUN_FOLDER = "run"
"""Beside a checkpoint: everything about the run that made it."""

STATE_NAME = "last.pt"
"""In the folder of a run that is not finished: the state after the last whole epoch."""


class DownloadError(GenreError, OSError):
    """A file could not be fetched or unpacked: the network, the server, the disk or the file itself."""

    code = "download"


def require_space(folder: Path, needed: int, what: str) -> None:
    """Raise a DownloadError unless `needed` bytes are free where `folder`, which exists, lies."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise DownloadError(
            f"{folder} has {readable(free)} free, {what} need {readable(needed)}: free some space or choose another "
            "folder"
        )


@contextmanager
def disk_guard(folder: Path, needed: int) -> Iterator[None]:
    """Turn a full disk into a DownloadError that names the `needed` bytes."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise DownloadError(
            f"the disk of {folder} is full, {readable(needed)} were still to be written: free some space and run the "
            "same command again, which goes on from there"
        ) from error


def part_of(target: Path) -> Path:
    """Return the name that `target` has until it is whole."""
    return target.with_name(f"{target.name}.part")


def size_of(path: Path) -> int:
    """Bytes of a file, 0 if it is not there."""
    return path.stat().st_size if path.is_file() else 0


def readable(n_bytes: int) -> str:
    """Write a number of bytes as MiB or GiB."""
    return f"{n_bytes / 2**30:,.1f} GiB" if n_bytes >= 2**30 else f"{n_bytes / 2**20:,.1f} MiB"


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary name that becomes `path` when all went well: the file appears whole or not at all."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
