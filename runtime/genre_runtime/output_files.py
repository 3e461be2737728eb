"""Writes files that appear whole or not at all, and never over a file that another program made."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from genre_runtime.errors import GenreError

N_BYTES_READ = 4096
"""How much of a file's beginning `check_own` searches for the mark."""


class ForeignFileError(GenreError, FileExistsError):
    """The output file exists and was not written by this program.

    Attributes
    ----------
    path : Path
    """

    code = "foreign_file"

    def __init__(self, path: Path, found: str, advice: str) -> None:
        super().__init__(f"{str(path)!r} {found}: {advice}")
        self.path = path


def check_own(path: Path, mark: str, *, force: bool) -> None:
    """Check that a file may be written: it does not exist, is empty, has this program's mark, or `force` is set.

    Parameters
    ----------
    path : Path
    mark : str
        Text near the beginning of every file of this kind.
    force : bool
        Allow a file without the mark to be overwritten.

    Raises
    ------
    ForeignFileError
    OSError
        The file cannot be read.
    """
    try:
        status = path.stat()
    except FileNotFoundError:
        return
    if not stat.S_ISREG(status.st_mode):  # a device or a pipe would be replaced by a file
        raise ForeignFileError(path, "is not a regular file", "name another file")
    if force or not status.st_size:
        return
    with open(path, "rb") as file:
        if mark.encode() not in file.read(N_BYTES_READ):
            raise ForeignFileError(
                path, "exists and was not written by this program", "name another file, or add --force"
            )


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary file name; afterwards the file written there replaces `path` in one step.

    After an error, and after a crash, `path` is unchanged.

    Parameters
    ----------
    path : Path
        In a folder that exists. If it is a symbolic link, its target is replaced.

    Yields
    ------
    Path
        In the same folder, with the suffix `.tmp`; the caller writes this file.

    Raises
    ------
    OSError
        Nothing was changed.
    """
    target = Path(os.path.realpath(path))
    temporary = target.with_name(f".genre-{os.getpid()}-{os.urandom(4).hex()}.tmp")
    try:
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(target)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise


def write_whole(path: Path, parts: Iterable[str]) -> None:
    """Write UTF-8 text through `replacing`.

    Parameters
    ----------
    path : Path
        In a folder that exists.
    parts : iterable of str
        Pieces of the text.

    Raises
    ------
    OSError
        Nothing was changed.
    """
    with replacing(path) as temporary, open(temporary, "x", encoding="utf-8", newline="\n") as file:
        file.writelines(parts)
