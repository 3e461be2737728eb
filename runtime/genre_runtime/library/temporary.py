"""Temporary copies beside the files that they are to replace, and removing those that a killed process left.

A copy is locked while its process works on it; the lock ends with the process, however that ends. Where files cannot
be locked, copies are removed when they are old.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

PREFIX = ".genre-tag-"
"""Hidden, and short, so that the longest of names has a copy, too."""
_OURS = re.compile(r"\.genre-tag-[0-9a-f]{16}\.tmp")
_OLD_NAME = re.compile(r"\.genre-[a-z0-9_]{8}\.tmp")
"""Of copies of earlier versions, which were not locked."""
_OLD_SECONDS = 86_400
_SCAN_SHARE = 0.02
"""Of the time, at most, goes to searching folders for copies that were left."""
_USES_FOLDERS = {os.open, os.stat, os.unlink, os.rename} <= os.supports_dir_fd
_FLAGS = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_TRIES = 100
_scanned: dict[tuple[int, int], tuple[float, float]] = {}
"""When each folder was searched last, and how long that took, seconds; by device and inode."""


class Folder:
    """A folder that is held open, so that its files are found whatever becomes of its name.

    Where the system cannot name files by an open folder, they are named by their paths.

    Parameters
    ----------
    path : Path

    Raises
    ------
    OSError
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC) if _USES_FOLDERS else None

    def open(self, name: str, flags: int, mode: int = 0o600) -> int:
        """Return a descriptor of a file, never of what a link leads to."""
        return os.open(self._named(name), flags | _FLAGS, mode, dir_fd=self._descriptor)

    def stat(self, name: str) -> os.stat_result:
        """Return the status of a file, or of a link itself."""
        return os.stat(self._named(name), dir_fd=self._descriptor, follow_symlinks=False)

    def replace(self, source: str, target: str) -> None:
        """Give a file the name of another, which goes."""
        if self._descriptor is None:
            self.path_of(source).replace(self.path_of(target))
        else:
            os.replace(source, target, src_dir_fd=self._descriptor, dst_dir_fd=self._descriptor)

    def unlink(self, name: str) -> None:
        """Remove a name."""
        os.unlink(self._named(name), dir_fd=self._descriptor)

    def sync(self) -> None:
        """Wait until the folder's names are on the disk, where the system offers that."""
        if self._descriptor is not None:
            with contextlib.suppress(OSError):  # network file systems may refuse it for folders
                os.fsync(self._descriptor)

    def close(self) -> None:
        """Let go of the folder."""
        if self._descriptor is not None:
            os.close(self._descriptor)

    def names(self) -> Iterator[str]:
        """Yield the names of all files."""
        with os.scandir(self._path if self._descriptor is None else self._descriptor) as entries:
            for entry in entries:
                yield entry.name

    def path_of(self, name: str) -> Path:
        """Return a file's path."""
        return self._path / name

    def key(self) -> tuple[int, int]:
        """Return device and inode."""
        status = self._path.stat() if self._descriptor is None else os.fstat(self._descriptor)
        return status.st_dev, status.st_ino

    def _named(self, name: str) -> str:
        return name if _USES_FOLDERS else str(self._path / name)


def create_copy(folder: Folder) -> tuple[str, BinaryIO]:
    """Return the name of a new and locked file, which this user alone may read, and the file, open for both.

    Raises
    ------
    OSError
    """
    for _ in range(_TRIES):
        name = f"{PREFIX}{os.urandom(8).hex()}.tmp"
        try:
            descriptor = folder.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL)
        except FileExistsError:
            continue
        # Before it was locked, another process may have taken it for one that was left, and removed it.
        if _locked(descriptor) is not False and is_same(folder, name, descriptor):
            return name, open(descriptor, "rb+")
        os.close(descriptor)
    raise FileExistsError(17, "no name for a copy is free")


def is_same(folder: Folder, name: str, descriptor: int) -> bool:
    """Return whether a name still leads to the open file itself."""
    try:
        return same_file(folder.stat(name), os.fstat(descriptor))
    except OSError:
        return False


def same_file(status: os.stat_result, other: os.stat_result) -> bool:
    """Return whether two statuses are of one file."""
    return (status.st_dev, status.st_ino) == (other.st_dev, other.st_ino)


def remove_left_copies(folder: Folder) -> None:
    """Remove the copies in a folder that processes left when they were killed; those in use stay."""
    key = folder.key()
    now = time.monotonic()
    at, took = _scanned.get(key, (0.0, 0.0))
    if key in _scanned and now - at < took / _SCAN_SHARE:
        return
    with contextlib.suppress(OSError):
        for name in [name for name in folder.names() if _OURS.fullmatch(name) or _OLD_NAME.fullmatch(name)]:
            with contextlib.suppress(OSError):
                _remove_if_left(folder, name)
    _scanned[key] = time.monotonic(), time.monotonic() - now


def _remove_if_left(folder: Folder, name: str) -> None:
    status = folder.stat(name)
    if not stat.S_ISREG(status.st_mode):
        return
    descriptor = folder.open(name, os.O_RDWR | getattr(os, "O_NONBLOCK", 0))
    try:
        is_old = time.time() - os.fstat(descriptor).st_mtime > _OLD_SECONDS
        locked = _locked(descriptor)
        is_left = is_old if locked is None or _OLD_NAME.fullmatch(name) else locked
        if is_left and sys.platform != "win32" and is_same(folder, name, descriptor):
            folder.unlink(name)
    finally:
        os.close(descriptor)
    if is_left and sys.platform == "win32":  # where an open file cannot be removed
        folder.unlink(name)


def _locked(descriptor: int) -> bool | None:
    """Lock a file; return False if another process has it locked, None if this system has no such locks."""
    try:
        import fcntl
    except ImportError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a network file system without locks
        return None
    return True
