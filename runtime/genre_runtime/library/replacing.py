"""Changing a file so that at any time, whatever happens, its name leads to the old one or to the new one, whole.

A copy beside the file is edited, checked and brought to the disk; then it takes the file's name in one step.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from genre_runtime.errors import AudioNotFoundError, GenreError
from genre_runtime.library.errors import ChangedFileError, TagWriteError, UntaggableError
from genre_runtime.library.journal import FileState, sync_folder

TEMPORARY_PREFIX = ".genre-"
"""Hidden, and short, so that the longest of names has a copy too."""


def replace_file(
    path: Path,
    edit: Callable[[Path, Path], None],
    before: Callable[[FileState, FileState, Path], None],
    mtime_ns: Callable[[os.stat_result], int | None],
) -> None:
    """Put an edited copy in a file's place.

    Parameters
    ----------
    path : Path
        No link: see `target_of`.
    edit : callable
        Gets the file and its copy, changes the copy, and raises if that went wrong.
    before : callable
        Gets the old and the new state and the copy when nothing can go wrong any more but the last step.
    mtime_ns : callable
        Modification time of the new file from the old one's status; None is now.

    Raises
    ------
    AudioNotFoundError, UntaggableError, TagWriteError, ChangedFileError
        The file is as it was. Whatever `edit` and `before` raise passes through.
    """
    try:
        status = _permitted(path)
        descriptor, name = tempfile.mkstemp(prefix=TEMPORARY_PREFIX, suffix=".tmp", dir=path.parent)
        os.close(descriptor)
        copy = Path(name)
        try:
            shutil.copyfile(path, copy)
            old = FileState(file_sha256(copy), status.st_size, status.st_mtime_ns)
            try:
                edit(path, copy)
            except GenreError:
                _unchanged(path, status)  # where the file was changed, that is the reason to name
                raise
            _copy_status(path, status, copy)
            time_ns = mtime_ns(status)
            os.utime(copy, ns=(status.st_atime_ns, time.time_ns() if time_ns is None else time_ns))
            _sync(copy)
            kept = copy.stat()
            before(old, FileState(file_sha256(copy), kept.st_size, kept.st_mtime_ns), copy)
            _unchanged(path, status)
            copy.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                copy.unlink()
            raise
    except FileNotFoundError as error:
        raise AudioNotFoundError(path) from error
    except OSError as error:
        raise error if isinstance(error, TagWriteError) else TagWriteError.from_os_error(path, error) from error
    with contextlib.suppress(OSError):  # the change is made; at worst a crash now takes it back
        sync_folder(path.parent)


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


def file_sha256(path: Path) -> str:
    """Return the sha256 of a file's bytes, hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _permitted(path: Path) -> os.stat_result:
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise UntaggableError("this is no regular file: expected an audio file")
    if status.st_nlink > 1:
        raise UntaggableError(
            f"the file has {status.st_nlink} names (hard links), and the others would keep the old tags: "
            "give it a copy of its own first"
        )
    # The administrator may write everything, but whoever took the permission away meant something by it.
    if not status.st_mode & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH) or not os.access(path, os.W_OK):
        raise TagWriteError(path, "the file is read-only: allow writing to it first")
    return status


def _copy_status(path: Path, status: os.stat_result, copy: Path) -> None:
    """Give the copy the file's owner, mode and extended attributes, as far as this user may."""
    if sys.platform != "win32":
        with contextlib.suppress(PermissionError):
            os.chown(copy, status.st_uid, status.st_gid)
    shutil.copystat(path, copy)


def _sync(path: Path) -> None:
    with open(path, "rb+") as file:
        os.fsync(file.fileno())


def _unchanged(path: Path, status: os.stat_result) -> None:
    now = path.stat()
    if (now.st_size, now.st_mtime_ns, now.st_ino) != (status.st_size, status.st_mtime_ns, status.st_ino):
        raise ChangedFileError("another program changed the file meanwhile: nothing was written, try again")
