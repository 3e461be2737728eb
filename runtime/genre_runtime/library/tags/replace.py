"""Temporary copies beside the files that they are to replace, and removing those that a killed process left.

A copy is locked while its process works on it; the lock ends with the process, however that ends. Where files cannot
be locked, copies are removed when they are old.

Changing a file so that at any time, whatever happens, its name leads to the old one or to the new one, whole.

A copy beside the file is edited, checked and brought to the disk; then it takes the file's name in one step. File and
copy are worked on through descriptors: in a folder that others may write, a name may lead to another file at any time.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import stat
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from genre_runtime.errors import AudioNotFoundError, ChangedFileError, GenreError, TagWriteError, UntaggableError
from genre_runtime.library.tags.journal import FileState

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


_BLOCK_BYTES = 2**20


def replace_file(
    path: Path,
    edit: Callable[[BinaryIO, BinaryIO], None],
    before: Callable[[FileState, FileState, BinaryIO, BinaryIO], None],
    mtime_ns: Callable[[os.stat_result], int | None],
) -> None:
    """Put an edited copy in a file's place.

    Parameters
    ----------
    path : Path
        No link: see `target_of`.
    edit : callable
        Gets the file, open for reading, and its copy, open for both; changes the copy, and raises if that went wrong.
    before : callable
        Gets the old and the new state, the file and the copy when nothing can go wrong any more but the last step.
    mtime_ns : callable
        Modification time of the new file from the old one's status, nanoseconds; None is now.

    Raises
    ------
    AudioNotFoundError, UntaggableError, TagWriteError, ChangedFileError
        The file is as it was. Whatever `edit` and `before` raise passes through.
    """
    try:
        with contextlib.closing(Folder(path.parent)) as folder:
            remove_left_copies(folder)
            with _opened(folder, path) as original:
                status = _permitted(path, original)
                _replace(folder, path, original, status, (edit, before, mtime_ns))
            with contextlib.suppress(OSError):  # the change is made; at worst a crash now takes it back
                sync_folder(folder)
    except FileNotFoundError as error:
        raise AudioNotFoundError(path) from error
    except OSError as error:
        raise error if isinstance(error, TagWriteError) else TagWriteError.from_os_error(path, error) from error


def target_of(path: Path) -> Path:
    """Return the file that a name leads to: links stay, what they point at is replaced.

    Raises
    ------
    AudioNotFoundError, TagWriteError
    UntaggableError
        It leads to a folder, or to a pipe or device, of which reading might never end.
    """
    try:
        target = path.resolve(strict=True)
        mode = target.stat().st_mode
    except (FileNotFoundError, NotADirectoryError, ValueError) as error:  # ValueError: NUL in the name
        raise AudioNotFoundError(path) from error
    except (OSError, RuntimeError) as error:  # RuntimeError: links in a circle
        words = error if isinstance(error, OSError) else OSError(str(error))
        raise TagWriteError.from_os_error(path, words) from error
    if not stat.S_ISREG(mode):
        kind = "a folder: expected a file" if stat.S_ISDIR(mode) else "no regular file: expected an audio file"
        raise UntaggableError(f"this is {kind}")
    return target


def sha256_of(file: BinaryIO) -> str:
    """Return the sha256 of an open file's bytes, hexadecimal."""
    opened: Any = file  # its type does not say that it can be read into a buffer
    opened.seek(0)
    return hashlib.file_digest(opened, "sha256").hexdigest()


def sync_folder(folder: Folder) -> None:
    """Wait until a folder's names are on the disk."""
    folder.sync()


_Steps = tuple[
    Callable[[BinaryIO, BinaryIO], None],
    Callable[[FileState, FileState, BinaryIO, BinaryIO], None],
    Callable[[os.stat_result], int | None],
]


def _replace(folder: Folder, path: Path, original: BinaryIO, status: os.stat_result, steps: _Steps) -> None:
    edit, before, mtime_ns = steps
    name, copy = create_copy(folder)
    try:
        _copy_content(original, copy)
        old = FileState(sha256_of(copy), status.st_size, status.st_mtime_ns)
        try:
            edit(original, copy)
            copy.flush()
        except GenreError:
            _unchanged(folder, path, status)  # where the file was changed, that is the reason to name
            raise
        _copy_status(original, status, copy)
        time_ns = mtime_ns(status)
        _set_times(folder, name, copy, (status.st_atime_ns, time.time_ns() if time_ns is None else time_ns))
        _sync(copy)
        kept = os.fstat(copy.fileno())
        before(old, FileState(sha256_of(copy), kept.st_size, kept.st_mtime_ns), original, copy)
        _unchanged(folder, path, status)
        if not is_same(folder, name, copy.fileno()):
            raise ChangedFileError(
                f"another program replaced the copy {name!r}, which was to take the file's place: nothing was written"
            )
        if sys.platform == "win32":  # an open file can be neither replaced nor renamed there
            original.close()
            copy.close()
        folder.replace(name, path.name)
        if sys.platform != "win32" and not is_same(folder, path.name, copy.fileno()):
            raise ChangedFileError("another program replaced the file at the same moment: look at what it is now")
    except BaseException:
        with contextlib.suppress(OSError, ValueError):
            if is_same(folder, name, copy.fileno()):
                copy.close() if sys.platform == "win32" else None
                folder.unlink(name)
        raise
    finally:
        with contextlib.suppress(OSError):  # what a full disk left in the buffer is of no use any more
            copy.close()


def _opened(folder: Folder, path: Path) -> BinaryIO:
    """Open a file for reading; a pipe does not wait for a writer."""
    if stat.S_ISLNK(folder.stat(path.name).st_mode):
        raise ChangedFileError("this is a link now, and was a file: nothing was written")
    return open(folder.open(path.name, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)), "rb")


def _permitted(path: Path, original: BinaryIO) -> os.stat_result:
    status = os.fstat(original.fileno())
    if not stat.S_ISREG(status.st_mode):
        raise UntaggableError("this is no regular file: expected an audio file")
    if status.st_nlink > 1:
        raise UntaggableError(
            f"the file has {status.st_nlink} names (hard links), and the others would keep the old tags: "
            "give it a copy of its own first"
        )
    # The administrator may write everything, but taking the permission away had a meaning.
    if not status.st_mode & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH) or not os.access(path, os.W_OK):
        raise TagWriteError(path, "the file is read-only: allow writing to it first")
    return status


def _copy_content(original: BinaryIO, copy: BinaryIO) -> None:
    shutil.copyfileobj(original, copy, _BLOCK_BYTES)
    copy.flush()


def _copy_status(original: BinaryIO, status: os.stat_result, copy: BinaryIO) -> None:
    """Give the copy the file's owner, mode and extended attributes, as far as this user may."""
    source, target = original.fileno(), copy.fileno()
    if hasattr(os, "fchown"):
        with contextlib.suppress(PermissionError):
            os.fchown(target, status.st_uid, status.st_gid)
    if hasattr(os, "listxattr"):
        for name in _attributes(source):
            with contextlib.suppress(OSError):
                os.setxattr(target, name, os.getxattr(source, name))
    if hasattr(os, "fchmod"):
        os.fchmod(target, stat.S_IMODE(status.st_mode))


def _attributes(descriptor: int) -> list[str]:
    try:
        return os.listxattr(descriptor)
    except OSError:  # a file system without them
        return []


def _set_times(folder: Folder, name: str, copy: BinaryIO, times_ns: tuple[int, int]) -> None:
    if os.utime in os.supports_fd:
        os.utime(copy.fileno(), ns=times_ns)
    elif is_same(folder, name, copy.fileno()):
        os.utime(folder.path_of(name), ns=times_ns)


def _sync(copy: BinaryIO) -> None:
    os.fsync(copy.fileno())


def _unchanged(folder: Folder, path: Path, status: os.stat_result) -> None:
    now = folder.stat(path.name)
    if not same_file(now, status) or (now.st_size, now.st_mtime_ns) != (status.st_size, status.st_mtime_ns):
        raise ChangedFileError("another program changed the file meanwhile: nothing was written, try again")
