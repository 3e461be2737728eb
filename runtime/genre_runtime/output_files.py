"""Text files that this program makes: written whole or not at all, and never over a file that somebody else made."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from genre_runtime.errors import GenreError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary name that becomes `path` when all went well: the file appears whole or not at all."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


N_BYTES_READ = 4096
"""The mark stands within this much of a file's beginning."""


class ForeignFileError(GenreError, FileExistsError):
    """A file that this program did not make has the name of the one to be written.

    Attributes
    ----------
    path : Path
    """

    code = "foreign_file"

    def __init__(self, path: Path, found: str, advice: str) -> None:
        super().__init__(f"{str(path)!r} is {found}: {advice}")
        self.path = path


def check_own(path: Path, mark: str, *, force: bool) -> None:
    """Check that a file may be written: it is not there, it has our mark, or the user insists.

    Parameters
    ----------
    path : Path
    mark : str
        What stands near the beginning of every file of this kind.
    force : bool
        Whether a file without the mark may be overwritten.

    Raises
    ------
    ForeignFileError
    OSError
        The file cannot be looked into.
    """
    try:
        status = path.stat()
    except FileNotFoundError:
        return
    if not stat.S_ISREG(status.st_mode):  # a device or a pipe would be replaced by a file
        raise ForeignFileError(path, "no regular file", "name another one")
    if force or not status.st_size:
        return
    with open(path, "rb") as file:
        if mark.encode() not in file.read(N_BYTES_READ):
            raise ForeignFileError(path, "there already and not ours", "name another one, or add --force")


def write_whole(path: Path, parts: Iterable[str]) -> None:
    """Write UTF-8 text so that the name leads to the old file or to the whole new one at any time.

    Parameters
    ----------
    path : Path
        Its folder exists; of a symbolic link, the target is written.
    parts : iterable of str

    Raises
    ------
    OSError
        Nothing was changed.
    """
    target = Path(os.path.realpath(path))
    temporary = target.with_name(f".genre-{os.getpid()}-{os.urandom(4).hex()}.tmp")
    try:
        with open(temporary, "x", encoding="utf-8", newline="\n") as file:
            file.writelines(parts)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
