"""Replace a file atomically: at any time its name leads to the whole old file or to the whole new one.

A copy in the same folder is edited, checked and synced to the disk, then renamed. File and copy are accessed through
descriptors: in a folder that other users may write, a name may lead to another file at any time.

A copy is locked while its process works on it. The lock ends with the process, and the next run removes copies that a
killed process left. On file systems without locks, only old copies are removed.
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
from typing import Any, BinaryIO, Literal

from genre_runtime.errors import AudioNotFoundError, ChangedFileError, GenreError, TagWriteError, UntaggableError
from genre_runtime.library.tags.journal import FileState

PREFIX = ".genre-tag-"
"""Hidden. It does not contain the file's name, which may have the maximum length already."""
_OURS = re.compile(r"\.genre-tag-[0-9a-f]{16}\.tmp")
_OLD_NAME = re.compile(r"\.genre-[a-z0-9_]{8}\.tmp")
"""Copies of earlier versions, which were not locked."""
_OLD_SECONDS = 86_400
_SCAN_SHARE = 0.02
"""Largest share of the time spent on searching folders for left copies."""
_USES_FOLDERS = {os.open, os.stat, os.unlink, os.rename} <= os.supports_dir_fd
_FLAGS = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_TRIES = 100
_BLOCK_BYTES = 2**20
_scanned: dict[tuple[int, int], tuple[float, float]] = {}
"""By device and inode of a folder: when it was last searched, and how long that took, in seconds."""


class Folder:
    """An open folder, whose files are found even if the folder is renamed.

    On systems without `dir_fd`, files are found by their paths.

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
        """Return a descriptor of a file. Symbolic links are not followed.

        Parameters
        ----------
        name : str
        flags, mode : int
            As in `os.open`.
        """
        return os.open(self._named(name), flags | _FLAGS, mode, dir_fd=self._descriptor)

    def stat(self, name: str) -> os.stat_result:
        """Return the status of a file. Symbolic links are not followed.

        Parameters
        ----------
        name : str
        """
        return os.stat(self._named(name), dir_fd=self._descriptor, follow_symlinks=False)

    def replace(self, source: str, target: str) -> None:
        """Rename a file over another one.

        Parameters
        ----------
        source, target : str
            Names in this folder.
        """
        if self._descriptor is None:
            self.path_of(source).replace(self.path_of(target))
        else:
            os.replace(source, target, src_dir_fd=self._descriptor, dst_dir_fd=self._descriptor)

    def unlink(self, name: str) -> None:
        """Remove a file.

        Parameters
        ----------
        name : str
        """
        os.unlink(self._named(name), dir_fd=self._descriptor)

    def sync(self) -> None:
        """Sync the folder's names to the disk, if the system supports it."""
        if self._descriptor is not None:
            with contextlib.suppress(OSError):  # network file systems may refuse it for folders
                os.fsync(self._descriptor)

    def close(self) -> None:
        """Close the folder."""
        if self._descriptor is not None:
            os.close(self._descriptor)

    def names(self) -> Iterator[str]:
        """Yield the names of all files."""
        with os.scandir(self._path if self._descriptor is None else self._descriptor) as entries:
            for entry in entries:
                yield entry.name

    def path_of(self, name: str) -> Path:
        """Return the path of a file.

        Parameters
        ----------
        name : str
        """
        return self._path / name

    def key(self) -> tuple[int, int]:
        """Return device and inode."""
        status = self._path.stat() if self._descriptor is None else os.fstat(self._descriptor)
        return status.st_dev, status.st_ino

    def _named(self, name: str) -> str:
        return name if _USES_FOLDERS else str(self._path / name)


def create_copy(folder: Folder) -> tuple[str, BinaryIO]:
    """Create and lock a temporary file that only this user may read.

    Parameters
    ----------
    folder : Folder

    Returns
    -------
    (str, binary file object)
        Its name, and the file, open for reading and writing.

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
        # Another process may have removed it before it was locked.
        if _locked(descriptor) is not False and is_same(folder, name, descriptor):
            return name, open(descriptor, "rb+")
        os.close(descriptor)
    raise FileExistsError(17, "no name for a copy is free")


def is_same(folder: Folder, name: str, descriptor: int) -> bool:
    """Return whether a name still leads to an open file.

    Parameters
    ----------
    folder : Folder
    name : str
    descriptor : int
        Of the open file.
    """
    try:
        return os.path.samestat(folder.stat(name), os.fstat(descriptor))
    except OSError:
        return False


def remove_left_copies(folder: Folder) -> None:
    """Remove the copies in a folder that killed processes left. Copies in use stay.

    Parameters
    ----------
    folder : Folder
    """
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
    if is_left and sys.platform == "win32":  # an open file cannot be removed there
        folder.unlink(name)


def _locked(descriptor: int) -> bool | None:
    """Lock a file. Return False if another process has locked it, None if the system has no such locks."""
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


def replace_file(
    path: Path,
    edit: Callable[[BinaryIO, BinaryIO], None],
    before: Callable[[FileState, FileState, BinaryIO, BinaryIO], None],
    mtime_ns: int | Literal["keep"] | None,
) -> None:
    """Replace a file by an edited copy.

    Parameters
    ----------
    path : Path
        Not a link: see `target_of`.
    edit : callable
        Called with the file, open for reading, and its copy, open for reading and writing; changes the copy.
    before : callable
        Called directly before the copy is renamed, with the old state, the new state, the file and the copy.
    mtime_ns : int, "keep" or None
        New modification time in nanoseconds; None means now.

    Raises
    ------
    AudioNotFoundError, UntaggableError, TagWriteError, ChangedFileError
        The file is unchanged. Errors raised by `edit` and `before` are not converted.
    """
    try:
        with contextlib.closing(Folder(path.parent)) as folder:
            remove_left_copies(folder)
            with _opened(folder, path) as original:
                _replace(folder, path, original, edit, before, mtime_ns)
            with contextlib.suppress(OSError):  # the file is replaced; at worst a crash now undoes that
                folder.sync()
    except FileNotFoundError as error:
        raise AudioNotFoundError(path) from error
    except OSError as error:
        raise error if isinstance(error, TagWriteError) else TagWriteError.from_os_error(path, error) from error


def target_of(path: Path) -> Path:
    """Resolve links: the file that a link points to is replaced, the link stays.

    Parameters
    ----------
    path : Path

    Raises
    ------
    AudioNotFoundError, TagWriteError
    UntaggableError
        The target is a folder, pipe or device.
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
        kind = "a folder" if stat.S_ISDIR(mode) else "not a regular file"
        raise UntaggableError(f"this is {kind}: expected an audio file")
    return target


def sha256_of(file: BinaryIO) -> str:
    """Return the sha256 of an open file's bytes, hexadecimal.

    Parameters
    ----------
    file : binary file object
        Seekable; its position is changed.
    """
    opened: Any = file  # its type does not say that it can be read into a buffer
    opened.seek(0)
    return hashlib.file_digest(opened, "sha256").hexdigest()


def _replace(
    folder: Folder,
    path: Path,
    original: BinaryIO,
    edit: Callable[[BinaryIO, BinaryIO], None],
    before: Callable[[FileState, FileState, BinaryIO, BinaryIO], None],
    mtime_ns: int | Literal["keep"] | None,
) -> None:
    status = _permitted(path, original)
    name, copy = create_copy(folder)
    try:
        _copy_content(original, copy)
        old = FileState(sha256_of(copy), status.st_size, status.st_mtime_ns)
        try:
            edit(original, copy)
            copy.flush()
        except GenreError:
            _check_unchanged(folder, path, status)  # if another program changed the file, that is the reason to report
            raise
        _copy_status(original, status, copy)
        time_ns = status.st_mtime_ns if mtime_ns == "keep" else time.time_ns() if mtime_ns is None else mtime_ns
        _set_times(folder, name, copy, (status.st_atime_ns, time_ns))
        _sync(copy)
        kept = os.fstat(copy.fileno())
        before(old, FileState(sha256_of(copy), kept.st_size, kept.st_mtime_ns), original, copy)
        _check_unchanged(folder, path, status)
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
        with contextlib.suppress(OSError):  # a full disk may leave bytes in the buffer
            copy.close()


def _opened(folder: Folder, path: Path) -> BinaryIO:
    """Open a file for reading without waiting for the writer of a pipe."""
    if stat.S_ISLNK(folder.stat(path.name).st_mode):
        raise ChangedFileError("the file was replaced by a link meanwhile: nothing was written")
    return open(folder.open(path.name, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)), "rb")


def _permitted(path: Path, original: BinaryIO) -> os.stat_result:
    status = os.fstat(original.fileno())
    if not stat.S_ISREG(status.st_mode):
        raise UntaggableError("this is not a regular file: expected an audio file")
    if status.st_nlink > 1:
        raise UntaggableError(
            f"the file has {status.st_nlink} names (hard links), and the others would keep the old tags: "
            "give it a copy of its own first"
        )
    # The administrator may write everything, but the file was made read-only on purpose.
    if not status.st_mode & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH) or not os.access(path, os.W_OK):
        raise TagWriteError(path, "the file is read-only: allow writing to it first")
    return status


def _copy_content(original: BinaryIO, copy: BinaryIO) -> None:
    shutil.copyfileobj(original, copy, _BLOCK_BYTES)
    copy.flush()


def _copy_status(original: BinaryIO, status: os.stat_result, copy: BinaryIO) -> None:
    """Copy owner, mode and extended attributes, as far as this user may."""
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


def _check_unchanged(folder: Folder, path: Path, status: os.stat_result) -> None:
    now = folder.stat(path.name)
    if not os.path.samestat(now, status) or (now.st_size, now.st_mtime_ns) != (status.st_size, status.st_mtime_ns):
        raise ChangedFileError("another program changed the file meanwhile: nothing was written, try again")
